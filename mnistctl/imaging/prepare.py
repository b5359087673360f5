"""Any picture of a digit, or of several, to what a network trained on MNIST expects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistctl.imaging.digits import TWO_DIGITS, Piece, digit_lines, main_piece
from mnistctl.imaging.doubts import FAINT, MAX_STRAY, doubt_of, is_shaded, shape_doubt
from mnistctl.imaging.files import Picture
from mnistctl.imaging.ink import Ink, Invert, ink_maps
from mnistctl.imaging.marks import MANY_MARKS, MAX_MARKS, Page, find_marks
from mnistctl.imaging.normalize import SIDE, Pixels, fit, is_mnist_form
from mnistctl.imaging.rulings import without_rulings
from mnistctl.imaging.segments import best_pieces

Box = tuple[int, int, int, int]
Ask = Callable[[Pixels], NDArray[np.float32]]
"""A network's log-probabilities (n, classes) of uint8 (n, 28, 28)."""


@dataclass(frozen=True)
class Prepared:
    """A digit as the network sees it, and how it came to be.

    `pixels` is uint8 (28, 28), light ink on black. `box` is left, top, right, bottom in pixels of
    the upright original. `doubt` says why this can't be one digit, from the picture alone, or is
    None. `warnings` are for the user. `steps` are named grey pictures, uint8, of the way here.
    `line` is the line of writing that it stands in, counted from 0 at the top.
    `touching` tells that it may be less or more than one digit: cut off, or as wide as two.
    `others` are less likely readings of a picture whose light or colour is uneven.
    """

    pixels: Pixels
    box: Box
    doubt: str | None = None
    warnings: tuple[str, ...] = ()
    steps: tuple[tuple[str, Pixels], ...] = ()
    touching: bool = False
    line: int = 0
    others: tuple["Prepared", ...] = ()


def prepare(picture: Picture, invert: Invert = "auto", keep_steps: bool = False) -> Prepared:
    """Find the digit in a picture and bring it to MNIST's form.

    A picture already in that form comes back unchanged, unless `invert` is "yes" (dark on light).
    """
    if invert != "yes" and is_mnist_form(picture.pixels):
        return Prepared(picture.pixels, (0, 0, SIDE, SIDE))
    first, *others = [_read(picture, ink, keep_steps) for ink in ink_maps(picture.pixels, invert)]
    return replace(first, others=tuple(others))


def _read(picture: Picture, ink: Ink, keep_steps: bool) -> Prepared:
    """The digit of one reading of a picture."""
    ink, page = _marked(ink)
    if not page.marks:
        return Prepared(
            pixels=np.zeros((SIDE, SIDE), np.uint8),
            box=(0, 0, picture.width, picture.height),
            doubt="no ink found: the picture is blank",
        )
    piece = main_piece(page)
    steps = _steps(picture, ink, page) if keep_steps else ()
    return _prepared(picture, ink, piece, doubt_of(picture, ink, page, piece), steps)


def prepared_as(
    how: Literal["ink", "resize"],
    picture: Picture,
    invert: Invert = "auto",
    keep_steps: bool = False,
) -> Prepared:
    """A picture as networks see it: its ink in MNIST's form, or the whole of it, scaled."""
    if how == "resize":
        return resize(picture, invert, keep_steps)
    return prepare(picture, invert, keep_steps)


def resize(picture: Picture, invert: Invert = "auto", keep_steps: bool = False) -> Prepared:
    """The whole picture in grey, scaled to 28x28 with antialiasing, whatever its proportions.

    Dark and light stay as they are, unless `invert` is "yes".
    """
    import torch
    from torchvision.transforms.v2.functional import resize as scale

    grey = picture.pixels
    if grey.ndim == 3:
        grey = np.asarray(Image.fromarray(grey).convert("L"))
    if grey.shape != (SIDE, SIDE):
        scaled = scale(torch.from_numpy(grey.copy()).unsqueeze(0), [SIDE, SIDE], antialias=True)
        grey = scaled[0].numpy()
    pixels = 255 - grey if invert == "yes" else grey
    box = (0, 0, picture.width, picture.height)
    return Prepared(pixels, box, steps=(("image", picture.pixels),) if keep_steps else ())


def find_digits(picture: Picture, ask: Ask, invert: Invert = "auto") -> list[Prepared]:
    """All digits of a picture in reading order, lines from the top, each from the left.

    Digits that touch are cut, and broken ones joined, where `ask` is most sure of all together.
    Of several readings of the picture the likeliest counts.
    """
    if invert != "yes" and is_mnist_form(picture.pixels):
        return [prepare(picture, invert)]
    ink, page = _marked(next(ink_maps(picture.pixels, invert)), MANY_MARKS)
    if page.stray > MAX_STRAY or is_shaded(picture, page):
        return []

    def confidence(pieces: Sequence[Piece]) -> NDArray[np.float32]:
        most: NDArray[np.float32] = ask(np.stack([_fit(ink, own) for own in pieces])).max(axis=1)
        return most

    lines = [best_pieces(line, confidence) for line in digit_lines(page)]
    beside_others = sum(map(len, lines)) > 1
    return [
        replace(_prepared(picture, ink, piece, shape_doubt(piece, beside_others), ()), line=number)
        for number, line in enumerate(lines)
        for piece in line
    ]


def prepare_digits(
    picture: Picture, invert: Invert, ask: Ask | None, how: Literal["ink", "resize"] = "ink"
) -> list[Prepared]:
    """The digit of a picture, or with `ask` all of them, at least one, as networks see them."""
    found = find_digits(picture, ask, invert) if ask else []
    return found or [prepared_as(how, picture, invert)]


def _marked(ink: Ink, most: int = MAX_MARKS) -> tuple[Ink, Page]:
    """The ink without the lines of its paper, and its marks."""
    ink = without_rulings(ink)
    return ink, find_marks(ink, most)


def _prepared(
    picture: Picture,
    ink: Ink,
    piece: Piece,
    doubt: str | None,
    steps: tuple[tuple[str, Pixels], ...],
) -> Prepared:
    warnings = []
    wide = piece.width >= TWO_DIGITS * piece.height
    if piece.was_touching:
        warnings.append("touched its neighbour and was cut off")
    elif wide:
        warnings.append("wider than most digits: two that touch?")
    if ink.contrast < FAINT:
        warnings.append("very faint ink")
    box = _box(picture, ink, piece)
    return Prepared(
        _fit(ink, piece), box, doubt, tuple(warnings), steps, piece.was_touching or wide
    )


def _fit(ink: Ink, piece: Piece) -> Pixels:
    return fit(ink.amount[piece.top : piece.bottom, piece.left : piece.right], piece.mask)


def _box(picture: Picture, ink: Ink, piece: Piece) -> Box:
    rows, columns = ink.amount.shape  # whole numbers: rounding never leaves the picture
    return (
        piece.left * picture.width // columns,
        piece.top * picture.height // rows,
        -(-piece.right * picture.width // columns),
        -(-piece.bottom * picture.height // rows),
    )


def _steps(picture: Picture, ink: Ink, page: Page) -> tuple[tuple[str, Pixels], ...]:
    amount = np.rint(np.minimum(ink.amount, 1) * 255).astype(np.uint8)
    return (
        ("image", picture.pixels),
        ("ink", amount),
        ("strokes", np.where(page.ink, amount, 0).astype(np.uint8)),
    )
