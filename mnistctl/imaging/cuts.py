"""Where one piece of ink may be two digits: paths from its top to its bottom that cut little ink."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistctl.imaging.ink import Mask

# Rows in which paths are searched.
ROWS = 40
# All in heights of the piece: how far a path bends to either side of its column, how far apart the
# columns and then the cuts are, and how much a part is at least wide.
BEND, STEP, APART, LEAST = 0.2, 0.05, 0.08, 0.12
# Strokes that a cut may cross, their widths added up.
MAX_CROSSED = 2.5
KAPPA = 1.5
SIDEWAYS = 0.05
"""Cost of a step to the side, in rows of ink: straight where nothing is gained."""


@dataclass(frozen=True)
class Cut:
    """`columns` is int (height,): in each row the first column that is to the right of the cut.

    `crossed` is how much ink is cut, in widths of the stroke.
    """

    columns: NDArray[np.int64]
    crossed: float


def cuts(mask: Mask, stroke: float) -> list[Cut]:
    """Cuts of a mask (height, width) from the left, of those near each other the cheapest.

    Each is the path that crosses the least ink within a band of columns, found by dynamic
    programming, as in Lee, Lee and Park, "A new methodology for gray-scale character segmentation
    and recognition" (IEEE TPAMI, 1996).
    """
    height, width = mask.shape
    ink = _reduced(mask)
    paths, costs = _paths(ink * _bare(ink, 2 * stroke * ROWS / height))
    rows = np.minimum(np.arange(height) * ROWS // height, ROWS - 1)
    found: list[Cut] = []
    for index in np.argsort(costs, kind="stable"):
        crossed = float(costs[index]) * height / ROWS / stroke
        columns = np.rint((paths[index, rows] + 0.5) * height / ROWS).astype(np.int64)
        if crossed > MAX_CROSSED:
            break
        near = (float(np.abs(columns - own.columns).mean()) < max(APART * height, 0.7 * stroke) for own in found)
        if not any(near) and _divides(mask, columns, LEAST * height):
            found.append(Cut(columns, crossed))
    return sorted(found, key=lambda cut: float(cut.columns.mean()))


def _reduced(mask: Mask) -> NDArray[np.float32]:
    """Share of ink in squares as high as the mask over ROWS."""
    height, width = mask.shape
    size = (max(round(width * ROWS / height), 1), ROWS)
    image = Image.fromarray(mask.astype(np.float32)).resize(size, Image.Resampling.BOX)
    return np.asarray(image, np.float32)


def _bare(ink: NDArray[np.float32], wide: float) -> NDArray[np.float32]:
    """What a cut costs: less where strokes meet, and ink is all around."""
    from scipy import ndimage

    around: NDArray[np.float32] = ndimage.gaussian_filter(ink, wide / 4)
    return KAPPA - around


def _paths(ink: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each band the cheapest path, int (bands, ROWS), and the ink in it, in rows."""
    bend, step = round(BEND * ROWS), round(STEP * ROWS)
    padded = np.pad(ink, ((0, 0), (bend, bend)))
    bands = np.lib.stride_tricks.sliding_window_view(padded, 2 * bend + 1, axis=1)[:, ::step]
    count, wide = bands.shape[1:]
    inf = np.full((count, 1), np.inf, np.float32)
    total, moves = bands[0].copy(), np.zeros((ROWS, count, wide), np.int64)
    for row in range(1, ROWS):
        sides = total + np.float32(SIDEWAYS)
        options = np.stack([np.hstack([inf, sides[:, :-1]]), total, np.hstack([sides[:, 1:], inf])])
        moves[row] = options.argmin(axis=0) - 1
        total = options.min(axis=0) + bands[row]
    paths = np.empty((count, ROWS), np.int64)
    paths[:, -1] = total.argmin(axis=1)
    each = np.arange(count)
    for row in range(ROWS - 1, 0, -1):
        paths[:, row - 1] = paths[:, row] + moves[row, each, paths[:, row]]
    costs = bands[np.arange(ROWS)[None, :], each[:, None], paths].sum(axis=1)
    return paths + each[:, None] * step - bend, costs


def _divides(mask: Mask, columns: NDArray[np.int64], least: float) -> bool:
    """Whether there is ink of some width on both sides."""
    left = np.arange(mask.shape[1]) < columns[:, None]
    sides = ((mask & side).any(axis=0) for side in (left, ~left))
    return all(side.any() and np.ptp(np.flatnonzero(side)) + 1 >= least for side in sides)
