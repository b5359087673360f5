"""The way through a line: cut where the network is surer of parts, joined where of the whole."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnistctl.imaging.digits import Piece
from mnistctl.imaging.marks import Mark
from mnistctl.imaging.segments import MAX_UNSURE, best_pieces

Box = tuple[int, int, int, int]
UNSURE = -2.0


def piece(left: int, *shapes: Box, height: int = 100) -> Piece:
    """One piece at column `left`: outlines of ellipses (left, top, right, bottom) in it."""
    image = Image.new("1", (max(box[2] for box in shapes), height))
    for a, b, c, d in shapes:
        ImageDraw.Draw(image).ellipse((a, b, c - 1, d - 1), outline=1, width=10)
    mask = np.asarray(image)
    mark = Mark(1, 0, left, height, left + image.width, int(mask.sum()), 0.0, stroke=10.0)
    return Piece(0, left, height, left + image.width, mask, (mark,))


def sure_of(*widths: range) -> Callable[[Sequence[Piece]], NDArray[np.float32]]:
    """A network that knows digits by their widths."""

    def confidence(pieces: Sequence[Piece]) -> NDArray[np.float32]:
        known = [any(own.width in width for width in widths) for own in pieces]
        return np.where(known, 0.0, UNSURE).astype(np.float32)

    return confidence


def spans(pieces: Sequence[Piece]) -> list[tuple[int, int]]:
    return [(own.left, own.right) for own in pieces]


ONE = (0, 0, 60, 100)
TWO = (ONE, (54, 0, 114, 100))


def test_what_the_network_is_sure_of_stays() -> None:
    line = [piece(0, ONE), piece(80, ONE)]
    asked: list[int] = []

    def confidence(pieces: Sequence[Piece]) -> NDArray[np.float32]:
        asked.append(len(pieces))
        return np.zeros(len(pieces), np.float32)

    assert best_pieces(line, confidence) == line
    assert asked == [2]


def test_touching_digits_are_cut_where_both_are_likely() -> None:
    found = best_pieces([piece(10, *TWO)], sure_of(range(52, 64)))
    assert len(found) == 2
    (first, middle), (second, end) = spans(found)
    assert (first, end) == (10, 124)
    assert abs(middle - 67) <= 4
    assert abs(second - 67) <= 4
    assert all(own.was_touching for own in found)


def test_nothing_is_cut_without_need() -> None:
    whole = piece(0, *TWO)
    assert best_pieces([whole], sure_of(range(110, 120))) == [whole]


def test_three_that_touch_are_three() -> None:
    three = piece(0, *TWO, (108, 0, 168, 100))
    assert len(best_pieces([three], sure_of(range(52, 64)))) == 3


def test_parts_of_one_digit_are_joined() -> None:
    line = [piece(0, (0, 0, 30, 100)), piece(34, (0, 0, 30, 100)), piece(120, ONE)]
    found = best_pieces(line, sure_of(range(58, 70)))
    assert spans(found) == [(0, 64), (120, 180)]
    assert not found[0].was_touching
    assert found[0].mask.sum() == line[0].mask.sum() + line[1].mask.sum()


def test_what_is_far_apart_is_not_joined() -> None:
    line = [piece(0, (0, 0, 30, 100)), piece(70, (0, 0, 30, 100))]
    assert best_pieces(line, sure_of(range(90, 110))) == line


def test_a_line_of_much_that_is_no_digit_is_not_cut() -> None:
    line = [piece(200 * k, *TWO) for k in range(MAX_UNSURE + 1)]
    assert best_pieces(line, sure_of(range(52, 64))) == line
    assert len(best_pieces(line[1:], sure_of(range(52, 64)))) == 2 * MAX_UNSURE
