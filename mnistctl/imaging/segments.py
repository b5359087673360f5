"""Which parts of a line of writing are each a digit: touching ones cut, broken ones joined."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from mnistctl.imaging.cuts import Cut, cuts
from mnistctl.imaging.digits import Piece
from mnistctl.imaging.masks import Mask, around

Confidence = Callable[[Sequence[Piece]], NDArray[np.float32]]
"""Logarithm of the probability of each piece's likeliest class."""

# A piece is one digit if the network is so sure of it, and it is no wider, in its heights.
SURE, NARROW = float(np.log(0.9)), 1.1
# More unsure pieces than this are no number; nor is one piece so many times wider than high.
MAX_UNSURE, MAX_ASPECT = 12, 8.0
# In heights of the line: the widest digit that is cut off or joined, the widest gap within one.
MAX_WIDTH, MAX_GAP = 1.4, 0.3
# In heights of the line, and in strokes as long as that: no digit is lower, or has less ink.
MIN_HEIGHT, MIN_INK = 0.4, 0.4
# What speaks against a segment, in units of the logarithm: for what a cut costs, for each height of
# the line by which it is lower than 0.8 or wider than 1.1 heights, for each height of a gap in it.
CUT, LOW, WIDE, GAP = 1.2, 6.0, 8.0, 3.0
# What speaks for each: of all ways, the one with the fewest would be the likeliest.
EACH = 0.5


@dataclass(frozen=True)
class Segment:
    """What may be one digit, from the place `first` of a line to `end`; places are between parts.

    `against` speaks against it, by its shape alone.
    """

    piece: Piece
    first: int
    end: int
    against: float


def best_pieces(line: Sequence[Piece], confidence: Confidence) -> list[Piece]:
    """The digits of a line of pieces that stand apart, some of them several, some a fragment.

    Heuristic over-segmentation: all that may be a digit is classified, and of all ways through the
    line dynamic programming finds that with the highest score, as in LeCun et al., "Gradient-based
    learning applied to document recognition" (1998), section V.
    """
    tallest = max(own.height for own in line)
    tall = float(np.median([own.height for own in line if own.height >= 0.5 * tallest]))
    alone = confidence(line)
    unsure = [
        score < SURE or own.width > NARROW * own.height
        for own, score in zip(line, alone, strict=True)
    ]
    divided = [
        cuts(own.mask, own.stroke)
        if doubted and sum(unsure) <= MAX_UNSURE and own.width < MAX_ASPECT * own.height
        else []
        for own, doubted in zip(line, unsure, strict=True)
    ]
    places = np.cumsum([0, *(len(own) + 1 for own in divided)]).tolist()
    found = [
        Segment(own, first, end, _against(own, tall))
        for own, (first, end) in zip(line, pairwise(places), strict=True)
    ]
    for own, between, first in zip(line, divided, places, strict=False):
        found += _parts(own, between, first, tall)
    for k in range(len(line) - 1):
        if unsure[k] or unsure[k + 1]:
            found += _joined(line[k], line[k + 1], places[k], places[k + 2], tall)
    more = [own.piece for own in found[len(line) :]]
    scores = np.concatenate([alone, confidence(more)]) if more else alone
    return _best_way(found, scores - [own.against for own in found])


def _best_way(found: Sequence[Segment], scores: NDArray[np.float64]) -> list[Piece]:
    best: dict[int, tuple[float, list[Piece]]] = {0: (0.0, [])}
    for own, score in sorted(zip(found, scores, strict=True), key=lambda pair: pair[0].end):
        if own.first in best:
            total, pieces = best[own.first]
            if own.end not in best or total + score > best[own.end][0]:
                best[own.end] = total + score, [*pieces, own.piece]
    return best[max(best)][1]


def _parts(piece: Piece, between: Sequence[Cut], start: int, tall: float) -> Iterator[Segment]:
    """What lies between two cuts of a piece, or a cut and its end, and may be a digit."""
    columns = np.arange(piece.width)
    left = Cut(np.zeros(piece.height, np.int64), 0.0)
    right = Cut(np.full(piece.height, piece.width), 0.0)
    for (first, a), (end, b) in combinations(enumerate([left, *between, right]), 2):
        if end - first > len(between):
            continue  # the whole
        inside = (columns >= a.columns[:, None]) & (columns < b.columns[:, None])
        mask = piece.mask & inside
        if mask.sum() < MIN_INK * piece.stroke * tall:
            continue
        part = _part(piece, mask)
        if part.width <= MAX_WIDTH * tall and part.height >= MIN_HEIGHT * tall:
            against = CUT * (a.cost + b.cost) + _against(part, tall)
            yield Segment(part, start + first, start + end, against)


def _part(piece: Piece, mask: Mask) -> Piece:
    rows, columns = around(mask)
    return Piece(
        piece.top + rows.start,
        piece.left + columns.start,
        piece.top + rows.stop,
        piece.left + columns.stop,
        mask[rows, columns],
        piece.marks,
        was_touching=True,
    )


def _joined(a: Piece, b: Piece, first: int, end: int, tall: float) -> Iterator[Segment]:
    """Two neighbours as one digit, if they are near enough."""
    top, left = min(a.top, b.top), min(a.left, b.left)
    bottom, right = max(a.bottom, b.bottom), max(a.right, b.right)
    gap = max(b.left - a.right, 0)
    if gap > MAX_GAP * tall or right - left > MAX_WIDTH * tall:
        return
    mask = np.zeros((bottom - top, right - left), bool)
    for own in (a, b):
        mask[own.top - top : own.bottom - top, own.left - left : own.right - left] |= own.mask
    piece = Piece(top, left, bottom, right, mask, a.marks + b.marks)
    yield Segment(piece, first, end, _against(piece, tall) + GAP * gap / tall)


def _against(piece: Piece, tall: float) -> float:
    low, wide = max(0.8 - piece.height / tall, 0), max(piece.width / tall - 1.1, 0)
    return LOW * low + WIDE * wide - EACH
