"""Find the marks on a page: which ink belongs to a digit, which to lines, frames and dirt."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mnistctl.imaging.ink import Ink
from mnistctl.imaging.masks import Mask, connected, depths, width_of
from mnistctl.imaging.rulings import MAX_THICK, lines_across

# Ink is where the amount passes HIGH, and whatever passes LOW in one piece with it: pencil
# fades along a stroke, paper doesn't darken next to one.
LOW, HIGH = 0.35, 0.55
# Share of the strongest mark's inkiness below which another is a shadow, a fold or a stain.
PALE = 0.7
# More than the marks of a digit and what stands around it, and of a page full of digits: beyond
# is texture.
MAX_MARKS, MANY_MARKS = 64, 256

# Of a box around a digit: how large the digit is at least, how far the sides may slant, both as a
# fraction of the box, and how much of each side is drawn.
LEAST_HELD, SLANT, WHOLE_SIDE = 0.25, 0.05, 0.9


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
    """Share of the box's outline that lies on the rim of the picture or sheet."""
    stroke: float = 0.0
    """Mean stroke width, in pixels."""
    inkiness: float = 0.0
    """Mean amount of ink, 0..1: pen strokes reach 1, shadows and stains don't."""

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def size(self) -> int:
        return max(self.height, self.width)

    @property
    def strength(self) -> float:
        """How likely this is what the picture is about: large, dark, thin, off the border."""
        thin = min(max((0.7 - self.stroke / self.size) / 0.3, 0.05), 1.0)
        inside = max(1 - 3 * self.contact, 0.05)
        return float(self.area**0.5 * self.inkiness**2 * thin * inside)


@dataclass(frozen=True)
class Page:
    """The marks of a picture, strongest first. `labels` is int (height, width), 0 = no mark."""

    labels: NDArray[np.int32]
    marks: tuple[Mark, ...]
    stray: float
    """Share of the ink, lines, frames and shadows aside, that is in no mark: specks or texture."""

    @property
    def ink(self) -> Mask:
        """Where its marks are, (height, width)."""
        return np.isin(self.labels, [mark.label for mark in self.marks])


def find_marks(ink: Ink, most: int = MAX_MARKS) -> Page:
    """Split the ink into marks, without ruled lines, frames around the page, shadows and specks.

    `most`: how many marks to keep, the strongest.
    """
    mask = _without_lines(_inky(ink))
    labels = connected(mask)
    marks = _without_frame(_outlined(labels, ink), mask.shape)
    largest = max((mark.area for mark in marks), default=0)
    size = max((mark.size for mark in marks), default=0)
    large = [m for m in marks if m.area >= 0.02 * largest and m.size >= 0.06 * size]
    kept = [_measured(mark, labels, ink) for mark in large]
    kept.sort(key=lambda mark: -mark.strength)
    strange = [mark for mark in kept if _is_strange(mark, kept[0]) or _is_box(mark, kept, labels)]
    kept = [mark for mark in kept if mark not in strange]
    total = sum(mark.area for mark in marks) - sum(mark.area for mark in strange)
    marked = tuple(kept[:most])
    return Page(labels, marked, 1 - sum(mark.area for mark in marked) / max(total, 1))


def _inky(ink: Ink) -> Mask:
    """Hysteresis (Canny, 1986): pieces above the low threshold that reach the high one."""
    from scipy import ndimage

    low = max(LOW, min(4 * ink.noise / ink.contrast, HIGH)) if ink.contrast else LOW
    labels, count = ndimage.label(ink.amount > low)
    reaching = np.zeros(count + 1, bool)
    reaching[labels[ink.amount > HIGH]] = True
    reaching[0] = False
    mask: Mask = reaching[labels]
    return mask


def _outlined(labels: NDArray[np.int32], ink: Ink) -> list[Mark]:
    """The pieces by their outlines; strokes are measured later, where they matter."""
    from scipy import ndimage

    areas = np.bincount(labels.ravel())
    edges = np.bincount(labels[ink.rim], minlength=len(areas))
    marks = []
    for index, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        outline = 2 * (rows.stop - rows.start + columns.stop - columns.start)
        contact = float(edges[index]) / outline
        box = (rows.start, columns.start, rows.stop, columns.stop)
        marks.append(Mark(index, *box, int(areas[index]), contact))
    return marks


