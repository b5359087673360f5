"""Damaged digits, in the manner of MNIST-C (Mu and Gilmer, arXiv:1906.02337).

The strengths were chosen by eye, on sheets of samples, so that people read nearly all of the
strongest; no network was asked.
"""

from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from mnistctl.data.augment import apply_maps

SIDE = 28
FINE = 3
"""Strokes are thinned and thickened at this many times the resolution."""
CHUNK = 200
"""Images at a time: enlarged, they stay in a CPU's caches."""
THINNING = (1 / 3, 1 / 2, 2 / 3, 1.0)
"""Radii in pixels, each the next larger disc at that resolution."""
WHITE = torch.tensor(255, dtype=torch.uint8)
OCCLUDER = 128
NUM_SEVERITIES = 3

Corruptions = Callable[[Tensor, float, torch.Generator], Tensor]
"""Images uint8 (n, 28, 28), a strength, random numbers -> float32 (n, 28, 28), 0..255 or beyond."""


@dataclass(frozen=True)
class Corruption:
    """A kind of damage and its strength at each severity, in the unit `damage` takes."""

    damage: Corruptions
    strengths: tuple[float, float, float]


def corrupt(name: str, images: Tensor, seed: int = 0) -> Tensor:
    """Images uint8 (n, 28, 28) under the corruption called `name`, of the same form, by seed.

    The severities take turns: image i has severity i mod 3, so that one pass sees all three.
    """
    damaged = torch.empty_like(images)
    for severity in range(NUM_SEVERITIES):
        damaged[severity::NUM_SEVERITIES] = corrupt_at(
            name, severity, images[severity::NUM_SEVERITIES], seed
        )
    return damaged


def corrupt_at(name: str, severity: int, images: Tensor, seed: int = 0) -> Tensor:
    """All of `images` at one severity, 0 to 2; uint8 (n, 28, 28)."""
    corruption, strength = CORRUPTIONS[name], CORRUPTIONS[name].strengths[severity]
    generator = torch.Generator().manual_seed(crc32(f"{name} {severity} {seed}".encode()))
    parts = [corruption.damage(part, strength, generator) for part in images.split(CHUNK)]
    return torch.cat(parts).round().clamp(0, 255).to(torch.uint8)


def gaussian_noise(images: Tensor, deviation: float, generator: torch.Generator) -> Tensor:
    """Adds normal noise of `deviation` grey levels."""
    return images + deviation * torch.randn(images.shape, generator=generator)


