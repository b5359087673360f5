"""Which images a training step sees, and what it draws: functions of (seed, epoch, step) alone.

Nothing depends on how often a generator was used before, so evaluating more often, resuming in
the middle or spreading a batch over processes changes no number.
"""

from enum import IntEnum

import torch
from torch import Tensor

_MASK = (1 << 64) - 1


class Stream(IntEnum):
    """Independent purposes of random numbers; values are part of a run's reproducibility."""

    WEIGHTS = 1
    ORDER = 2
    STEP = 3
    VALIDATION = 4
    AUGMENTATION = 5
    OUTLIERS = 6
    OUTLIER_AUGMENTATION = 7


def derive_seed(seed: int, stream: Stream, epoch: int = 0, step: int = 0) -> int:
    """A seed of 63 bits for one purpose at one place of a run.

    torch's CPU generator keeps 32 of them.

    Chained splitmix64 (Steele, Lea and Flood, OOPSLA 2014): neighbouring places share nothing.
    """
    state = 0
    for part in (seed, int(stream), epoch, step):
        state = (state + part + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


def epoch_order(seed: int, epoch: int, num_images: int) -> Tensor:
    """The order of the training images in `epoch`: a permutation, int64, shape (num_images,)."""
    generator = torch.Generator().manual_seed(derive_seed(seed, Stream.ORDER, epoch))
    return torch.randperm(num_images, generator=generator)


def split_validation(seed: int, num_images: int, validation: int) -> tuple[Tensor, Tensor]:
    """Indexes of the images to train on and of `validation` held-out ones, int64, both sorted."""
    generator = torch.Generator().manual_seed(derive_seed(seed, Stream.VALIDATION))
    shuffled = torch.randperm(num_images, generator=generator)
    kept = num_images - validation
    return shuffled[:kept].sort().values, shuffled[kept:].sort().values


def shard_of(total: int, rank: int, world_size: int) -> tuple[int, int]:
    """(first, end) of the rows of a batch of `total` that process `rank` of `world_size` takes."""
    return total * rank // world_size, total * (rank + 1) // world_size
