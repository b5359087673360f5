"""Which marks make one digit, and in what order digits are read."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mnistctl.imaging.marks import Mark, Page
from mnistctl.imaging.masks import Mask

# From this width over height on, a piece may be two digits: of MNIST's single ones, 2 % are wider.
TWO_DIGITS = 1.35
# A digit stands in the line of one of the last few before it that shares so much of its height.
LAST, SAME_LINE = 3, 0.4


@dataclass(frozen=True)
class Piece:
    """The marks of one digit: rows `top` to `bottom`, columns `left` to `right` of the page."""

    top: int
    left: int
    bottom: int
    right: int
    mask: Mask
    marks: tuple[Mark, ...]
    was_touching: bool = False

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def stroke(self) -> float:
        """Mean stroke width, in pixels."""
        weights = [mark.area for mark in self.marks]
        return float(np.average([mark.stroke for mark in self.marks], weights=weights))


def main_piece(page: Page) -> Piece:
    """The strongest mark and what lies close to it: broken strokes, a 5's top bar."""
    group, rest = [page.marks[0]], list(page.marks[1:])
    reach = 0.3 * page.marks[0].size
    while near := [mark for mark in rest if any(_gap(mark, own) <= reach for own in group)]:
        group += near
        rest = [mark for mark in rest if mark not in near]
    return _piece(page, group)


def digit_lines(page: Page) -> list[list[Piece]]:
    """The pieces of a page that stand apart: lines from the top, each from the left."""
    if not page.marks:
        return []
    tallest = max(mark.height for mark in page.marks)
    usual = float(np.median([m.height for m in page.marks if m.height >= 0.5 * tallest]))
    groups: list[list[Mark]] = []
    # The large ones first, so that each fragment finds its digit there.
    for mark in sorted(page.marks, key=lambda m: -m.size):
        home = min(groups, key=lambda group: _distance(mark, group), default=None)
        if home is not None and _belongs(mark, home, usual):
            home.append(mark)
        else:
            groups.append([mark])
    # What is left of the small ones is dirt, a comma, a full stop.
    digits = [own for own in groups if max(mark.size for mark in own) >= 0.4 * usual]
    return _lines([_piece(page, group) for group in digits])


def _gap(a: Mark, b: Mark) -> int:
    return max(b.left - a.right, a.left - b.right, b.top - a.bottom, a.top - b.bottom, 0)


def _distance(mark: Mark, group: Iterable[Mark]) -> int:
    return min(_gap(mark, own) for own in group)


def _belongs(mark: Mark, group: list[Mark], usual: float) -> bool:
    """A fragment beside a digit, or a stroke above or below one, is part of it."""
    near = _distance(mark, group)
    if mark.size < 0.45 * usual:
        return near <= 0.2 * usual
    left, right = min(own.left for own in group), max(own.right for own in group)
    overlap = min(mark.right, right) - max(mark.left, left)
    stacked = overlap >= 0.5 * min(mark.width, right - left)
    height = max(mark.bottom, *(m.bottom for m in group)) - min(mark.top, *(m.top for m in group))
    return stacked and near <= 0.2 * usual and height <= 1.3 * usual


def _piece(page: Page, group: Iterable[Mark]) -> Piece:
    marks = tuple(group)
    top, left = min(mark.top for mark in marks), min(mark.left for mark in marks)
    bottom, right = max(mark.bottom for mark in marks), max(mark.right for mark in marks)
    mask = np.isin(page.labels[top:bottom, left:right], [mark.label for mark in marks])
    return Piece(top, left, bottom, right, mask, marks)


def _lines(pieces: list[Piece]) -> list[list[Piece]]:
    """Lines of writing from the top, each from the left; they may slant.

    A piece joins the line with whose last few pieces it shares most of its height.
    """
    lines: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda p: p.left):
        shared = [max(_shared_height(piece, own) for own in line[-LAST:]) for line in lines]
        if shared and max(shared) > SAME_LINE:
            lines[shared.index(max(shared))].append(piece)
        else:
            lines.append([piece])
    return sorted(lines, key=lambda line: np.mean([own.top + own.bottom for own in line]))


def _shared_height(a: Piece, b: Piece) -> float:
    """Rows that both have, as a fraction of the lower one's; negative where they are apart."""
    return (min(a.bottom, b.bottom) - max(a.top, b.top)) / min(a.height, b.height)
