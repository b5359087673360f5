"""Take the faint lines of ruled and squared paper out of the ink."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mnistctl.imaging.ink import Ink
from mnistctl.imaging.masks import Mask, connected, thickened

# A line's ink is from here on, and no more than this: beyond, it may be the pen's.
LEAST, MOST = 0.12, 0.75
# In heights of the picture: how thick a line may be.
MAX_THICK = 0.04


def without_rulings(ink: Ink) -> Ink:
    """The same ink less its straight, thin lines from border to border that are fainter than a pen.

    Where a stroke crosses a line it stays.
    """
    least = max(LEAST, 3 * ink.noise / ink.contrast) if ink.contrast else LEAST
    mask = ink.amount > least
    lines = _lines(mask) | _lines(np.ascontiguousarray(mask.T)).T
    if not lines.any():
        return ink
    level = float(np.median(ink.amount[lines]))
    if level > MOST:
        return ink
    # The pen's soft edge is as faint as a line.
    pen = _grown(ink.amount > (1 + level) / 2)
    lines = _grown(lines) & ~pen
    return replace(ink, amount=np.where(lines, 0, ink.amount))


def _grown(mask: Mask) -> Mask:
    return thickened(mask, 1, axis=0) | thickened(mask, 1, axis=1)


def _lines(mask: Mask) -> Mask:
    """Pixels of nearly horizontal thin lines that reach from side to side."""
    found = np.zeros_like(mask)
    for rows, line in lines_across(mask):
        if np.median(line.sum(axis=0)) <= max(MAX_THICK * len(mask), 2):
            found[rows] |= line
    return found


def lines_across(mask: Mask) -> Iterator[tuple[slice, Mask]]:
    """Nearly horizontal lines from side to side of a mask: their rows, and their pixels in these.

    A line is made of runs a quarter as long as the picture is wide.
    """
    from scipy import ndimage

    height, width = mask.shape
    length = max(width // 4, 8)
    # Thickened by a pixel or two on either side, a line a few degrees off still holds a run.
    thick = thickened(mask, max(height // 160, 1), axis=0)
    rows = thick.view(np.uint8).sum(axis=1, dtype=np.uint32) > length // 2
    inner = slice(int(0.02 * width) + 1, int(0.98 * width))
    if not thick[rows, inner].any(axis=0).all():  # as nearly everywhere: no need to look for runs
        return
    runs = ndimage.minimum_filter1d(thick[rows].view(np.uint8), length, axis=1)
    if not runs.any():
        return
    whole = np.zeros_like(mask)
    whole[rows] = ndimage.maximum_filter1d(runs, length, axis=1)
    if not whole[:, inner].any(axis=0).all():
        return
    labels = connected(whole)
    for index, (tall, wide) in enumerate(ndimage.find_objects(labels), start=1):
        if wide.start <= 0.02 * width and wide.stop >= 0.98 * width:
            yield tall, (labels[tall] == index) & mask[tall]
