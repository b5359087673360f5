"""MNIST's own preparation: a shape to 28x28, in a 20-pixel box, centred by mass."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistctl.imaging.masks import Grey, Mask, around, depths, thickened, width_of

SIDE = 28
BOX = 20
# Ink is shaped at 8 times the final size and averaged down, as NIST's two-level scans were.
FINE = 8
# Mean stroke widths, in final pixels, that nearly all of MNIST's digits lie between.
MIN_STROKE, MAX_STROKE = 1.8, 4.2
# At half the size, widths are measured to within this factor.
ROUGHLY = 1.15

Pixels = NDArray[np.uint8]


def is_mnist_form(pixels: Pixels) -> bool:
    """Whether uint8 pixels were prepared as MNIST was, and so should stay as they are.

    All 70,000 published images share these properties: 28x28 grey, ink that fills a 20-pixel box
    (19 in 16 of them), centre of mass within half a pixel of the middle, a maximum of 254 or more.
    """
    if pixels.shape != (SIDE, SIDE) or int(pixels.max()) < 254:
        return False
    columns, rows = pixels.sum(axis=0, dtype=np.int64), pixels.sum(axis=1, dtype=np.int64)
    height, width = (int(np.ptp(np.flatnonzero(profile))) + 1 for profile in (rows, columns))
    if not BOX - 1 <= max(height, width) <= BOX:
        return False
    # Pixel i covers i..i+1, the middle of the image is 14. MNIST was centred on whole pixels.
    steps = np.arange(SIDE)
    total = int(rows.sum())
    return all(abs(int(profile @ steps) / total - 14) < 0.55 for profile in (rows, columns))


def fit(amount: Grey, mask: Mask) -> Pixels:
    """Bring the ink under a mask, both (height, width), to uint8 (28, 28) in MNIST's form.

    The method is that of LeCun et al., "Gradient-based learning applied to document recognition"
    (1998): aspect kept, the longer side 20 pixels, antialiased, the centre of mass in the middle.
    Strokes far thinner or thicker than MNIST's are first brought to its range.
    """
    amount, mask = np.pad(amount, 2), np.pad(mask, 2)
    # A soft edge around the mask keeps the outline smooth when it is scaled.
    soft = mask
    for _ in range(2):
        soft = thickened(soft, 1, axis=0) | thickened(soft, 1, axis=1)
    own = np.where(soft, amount, 0)
    scaled = _to_box(np.minimum(own, 1), mask)
    shape = scaled > 0.45
    if not shape.any():
        shape = scaled >= scaled.max()
    return _centred(_to_box(_with_usual_stroke(shape).astype(np.float32)))


def _to_box(ink: Grey, mask: Mask | None = None) -> Grey:
    """Cut to the mask's (or the ink's) outline; scale to 160 pixels on the longer side."""
    own = ink[around(ink > 0 if mask is None else mask)]
    scale = BOX * FINE / max(own.shape)
    size = (max(round(own.shape[1] * scale), 1), max(round(own.shape[0] * scale), 1))
    image = Image.fromarray(own.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32)


def _with_usual_stroke(shape: Mask) -> Mask:
    """Thicken hairlines and thin out fat strokes."""
    from scipy import ndimage

    lowest, highest = MIN_STROKE * FINE, MAX_STROKE * FINE
    if ROUGHLY * lowest < 2 * width_of(depths(shape[::2, ::2])) < highest / ROUGHLY:
        return shape
    depth = depths(shape)
    width = width_of(depth)
    if width < lowest:
        distance = ndimage.distance_transform_edt(~np.pad(shape, 2 * FINE))
        return np.asarray(distance <= (lowest - width) / 2)
    changed = shape.copy()
    if width > highest:
        changed[shape] = depth > (width - highest) / 2
    return changed if changed.any() else shape


def _centred(ink: Grey) -> Pixels:
    height, width = ink.shape
    down, right = ink.sum(axis=1), ink.sum(axis=0)
    centre_y = float(down @ np.arange(height)) / float(down.sum()) + 0.5
    centre_x = float(right @ np.arange(width)) / float(right.sum()) + 0.5
    side = SIDE * FINE
    top = min(max(round(side / 2 - centre_y), 0), side - height)
    left = min(max(round(side / 2 - centre_x), 0), side - width)
    canvas = np.zeros((side, side), np.float32)
    canvas[top : top + height, left : left + width] = ink
    small = canvas.reshape(SIDE, FINE, SIDE, FINE).mean(axis=(1, 3))
    # A thin stroke across pixel borders reaches no pixel fully; MNIST's digits all reach 255.
    pixels: Pixels = np.rint(small * (255 / small.max())).astype(np.uint8)
    return pixels
