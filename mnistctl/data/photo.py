"""Any image of a digit to MNIST's own form: 28x28, light ink on black, centred by mass."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistctl.data.image_file import Picture
from mnistctl.data.ink import Grey, Ink, Invert, Mask, ink_map
from mnistctl.data.segment import Mark, Page, find_marks

SIDE = 28
BOX = 20
# Ink is shaped at 8 times the final size and then averaged down, as NIST's two-level scans were.
FINE = 8
# Stroke widths, in final pixels, within which the middle 98 % of MNIST's digits lie.
MIN_STROKE, MAX_STROKE = 1.8, 4.2

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Prepared:
    """A digit as the network sees it, and how it came to be.

    `pixels` is uint8 (28, 28), light ink on black. `box` is left, top, right, bottom in pixels of
    the upright original. `doubt` says why this may be no single digit, or is None.
    """

    pixels: Pixels
    box: Box
    doubt: str | None = None
    warnings: tuple[str, ...] = ()
    steps: tuple[tuple[str, Pixels], ...] = ()


def prepare(picture: Picture, invert: Invert = "auto") -> Prepared:
    if invert != "yes" and is_mnist_form(picture.pixels):
        return Prepared(picture.pixels, (0, 0, SIDE, SIDE))
    ink = ink_map(picture.pixels, invert)
    page = find_marks(ink)
    if not page.marks:
        return Prepared(np.zeros((SIDE, SIDE), np.uint8), (0, 0, picture.width, picture.height), "nothing")
    group = _group(page.marks)
    mask = np.isin(page.labels, [m.label for m in group])
    return Prepared(fit(ink.amount, mask), (0, 0, 0, 0), None)


def is_mnist_form(pixels: Pixels) -> bool:
    """Whether the image was prepared as MNIST was, and so must reach the network bit for bit.

    All 70,000 published images have these properties: ink fills a 20-pixel box (19 in 16 of
    them), its centre of mass is within half a pixel of the middle and its maximum is 254 or more.
    """
    if pixels.shape != (SIDE, SIDE) or int(pixels.max()) < 254:
        return False
    columns, rows = pixels.sum(axis=0, dtype=np.int64), pixels.sum(axis=1, dtype=np.int64)
    inky_columns, inky_rows = np.flatnonzero(columns), np.flatnonzero(rows)
    height, width = np.ptp(inky_rows) + 1, np.ptp(inky_columns) + 1
    if not 19 <= max(height, width) <= BOX:
        return False
    steps = np.arange(SIDE)
    centre = np.array([rows @ steps, columns @ steps]) / rows.sum()
    return bool((np.abs(centre - 14) < 0.55).all())


def _group(marks: tuple[Mark, ...]) -> list[Mark]:
    main = max(marks, key=lambda m: m.area)
    group = [main]
    reach = 0.3 * main.size
    rest = [m for m in marks if m is not main]
    grown = True
    while grown:
        grown = False
        for m in list(rest):
            if any(_gap(m, g) <= reach for g in group):
                group.append(m)
                rest.remove(m)
                grown = True
    return group


def _gap(a: Mark, b: Mark) -> int:
    return max(
        b.left - a.right, a.left - b.right, b.top - a.bottom, a.top - b.bottom, 0
    )


def fit(amount: Grey, mask: Mask) -> Pixels:
    from scipy import ndimage

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    near = ndimage.binary_dilation(mask, iterations=2)
    own = np.where(near, amount, 0)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shape = _shape(np.pad(own, 1))
    shape = _with_usual_stroke(shape)
    return _centred(shape)


def _shape(own: Grey) -> Mask:
    scale = BOX * FINE / max(own.shape)
    size = (max(round(own.shape[1] * scale), 1), max(round(own.shape[0] * scale), 1))
    fine = np.asarray(Image.fromarray(own.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    return fine > 0.45


def _with_usual_stroke(shape: Mask) -> Mask:
    """Thicken hairlines and thin out fat strokes to widths that MNIST's pens had."""
    from scipy import ndimage

    shape = np.pad(shape, 2 * FINE)
    depth = ndimage.distance_transform_edt(shape)
    # The mean depth of a bar is a quarter of its width.
    width = 4 * float(depth[shape].mean()) / FINE
    if width < MIN_STROKE:
        outside = ndimage.distance_transform_edt(~shape)
        shape = outside <= (MIN_STROKE - width) / 2 * FINE
    elif width > MAX_STROKE:
        shape = depth > (width - MAX_STROKE) / 2 * FINE
    return shape


def _centred(shape: Mask) -> Pixels:
    rows, columns = np.flatnonzero(shape.any(axis=1)), np.flatnonzero(shape.any(axis=0))
    shape = shape[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX * FINE / max(shape.shape)
    size = (max(round(shape.shape[1] * scale), 1), max(round(shape.shape[0] * scale), 1))
    ink = np.asarray(Image.fromarray(shape.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR))
    total = ink.sum(dtype=np.int64)
    cy = ink.sum(axis=1, dtype=np.int64) @ np.arange(ink.shape[0]) / total
    cx = ink.sum(axis=0, dtype=np.int64) @ np.arange(ink.shape[1]) / total
    side = SIDE * FINE
    top = int(np.clip(round(side / 2 - cy), 0, side - ink.shape[0]))
    left = int(np.clip(round(side / 2 - cx), 0, side - ink.shape[1]))
    canvas = np.zeros((side, side), np.float32)
    canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    small = canvas.reshape(SIDE, FINE, SIDE, FINE).mean(axis=(1, 3))
    return np.rint(small).astype(np.uint8)
