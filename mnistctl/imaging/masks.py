"""Masks: their connected pieces, how deep and wide these are, and how like a pen's strokes."""

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]

EVERYWHERE = ((True, True), (True, True))
# Pixels up to which depths are exact: what is deeper is no stroke, whatever the picture's size.
# Twice its square fits into 16 bits.
DEEPEST = 180


def connected(mask: Mask) -> NDArray[np.int32]:
    """Number the connected pieces of a mask, diagonals included: 1 and up, 0 elsewhere.

    scikit-image's `label` imports scipy.spatial on its first mask, as long as all the rest takes.
    """
    from scipy import ndimage

    labels, box = np.zeros(mask.shape, np.int32), around(mask)
    ndimage.label(mask[box], structure=np.ones((3, 3)), output=labels[box])
    return labels


def thickened(mask: Mask, reach: int, axis: int) -> Mask:
    """A mask with each of its pixels stretched by `reach` pixels both ways along an axis."""
    found = mask.copy()
    into, source = (found, mask) if axis == 0 else (found.T, mask.T)
    for step in range(1, reach + 1):
        into[step:] |= source[:-step]
        into[:-step] |= source[step:]
    return found


def around(mask: Mask, margin: int = 0) -> tuple[slice, ...]:
    """Rows and columns that hold all of a mask, and so many more on every side."""
    if not mask.any():
        return slice(0), slice(0)
    spans = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return tuple(slice(max(int(own[0]) - margin, 0), int(own[-1]) + 1 + margin) for own in spans)


def depths(
    own: Mask, beyond: tuple[tuple[bool, bool], tuple[bool, bool]] = EVERYWHERE
) -> NDArray[np.float64]:
    """Distance of each pixel of a connected piece, cut to its box, from what is none of it: (n,).

    `beyond` tells for each side (top, bottom), (left, right) whether there is anything outside the
    box. Other pieces never come nearer than the gap before them, so the box is all it takes.
    Along rows first, then down and up (Meijster, Roerdink and Hesselink, 2000), as far as the
    deepest pixel needs: strokes are thin. DEEPEST pixels at most.
    """
    padded = np.pad(own, [[int(side) for side in pair] for pair in beyond])
    places = np.arange(padded.shape[1], dtype=np.int16)
    before = np.where(padded, np.int16(-DEEPEST), places)
    after = np.where(padded, np.int16(len(places) + DEEPEST), places)[:, ::-1]
    left = places - np.maximum.accumulate(before, axis=1)
    right = np.minimum.accumulate(after, axis=1)[:, ::-1] - places
    along = np.minimum(np.minimum(left, right), DEEPEST).astype(np.uint16) ** 2
    nearest = along.copy()
    for step in range(1, len(padded)):
        if step**2 >= nearest.max():
            break
        further = along + np.uint16(step**2)
        np.minimum(nearest[step:], further[:-step], out=nearest[step:])
        np.minimum(nearest[:-step], further[step:], out=nearest[:-step])
    return np.sqrt(nearest[padded], dtype=np.float64)


def width_of(depth: NDArray[np.float64]) -> float:
    """Mean width of strokes: the mean depth of a bar is a quarter of its width."""
    return 4 * float(depth.mean()) if depth.size else 0.0


def stroke_score(amount: Grey, rim: Mask) -> float:
    """How much the ink looks like pen strokes, 0..1: thin, in one place, away from the rim."""
    from scipy import ndimage

    mask = amount > 0.5
    if not mask.any():
        return 0.0
    labels = connected(mask)
    areas = np.bincount(labels.ravel())
    edges = np.bincount(labels[rim], minlength=len(areas))
    boxes, total, best = ndimage.find_objects(labels), int(mask.sum()), 0.0
    for index in np.argsort(-areas[1:], kind="stable") + 1:
        box = boxes[index - 1]
        height, width = (side.stop - side.start for side in box)
        size = max(height, width)
        alone = (min(size / (0.25 * max(mask.shape)), 1.0) * float(areas[index]) / total) ** 0.5
        if alone <= best:  # it can't be better than this
            continue
        own = labels[box] == index
        stroke = width_of(depths(own)) / size
        thin = min(max((0.55 - stroke) / 0.3, 0.0), 1.0)
        contact = edges[index] / (2 * (height + width))
        inside = max(1 - 4 * float(contact), 0.02)
        solid = float(np.minimum(amount[box][own], 1).mean())
        best = max(best, thin * inside * solid * alone)
    return best
