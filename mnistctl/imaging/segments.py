"""Which runs of the parts of a line may each be a digit, and which of them together read best."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mnistctl.imaging.cuts import Cut, cuts
from mnistctl.imaging.digits import Piece

Confidence = Callable[[Sequence[Piece]], NDArray[np.float32]]
"""Logarithm of the probability of each piece's likeliest class."""

# In heights of the line: the widest digit that is cut off or joined, the widest gap within one.
MAX_WIDTH, MAX_GAP = 1.4, 0.3
# In heights of the line, and in strokes as long as that: no digit is lower, or has less ink.
MIN_HEIGHT, MIN_INK = 0.4, 0.4
# In strokes as long as the line is high: from here on what is beyond a cut may be of both sides.
SHARED_INK = 0.25
# What speaks against a segment, in units of the logarithm: for each stroke cut, for each height of
# the line by which it is lower than 0.8 or wider than 1.1 heights, for each height of a gap in it.
# PIECE speaks for each segment: the likeliest whole would have the fewest.
CROSSED, LOW, WIDE, GAP, PIECE, SHARED = 0.2, 3.0, 8.0, 3.0, 0.5, 0.5


@dataclass(frozen=True)
class Segment:
    """What may be one digit: the parts from `first` up to `end` of a line.

    `against` speaks against it, by its shape alone.
    """

    piece: Piece
    first: int
    end: int
    against: float


def best_pieces(line: Sequence[Piece], confidence: Confidence) -> list[Piece]:
    """The digits of a line of pieces that stand apart, of which some are several or a fragment.

    Heuristic over-segmentation: what may be a digit is classified, and the path through all of it
    with the highest score is found by dynamic programming, as in LeCun et al., "Gradient-based
    learning applied to document recognition" (1998), section V.
    """
    found = list(_segments(line))
    scores = confidence([own.piece for own in found]) - [own.against for own in found]
    best: dict[int, tuple[float, list[Piece]]] = {0: (0.0, [])}
    for own, score in sorted(zip(found, scores, strict=True), key=lambda pair: pair[0].end):
        if own.first in best:
            total, pieces = best[own.first]
            if own.end not in best or total + score > best[own.end][0]:
                best[own.end] = total + score, [*pieces, own.piece]
    return best[max(best)][1]


def _segments(line: Sequence[Piece]) -> Iterator[Segment]:
    """Runs of parts of each piece, and each two pieces that are near."""
    tallest = max(piece.height for piece in line)
    tall = float(np.median([own.height for own in line if own.height >= 0.5 * tallest]))
    start = 0
    for number, piece in enumerate(line):
        for own in (runs := list(_runs(piece, start, tall))):
            yield own
        if number:
            joined = _join(line[number - 1], piece)
            gap = max(piece.left - line[number - 1].right, 0) / tall
            if gap <= MAX_GAP and joined.width <= MAX_WIDTH * tall:
                yield Segment(joined, before, runs[0].end, _against(joined, tall) + GAP * gap)
        before, start = start, runs[0].end


def _runs(piece: Piece, start: int, tall: float) -> Iterator[Segment]:
    """The piece itself, and what is between two of its cuts."""
    stroke = max(mark.stroke for mark in piece.marks)
    own = cuts(piece.mask, stroke)
    end = start + len(own) + 1
    yield Segment(piece, start, end, _against(piece, tall))
    columns = np.arange(piece.width)
    beyond = Cut(np.full(piece.height, piece.width), 0.0)
    bounds = [Cut(np.zeros(piece.height, int), 0.0), *own, beyond]
    for (first, left), (last, right) in combinations(enumerate(bounds, start), 2):
        if (first, last) == (start, end):
            continue
        inside = (columns >= left.columns[:, None]) & (columns < right.columns[:, None])
        part = _cut(piece, piece.mask & inside)
        if part is None or part.width > MAX_WIDTH * tall or part.height < MIN_HEIGHT * tall or part.mask.sum() < MIN_INK * stroke * tall:
            continue
        against = CROSSED * (left.crossed + right.crossed) + _against(part, tall)
        yield Segment(part, first, last, against)


def _cut(piece: Piece, mask) -> Piece | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    return Piece(
        piece.top + top,
        piece.left + left,
        piece.top + bottom,
        piece.left + right,
        mask[top:bottom, left:right],
        piece.marks,
        was_touching=True,
    )


def _join(a: Piece, b: Piece) -> Piece:
    top, left = min(a.top, b.top), min(a.left, b.left)
    bottom, right = max(a.bottom, b.bottom), max(a.right, b.right)
    mask = np.zeros((bottom - top, right - left), bool)
    for own in (a, b):
        mask[own.top - top : own.bottom - top, own.left - left : own.right - left] |= own.mask
    return Piece(top, left, bottom, right, mask, a.marks + b.marks)


def _against(piece: Piece, tall: float) -> float:
    low, wide = max(0.8 - piece.height / tall, 0), max(piece.width / tall - 1.1, 0)
    return LOW * low + WIDE * wide - PIECE