def _measured(mark: Mark, labels: NDArray[np.int32], ink: Ink) -> Mark:
    """`mark` with its stroke width and inkiness."""
    box = (slice(mark.top, mark.bottom), slice(mark.left, mark.right))
    own = labels[box] == mark.label
    height, width = labels.shape
    beyond = ((mark.top > 0, mark.bottom < height), (mark.left > 0, mark.right < width))
    stroke = width_of(depths(own, beyond))
    inkiness = float(np.minimum(ink.amount[box][own], 1).sum(dtype=np.float64)) / mark.area
    return replace(mark, stroke=stroke, inkiness=inkiness)


def _without_frame(marks: list[Mark], shape: tuple[int, ...]) -> list[Mark]:
    """Drop what hugs the border (a table beside the page, a drawn frame) if a mark remains.

    A lone stroke that runs off the picture is a digit cut close, so it stays.
    """
    inner = [mark for mark in marks if not _is_frame(mark, shape)]
    if any(mark.size >= 0.08 * max(shape) for mark in inner):
        return inner
    return marks


def _is_strange(mark: Mark, strongest: Mark) -> bool:
    """Whether a mark is of no pen: pale as a shadow, or thick and from outside, as a finger."""
    pale = mark.inkiness < PALE * strongest.inkiness
    return pale or (mark.contact > 0 and mark.stroke > 2 * strongest.stroke)


def _is_box(mark: Mark, marks: list[Mark], labels: NDArray[np.int32]) -> bool:
    """Whether a mark is a box, as on a form, or a row or column of boxes, with a mark in it."""
    side = min(mark.height, mark.width)
    edge = round(1.5 * mark.stroke + SLANT * side)
    if 3 * edge > side:  # as of most marks; a texture has many
        return False
    if not any(_holds(mark, own) and own.size >= LEAST_HELD * side for own in marks):
        return False
    own = labels[mark.top : mark.bottom, mark.left : mark.right] == mark.label
    inner = own[edge:-edge, edge:-edge]
    within = inner[inner.mean(1) < WHOLE_SIDE][:, inner.mean(0) < WHOLE_SIDE].sum()
    sides = (own[:edge].any(0), own[-edge:].any(0), own[:, :edge].any(1), own[:, -edge:].any(1))
    return bool(within < 0.05 * mark.area and min(drawn.mean() for drawn in sides) > WHOLE_SIDE)


def _holds(outer: Mark, inner: Mark) -> bool:
    down = outer.top < inner.top and inner.bottom < outer.bottom
    return down and outer.left < inner.left and inner.right < outer.right


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
    from scipy import ndimage

    horizontal = _long_runs(mask)
    vertical = _long_runs(np.ascontiguousarray(mask.T)).T
    lines = horizontal | vertical
    if not lines.any():
        return mask
    remaining: Mask = mask & ~lines
    boxes = ndimage.find_objects(connected(remaining))
    sizes = [max(side.stop - side.start for side in box) for box in boxes]
    return remaining if max(sizes, default=0) >= 0.08 * max(mask.shape) else mask


def _long_runs(mask: Mask) -> Mask:
    """Pixels of thin, nearly horizontal lines from one side to the other."""
    from scipy import ndimage

    found = np.zeros_like(mask)
    for rows, line in lines_across(mask):
        if not line.any():
            continue
        thickness = np.median(line.sum(axis=0)[line.any(axis=0)])
        if thickness > max(MAX_THICK * len(mask), 2):
            continue
        tall = int(2 * thickness) + 2
        crossing = ndimage.minimum_filter1d(mask.view(np.uint8), tall, axis=0)
        crossing = ndimage.maximum_filter1d(crossing, tall, axis=0).astype(bool)
        found[rows] |= line & ~crossing[rows]
    return found