def impulse_noise(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Makes a share of the pixels black or white."""
    hit = torch.rand(images.shape, generator=generator) < share
    salt = torch.rand(images.shape, generator=generator) < 0.5
    return torch.where(hit, salt * 255.0, images.float())


def blur(images: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """Gaussian blur of `sigma` pixels."""
    distance = torch.arange(SIDE)[:, None] - torch.arange(SIDE)[None]
    weights = torch.exp(-(distance**2) / (2 * sigma**2))
    weights = weights / weights.sum(1, keepdim=True)
    return weights @ images.float() @ weights.T


def rotation(images: Tensor, degrees: float, generator: torch.Generator) -> Tensor:
    """Turns by `degrees`, either way."""
    angle = torch.deg2rad(degrees * _signs(len(images), generator))
    return _mapped(images, angle.cos(), -angle.sin(), angle.sin(), angle.cos())


def scale(images: Tensor, step: float, generator: torch.Generator) -> Tensor:
    """Makes half of the digits `step` larger, half twice as much smaller (there is room)."""
    larger = _signs(len(images), generator) > 0
    factor = torch.where(larger, 1 + step, 1 - 2 * step)
    zero = torch.zeros(len(images))
    return _mapped(images, 1 / factor, zero, zero, 1 / factor)


def shift(images: Tensor, pixels: float, generator: torch.Generator) -> Tensor:
    """Moves by `pixels` in any direction."""
    angle = 2 * torch.pi * torch.rand(len(images), generator=generator)
    one, zero = torch.ones(len(images)), torch.zeros(len(images))
    reach = 2 * pixels / SIDE
    return _mapped(images, one, zero, zero, one, reach * angle.cos(), reach * angle.sin())


def shear(images: Tensor, slope: float, generator: torch.Generator) -> Tensor:
    """Slants by `slope` pixels a row, either way."""
    one, zero = torch.ones(len(images)), torch.zeros(len(images))
    return _mapped(images, one, slope * _signs(len(images), generator), zero, one)


def contrast(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Leaves a share of the contrast, around each image's mean."""
    mean = images.float().mean((1, 2), keepdim=True)
    return mean + share * (images - mean)


def occlusion(images: Tensor, side: float, generator: torch.Generator) -> Tensor:
    """Covers a grey square of `side` pixels within the 20-pixel box that holds the digit."""
    corner = torch.rand(2, len(images), 1, generator=generator) * (20 - side) + 4
    steps = torch.arange(SIDE)
    down, across = ((steps >= corner.round()) & (steps < corner.round() + side)).unbind(0)
    return torch.where(down[:, :, None] & across[:, None], float(OCCLUDER), images.float())


def thin_strokes(images: Tensor, pixels: float, generator: torch.Generator) -> Tensor:
    """Takes `pixels` off either side of strokes, or as much as leaves something of them."""
    shape = (_enlarged(images) > 127) * WHITE
    thin = shape
    for radius in THINNING:
        if radius <= pixels:
            core = WHITE - _widened(WHITE - shape, radius)
            lost = torch.minimum(shape, WHITE - _widened(core, radius))
            thin = torch.maximum(core, torch.minimum(thin, lost))
    # A pen's hairlines are dark, too: half a pixel of stroke makes a full one.
    return 2 * _reduced(thin)


def thick_strokes(images: Tensor, pixels: float, generator: torch.Generator) -> Tensor:
    """Adds `pixels` to either side of strokes."""
    return _reduced(_widened(_enlarged(images), pixels))


CORRUPTIONS = {
    "gaussian noise": Corruption(gaussian_noise, (40, 70, 100)),
    "impulse noise": Corruption(impulse_noise, (0.06, 0.13, 0.20)),
    "blur": Corruption(blur, (0.8, 1.2, 1.6)),
    "rotation": Corruption(rotation, (10, 20, 30)),
    "scale": Corruption(scale, (0.1, 0.17, 0.24)),
    "shift": Corruption(shift, (2, 4, 6)),
    "shear": Corruption(shear, (0.2, 0.4, 0.6)),
    "low contrast": Corruption(contrast, (0.5, 0.3, 0.15)),
    "occlusion": Corruption(occlusion, (3, 5, 7)),
    "thin strokes": Corruption(thin_strokes, THINNING[1:]),
    "thick strokes": Corruption(thick_strokes, (1 / 3, 2 / 3, 1)),
}


def _signs(count: int, generator: torch.Generator) -> Tensor:
    """-1 or 1, float32 (count,)."""
    return torch.randint(2, (count,), generator=generator) * 2.0 - 1.0


def _mapped(images: Tensor, *entries: Tensor) -> Tensor:
    """Seen through matrices ((a, b), (c, d)) and shifts (x, y): `entries` a, b, c, d[, x, y]."""
    a, b, c, d, *shifts = entries
    x, y = shifts or (torch.zeros(len(images)), torch.zeros(len(images)))
    maps = torch.stack([a, b, x, c, d, y], 1).view(-1, 2, 3)
    return apply_maps(images, maps)[:, 0]


def _enlarged(images: Tensor) -> Tensor:
    """Three times as large, uint8 (n, 84, 84)."""
    fine = interpolate(images[:, None].float(), scale_factor=FINE, mode="bicubic")
    return fine[:, 0].round().clamp(0, 255).to(torch.uint8)


def _reduced(fine: Tensor) -> Tensor:
    return avg_pool2d(fine[:, None].float(), FINE)[:, 0]


def _widened(fine: Tensor, pixels: float) -> Tensor:
    """Grey dilation by a disc of radius `pixels` of the original, uint8 (n, 84, 84)."""
    radius = pixels * FINE
    reach, height = int(radius), fine.shape[-1]
    padded = pad(fine, (reach,) * 4)
    widest = fine
    for y in range(-reach, reach + 1):
        for x in range(-reach, reach + 1):
            if x * x + y * y <= radius * radius:
                moved = padded[:, reach + y :, reach + x :][:, :height, :height]
                widest = torch.maximum(widest, moved)
    return widest
