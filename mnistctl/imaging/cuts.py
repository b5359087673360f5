"""Where one piece of ink may be two digits: paths from top to bottom that cut little ink."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mnistctl.imaging.masks import Grey, Mask

# Rows in which paths are searched.
ROWS = 40
# All in heights of the piece: how far a path bends to either side of its column, how far apart the
# columns and then the cuts are, and how much a part is at least wide.
BEND, STEP, APART, LEAST = 0.14, 0.05, 0.035, 0.12
# Cuts are further apart than this many strokes, too.
STROKES_APART = 0.3
# What a cut may cost at most, in strokes.
MAX_COST = 1.25
# Ink around a point is its mean with a Gaussian weight of this deviation, in strokes.
AROUND = 0.35
# The least that ink costs; and a step to the side, so that paths are straight where they may.
LEAST_COST, SIDEWAYS = 0.05, 0.05


@dataclass(frozen=True)
class Cut:
    """`columns` is int (height,): in each row the first column that is to the right of the cut.

    `cost` is how much ink is cut, in widths of the stroke, that little of where strokes meet.
    """

    columns: NDArray[np.int64]
    cost: float


def cuts(mask: Mask, stroke: float) -> list[Cut]:
    """Cuts of a mask (height, width) from the left, of those near each other the cheapest.

    Each is the cheapest path within a band of columns, found by dynamic programming, as in Lee, Lee
    and Park, "A new methodology for gray-scale character segmentation and recognition" (IEEE TPAMI,
    1996). Ink costs the share of paper around it: least where two strokes meet, most across one.
    """
    from scipy import ndimage

    height, width = mask.shape
    ink, scale = _reduced(mask), height / ROWS
    around = ndimage.gaussian_filter(ink, AROUND * stroke / scale)
    paths, costs = _paths(ink * np.maximum(1 - around, LEAST_COST))
    rows = np.minimum((np.arange(height) / scale).astype(int), ROWS - 1)
    apart = max(APART * height, STROKES_APART * stroke)
    found: list[Cut] = []
    for index in np.argsort(costs, kind="stable"):
        cost = float(costs[index]) * scale / stroke
        if cost > MAX_COST:
            break
        columns = np.rint((paths[index, rows] + 0.5) * scale).astype(np.int64)
        near = (np.abs(columns - own.columns).mean() < apart for own in found)
        if not any(near) and _divides(mask, columns, LEAST * height):
            found.append(Cut(columns, cost))
    return sorted(found, key=lambda cut: float(cut.columns.mean()))


def _reduced(mask: Mask) -> Grey:
    """Share of ink in squares of which ROWS are as high as the mask."""
    height, width = mask.shape
    size = (max(round(width * ROWS / height), 1), ROWS)
    image = Image.fromarray(mask.astype(np.float32)).resize(size, Image.Resampling.BOX)
    return np.asarray(image, np.float32)


def _paths(cost: Grey) -> tuple[NDArray[np.int64], Grey]:
    """For each band the column of the cheapest path in each row, int (bands, ROWS), and its cost.

    `cost` is (ROWS, width).
    """
    bend, step = round(BEND * ROWS), round(STEP * ROWS)
    padded = np.pad(cost, ((0, 0), (bend, bend)))
    bands = np.lib.stride_tricks.sliding_window_view(padded, 2 * bend + 1, axis=1)[:, ::step]
    each = np.arange(bands.shape[1])
    total, moves = bands[0], np.zeros(bands.shape, np.int64)
    for row in range(1, ROWS):
        aside = np.pad(total + SIDEWAYS, ((0, 0), (1, 1)), constant_values=np.inf)
        options = np.stack([aside[:, :-2], total, aside[:, 2:]])
        moves[row] = options.argmin(axis=0) - 1
        total = options.min(axis=0) + bands[row]
    paths = np.empty((len(each), ROWS), np.int64)
    paths[:, -1] = total.argmin(axis=1)
    for row in range(ROWS - 1, 0, -1):
        paths[:, row - 1] = paths[:, row] + moves[row, each, paths[:, row]]
    costs: Grey = bands[np.arange(ROWS), each[:, None], paths].sum(axis=1)
    return paths + each[:, None] * step - bend, costs


def _divides(mask: Mask, columns: NDArray[np.int64], least: float) -> bool:
    """Whether there is ink of some width on both sides."""
    left = np.arange(mask.shape[1]) < columns[:, None]
    sides = ((mask & side).any(axis=0) for side in (left, ~left))
    return all(side.any() and np.ptp(np.flatnonzero(side)) + 1 >= least for side in sides)
