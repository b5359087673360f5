"""Random corruptions, as by cameras, scanners and pens, for training that tolerates them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from mnistctl.imaging.normalize import SIDE

KINDS = 5
MAX_NOISE = 70.0
"""Standard deviation of added noise, grey levels."""
MAX_IMPULSE = 0.2
"""Fraction of pixels that turn black or white."""
MIN_CONTRAST = 0.2
"""Of the range between paper and ink that is left."""
MIN_CUTOUT, MAX_CUTOUT = 3, 9
"""Sides of the rectangle that is covered, pixels."""


@dataclass(frozen=True)
class Corruptions:
    """What happens to each of n images; float32, zero where nothing does."""

    noise: Tensor
    """(n, 28, 28), added."""
    impulse: Tensor
    """(n, 28, 28): 1 becomes white, -1 black."""
    contrast: Tensor
    """(n,): share of the grey range that is left, and"""
    floor: Tensor
    """(n,): the grey level, 0..255, that black becomes."""
    blur: Tensor
    """(n,), 0..1: weight of the blurred image."""
    cutout: Tensor
    """(n, 28, 28): 1 where the image is covered."""


def draw_corruptions(count: int, generator: torch.Generator) -> Corruptions:
    """Corruptions of `count` images, of one random kind each, in random strength.

    On the device of `generator`, whose kind decides the numbers.
    """
    device = generator.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, device=device)

    kind = torch.randint(KINDS, (count,), generator=generator, device=device)
    strength = uniform(count)
    own = [strength * (kind == number) for number in range(KINDS)]
    noise = torch.randn(count, SIDE, SIDE, generator=generator, device=device)
    noise = noise * (own[0] * MAX_NOISE)[:, None, None]
    chance = (own[1] * MAX_IMPULSE)[:, None, None]
    place = uniform(count, SIDE, SIDE)
    impulse = (place < chance / 2).float() - (place > 1 - chance / 2).float()
    contrast = 1 - own[2] * (1 - MIN_CONTRAST)
    floor = 255 * (1 - contrast) * uniform(count)
    sides = MIN_CUTOUT + uniform(2, count) * (MAX_CUTOUT - MIN_CUTOUT)
    starts = uniform(2, count) * (SIDE - sides)
    pixels = torch.arange(SIDE, device=device)
    down, across = (
        (pixels >= start[:, None]) & (pixels < (start + side)[:, None])
        for start, side in zip(starts, sides, strict=True)
    )
    cutout = (down[:, :, None] & across[:, None, :]) & (own[4] > 0)[:, None, None]
    return Corruptions(noise, impulse, contrast, floor, own[3], cutout.float())


def apply_corruptions(images: Tensor, drawn: Corruptions) -> Tensor:
    """Images, float32 (n, 1, 28, 28), 0..255, corrupted: same shape and dtype."""

    def here(values: Tensor) -> Tensor:
        return values.to(images.device).view(len(images), 1, -1, values.shape[-1])

    def each(values: Tensor) -> Tensor:
        return values.to(images.device)[:, None, None, None]

    blurred = avg_pool2d(avg_pool2d(images, 3, 1, 1), 3, 1, 1)
    seen = images.lerp(blurred, each(drawn.blur)) * (1 - here(drawn.cutout))
    seen = seen * each(drawn.contrast) + each(drawn.floor) + here(drawn.noise)
    return (seen + 255 * here(drawn.impulse)).clamp_(0, 255)


def choose(total: int, fraction: float, generator: torch.Generator) -> Tensor:
    """Which of `total` images are to be corrupted, a random `fraction`: indexes, int64, rising."""
    return (torch.rand(total, generator=generator) < fraction).nonzero()[:, 0]


def corrupt(
    images: Tensor, rows: Tensor, before: int, count: int, generator: torch.Generator
) -> Tensor:
    """Corrupt the images, float32 (n, 1, 28, 28), 0..255, at `rows`, int64, in place.

    Each gets noise, impulse noise, low contrast, blur or cutout, as Mu and Gilmer (MNIST-C,
    arXiv:1906.02337) and DeVries and Taylor (Cutout, arXiv:1708.04552) describe them. They are
    those after the first `before` of `count` in a batch, for all of which the numbers are drawn.
    """
    if not len(rows):
        return images
    drawn = draw_corruptions(count, generator)
    own = slice(before, before + len(rows))
    part = Corruptions(**{name: values[own] for name, values in vars(drawn).items()})
    images[rows] = apply_corruptions(images[rows], part)
    return images
