"""Made-up signs as a pen writes them, which teach what handwriting looks like that is no digit.

The grammar is after the generative model of handwritten characters by Lake, Salakhutdinov and
Tenenbaum (Science 350, 2015): a sign is a few strokes, a stroke a few parts, and a stroke begins,
crosses or ends where another one is.
"""

import math
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn.functional import avg_pool2d, normalize, pad

from mnistctl.data.pen import CHUNK, crisp_ink, one_thread
from mnistctl.events import Advance, no_progress

NUM_STROKES = (0.15, 0.35, 0.3, 0.2)
"""Probabilities of 1, 2, 3, 4 strokes in a sign."""
NUM_PARTS = (0.5, 0.3, 0.2)
"""Probabilities of 1, 2, 3 parts in a stroke."""
POINTS = 40
"""Points of a stroke."""
EIGHTH = math.pi / 4
PAPER = (5.0, 7.0)
"""Half the width and height of a sign."""
ALIKE = 0.925
"""Similarity from which a sign may be taken for a digit: one in four; of digits, nine in ten."""
NUM_COMPARED = 5_000


class Part(NamedTuple):
    """How strongly a part of a stroke turns, to either side, radians."""

    share: float
    least: float
    most: float


PARTS = (
    Part(0.45, 0.0, 0.15),  # a line
    Part(0.3, 0.6, 2.0),  # an arc
    Part(0.17, 2.0, 4.5),  # a hook
    Part(0.08, 4.5, 7.0),  # a loop
)


def draw_signs(
    count: int, seed: int, digits: Tensor | None = None, advance: Advance = no_progress
) -> Tensor:
    """`count` signs, uint8 (count, 28, 28), the same by seed.

    None of them looks like one of the first NUM_COMPARED of `digits`, uint8 (n, 28, 28).
    """
    generator = Generator().manual_seed(seed)
    kept: list[Tensor] = []
    with one_thread():
        while sum(map(len, kept)) < count:
            drawn = crisp_ink(*write_signs(CHUNK, generator), generator)
            if digits is not None:
                drawn = drawn[likeness(drawn, digits[:NUM_COMPARED]) < ALIKE]
            kept.append(drawn)
            advance(min(sum(map(len, kept)), count))
    return torch.cat(kept)[:count]


def likeness(pictures: Tensor, others: Tensor) -> Tensor:
    """Cosine similarity of each picture to the nearest of `others`, seen coarsely: float64 (n,).

    Both are uint8 (n, 28, 28).
    """
    return (_coarse(pictures) @ _coarse(others).T).amax(1)


def _coarse(pictures: Tensor) -> Tensor:
    """So blurred that a thin stroke is like a thick one, and of length 1."""
    small = avg_pool2d(pictures[:, None].double(), 4, 2).flatten(1)
    return normalize(small)


def write_signs(count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Paths of `count` signs, float32 (count, points, 2), and where the pen is down.

    The second, (count, points - 1), is 1 where it draws on to the next point, else 0.
    """
    num = _pick(NUM_STROKES, count, generator) + 1
    strokes: list[Tensor] = []
    for _ in NUM_STROKES:
        stroke = write_strokes(count, generator)
        strokes.append(stroke + _place(stroke, strokes, generator))
    down = torch.ones(count, len(strokes), POINTS)
    down[:, :, -1] = 0
    down *= torch.arange(len(strokes))[:, None] < num[:, None, None]
    return torch.cat(strokes, 1) * torch.tensor(PAPER), down.flatten(1)[:, :-1]


def write_strokes(count: int, generator: Generator) -> Tensor:
    """`count` strokes that begin at (0, 0), float32 (count, POINTS, 2), most of them 0.5 to 3 long.

    A stroke turns evenly along each of its parts, and often has a corner between two.
    """
    most = len(NUM_PARTS)
    num = _pick(NUM_PARTS, count, generator)[:, None] + 1
    turn = _turns(count * most, generator).view(count, most)
    corner = EIGHTH * torch.randint(-3, 4, (count, most), generator=generator)
    corner = corner * (torch.rand(count, most, generator=generator) < 0.7)
    corner = corner + 0.15 * torch.randn(count, most, generator=generator)
    # Along the axes or a diagonal more often than not, as in scripts.
    corner[:, 0] = EIGHTH * torch.randint(8, (count,), generator=generator)
    corner[:, 0] += 0.2 * torch.randn(count, generator=generator)

    # Longer where it turns, or what is round would be small.
    lengths = (torch.rand(count, most, generator=generator) + 0.3) * (0.9 + 0.3 * turn.abs())
    lengths = lengths * (torch.arange(most) < num)
    ends = lengths.cumsum(1)
    at = ends[:, -1:] * (torch.arange(POINTS - 1) + 0.5) / (POINTS - 1)
    part = torch.searchsorted(ends, at).clamp_max(most - 1)
    begins = pad(ends[:, :-1], (1, 0))
    done = (at - begins.gather(1, part)) / (ends - begins).gather(1, part)
    before = corner.cumsum(1) + pad(turn.cumsum(1)[:, :-1], (1, 0))
    heading = before.gather(1, part) + done * turn.gather(1, part)

    step = ends[:, -1:] / (POINTS - 1)
    steps = torch.stack([heading.cos(), heading.sin()], 2) * step[..., None]
    return pad(steps.cumsum(1), (0, 0, 1, 0))


def _turns(count: int, generator: Generator) -> Tensor:
    """By how much parts of strokes turn, radians, float32 (count,)."""
    kind = _pick([part.share for part in PARTS], count, generator)
    least, most = (
        torch.tensor([getattr(part, key) for part in PARTS]) for key in ("least", "most")
    )
    side = 2.0 * torch.randint(2, (count,), generator=generator) - 1
    turned = least[kind] + (most - least)[kind] * torch.rand(count, generator=generator)
    return side * turned


def _place(strokes: Tensor, others: list[Tensor], generator: Generator) -> Tensor:
    """By how much each stroke is moved, (n, 1, 2): to some place, or to meet one of `others`."""
    count = len(strokes)
    somewhere = 1.4 * torch.rand(count, 1, 2, generator=generator) - 0.7
    free = somewhere - strokes.mean(1, keepdim=True)
    if not others:
        return free
    rows, spots = torch.arange(count), torch.tensor([0, POINTS // 2, POINTS - 1])
    other = torch.stack(others)[torch.randint(len(others), (count,), generator=generator), rows]
    own = spots[_pick((0.6, 0.25, 0.15), count, generator)]
    along = torch.randint(POINTS, (count,), generator=generator)
    theirs = torch.where(
        torch.rand(count, generator=generator) < 0.3,
        along,
        spots[_pick((0.35, 0.35, 0.3), count, generator)],
    )
    meeting = other[rows, theirs] - strokes[rows, own]
    meeting = meeting + 0.06 * torch.randn(count, 2, generator=generator)
    meets = torch.rand(count, 1, 1, generator=generator) < 0.62
    return torch.where(meets, meeting[:, None], free)


def _pick(shares: tuple[float, ...] | list[float], count: int, generator: Generator) -> Tensor:
    """`count` indexes drawn with probabilities `shares`, int64."""
    return torch.multinomial(torch.tensor(shares), count, True, generator=generator)
