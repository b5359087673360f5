"""Take the faint lines of ruled and squared paper out of the ink."""

from dataclasses import replace

import numpy as np

from mnistctl.imaging.ink import Grey, Ink, Mask, connected

# A line's ink is from here on, and no more than this: beyond, it may be the pen's.
LEAST, MOST = 0.12, 0.75
# In heights of the picture: how thick a line may be.
MAX_THICK = 0.04


def without_rulings(ink: Ink) -> Ink:
    """The same ink less its straight, thin lines from border to border that are fainter than a pen.

    Where a stroke crosses a line it stays.
    """
    from scipy import ndimage

    least = max(LEAST, 3 * ink.noise / ink.contrast) if ink.contrast else LEAST
    lines = _lines(ink.amount, least) | _lines(ink.amount.T, least).T
    if not lines.any():
        return ink
    level = float(np.median(ink.amount[lines]))
    if level > MOST:
        return ink
    # The pen's soft edge is as faint as a line.
    pen = ndimage.binary_dilation(ink.amount > (1 + level) / 2)
    lines = ndimage.binary_dilation(lines) & ~pen
    return replace(ink, amount=np.where(lines, 0, ink.amount))


def _lines(amount: Grey, least: float) -> Mask:
    """Pixels of nearly horizontal thin lines that reach from side to side."""
    from scipy import ndimage

    height, width = amount.shape
    mask, length, slack = amount > least, max(width // 4, 8), max(height // 160, 1)
    found = np.zeros_like(mask)
    # Thickened by a pixel or two on either side, a line a few degrees off still holds a run.
    thick = ndimage.maximum_filter1d(mask.astype(np.uint8), 2 * slack + 1, axis=0)
    if (thick.mean(axis=1) < 0.2).all():
        return found
    runs = ndimage.minimum_filter1d(thick, length, axis=1)
    runs = ndimage.maximum_filter1d(runs, length, axis=1).astype(bool)
    labels = connected(runs)
    for index, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        if columns.start > 0.02 * width or columns.stop < 0.98 * width:
            continue
        line = (labels[rows] == index) & mask[rows]
        if np.median(line.sum(axis=0)) <= max(MAX_THICK * height, 2):
            found[rows] |= line
    return found
