"""Find the marks on a page: which ink belongs to a digit, which to lines, frames and dirt."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mnistctl.data.ink import Ink, Mask

# Ink is where the amount passes HIGH, and whatever passes LOW in one piece with it: pencil
# fades along a stroke, paper doesn't darken next to one.
LOW, HIGH = 0.35, 0.55


@dataclass(frozen=True)
class Mark:
    """One connected piece of ink: rows and columns from `top`, `left` up to `bottom`, `right`."""

    label: int
    top: int
    left: int
    bottom: int
    right: int
    area: int
    contact: float
    """Share of the box's outline that lies on the picture's border."""

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def size(self) -> int:
        return max(self.height, self.width)


@dataclass(frozen=True)
class Page:
    """The marks of a picture. `labels` is int (height, width), 0 where no mark is."""

    labels: NDArray[np.int64]
    marks: tuple[Mark, ...]
    num_specks: int
    covered: float
    """Share of the picture that is ink, specks and lines included."""


def find_marks(ink: Ink) -> Page:
    """Split the ink into marks, without ruled lines, frames around the page and specks."""
    mask = _inky(ink)
    covered = float(mask.mean())
    mask = _without_lines(mask)
    labels, marks = _components(mask)
    marks = _without_frame(marks, mask.shape)
    largest = max((mark.area for mark in marks), default=0)
    size = max((mark.size for mark in marks), default=0)
    kept = tuple(m for m in marks if m.area >= 0.02 * largest and m.size >= 0.06 * size)
    return Page(labels, kept, len(marks) - len(kept), covered)


def _inky(ink: Ink) -> Mask:
    from skimage.filters import apply_hysteresis_threshold

    low = max(LOW, min(4 * ink.noise / ink.contrast, HIGH)) if ink.contrast else LOW
    mask: Mask = apply_hysteresis_threshold(ink.amount, low, HIGH)
    return mask


def _components(mask: Mask) -> tuple[NDArray[np.int64], list[Mark]]:
    from scipy import ndimage
    from skimage.measure import label

    labels = label(mask, connectivity=2)
    areas = np.bincount(labels.ravel())
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    edges = np.bincount(border, minlength=len(areas))
    marks = []
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        rows, columns = box
        outline = 2 * (rows.stop - rows.start + columns.stop - columns.start)
        marks.append(
            Mark(
                index, rows.start, columns.start, rows.stop, columns.stop,
                int(areas[index]), float(edges[index]) / outline,
            )
        )  # fmt: skip
    return labels, marks


def _without_frame(marks: list[Mark], shape: tuple[int, ...]) -> list[Mark]:
    """Drop what hugs the border (a table beside the page, a drawn frame) if a mark remains.

    A lone stroke that runs off the picture is a digit cut close, so it stays.
    """
    inner = [mark for mark in marks if not _is_frame(mark, shape)]
    if any(mark.size >= 0.08 * max(shape) for mark in inner):
        return inner
    return marks


def _is_frame(mark: Mark, shape: tuple[int, ...]) -> bool:
    height, width = shape[:2]
    sides = (mark.top == 0) + (mark.left == 0) + (mark.bottom == height) + (mark.right == width)
    hugging = mark.contact > 0.2
    around = sides >= 3 and mark.height > 0.9 * height and mark.width > 0.9 * width
    sliver = sides >= 1 and mark.contact > 0.1 and min(mark.height, mark.width) < 0.05 * max(shape)
    return hugging or around or sliver


def _without_lines(mask: Mask) -> Mask:
    """Take ruled or squared paper's lines out of the ink, leaving the strokes that cross them.

    A line runs straight from border to border and is no wider than a stroke. The only ink there is
    can't be a line: then it is a 1 or a minus, and stays.
    """
    horizontal = _long_runs(mask)
    vertical = _long_runs(mask.T).T
    lines = horizontal | vertical
    if not lines.any():
        return mask
    remaining: Mask = mask & ~lines
    _, marks = _components(remaining)
    return remaining if any(m.size >= 0.08 * max(mask.shape) for m in marks) else mask


def _long_runs(mask: Mask) -> Mask:
    """Pixels of thin, nearly horizontal lines from one side to the other."""
    from scipy import ndimage
    from skimage.measure import label

    height, width = mask.shape
    length = max(width // 4, 8)
    if (mask.mean(axis=1) < 0.1).all():
        return np.zeros_like(mask)
    # Thickened by a pixel or two on either side, a line a few degrees off still holds a run.
    slack = max(height // 160, 1)
    thick = ndimage.maximum_filter1d(mask.astype(np.uint8), 2 * slack + 1, axis=0)
    runs = ndimage.minimum_filter1d(thick, length, axis=1)
    runs = ndimage.maximum_filter1d(runs, length, axis=1).astype(bool)
    found = np.zeros_like(mask)
    labels = label(runs, connectivity=2)
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        if box[1].start > 0.02 * width or box[1].stop < 0.98 * width:
            continue
        line = (labels == index) & mask
        thickness = np.median(line.sum(axis=0)[line.any(axis=0)])
        if thickness > max(0.04 * height, 2):
            continue
        tall = int(2 * thickness) + 2
        crossing = ndimage.minimum_filter1d(mask.astype(np.uint8), tall, axis=0)
        crossing = ndimage.maximum_filter1d(crossing, tall, axis=0).astype(bool)
        found |= line & ~crossing
    return found
