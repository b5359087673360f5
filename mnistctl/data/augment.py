"""Random maps of a batch of images, affine and elastic, on the images' own device."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from mnistctl.data.corrupt import choose, corrupt
from mnistctl.imaging.normalize import SIDE
from mnistctl.recipes import Augmentation

BEND_POINTS = 5
"""Control points of the elastic displacement, per axis: seven pixels apart."""


def draw_maps(augmentation: Augmentation, count: int, generator: torch.Generator) -> Tensor:
    """`count` random affine maps, float32 (count, 2, 3), as `affine_grid` takes them.

    Uniform rotation, scale, horizontal shear, shift and stretch within the given ranges, and
    horizontal flips, drawn on the CPU so that every device sees the same maps.
    """
    uniform = torch.rand(5, count, generator=generator) * 2.0 - 1.0
    angle = uniform[0] * math.radians(augmentation.rotate)
    scale = 1.0 + uniform[1] * augmentation.scale
    shear = uniform[2] * augmentation.shear
    shifts = uniform[3:] * augmentation.shift
    if augmentation.whole_shifts:
        shifts = (uniform[3:] * (math.floor(augmentation.shift) + 0.5)).round()
    shift_x, shift_y = shifts * (2.0 / SIDE)
    cos, sin = angle.cos(), angle.sin()
    rows = (
        cos * scale,
        (shear * cos - sin) * scale,
        shift_x,
        sin * scale,
        (shear * sin + cos) * scale,
        shift_y,
    )
    maps = torch.stack(rows, 1).view(count, 2, 3)
    if augmentation.stretch:
        # Of the places that are looked at: the digit becomes narrower where they spread.
        spread = (torch.rand(count, 1, generator=generator) * 2.0 - 1.0) * augmentation.stretch
        maps[:, :, 0] *= 1.0 + spread
        maps[:, :, 1] *= 1.0 - spread
    if augmentation.flip:
        mirrored = torch.rand(count, 1, generator=generator) < augmentation.flip
        maps[:, :, 0] *= 1.0 - 2.0 * mirrored
    return maps


def draw_bends(augmentation: Augmentation, count: int, generator: torch.Generator) -> Tensor:
    """`count` elastic displacements at their control points, pixels, float32 (count, 2, 5, 5)."""
    size = (count, 2, BEND_POINTS, BEND_POINTS)
    return torch.randn(size, generator=generator) * augmentation.elastic


def apply_maps(images: Tensor, maps: Tensor, bends: Tensor | None = None) -> Tensor:
    """Images (n, 28, 28) uint8 seen through `maps` (n, 2, 3): float32 (n, 1, 28, 28), 0..255.

    Bilinear, black outside (Jaderberg et al., arXiv:1506.02025, give the sampling grid). `bends`
    (n, 2, 5, 5) displace it smoothly: elastic distortion (Simard et al., ICDAR 2003), with cubic
    interpolation between control points in place of a blurred random field.
    """
    if not len(images):  # a process's shard of a small batch; `affine_grid` refuses it
        return torch.empty(0, 1, SIDE, SIDE, device=images.device)
    grid = affine_grid(maps.to(images.device), [len(images), 1, SIDE, SIDE], align_corners=False)
    if bends is not None:
        pixels = bends.to(images.device)
        field = interpolate(pixels, (SIDE, SIDE), mode="bicubic", align_corners=True)
        grid = grid + field.permute(0, 2, 3, 1) * (2.0 / SIDE)
    return grid_sample(images.unsqueeze(1).float(), grid, align_corners=False)


@dataclass(frozen=True)
class Draws:
    """All that is random in a batch of images as training changes them."""

    maps: Tensor
    """(n, 2, 3)"""
    bends: Tensor | None
    """(n, 2, 5, 5)"""
    damaged: Tensor | None
    """Indexes of the images to corrupt, int64, rising; and the same for the host."""
    damaged_numbers: Sequence[int]
    noise: torch.Generator
    """Draws the corruptions, on its own device."""


def draw(augmentation: Augmentation, count: int, generator: torch.Generator) -> Draws:
    """What is random in `count` images, drawn on the CPU: every device sees the same.

    But for the corruptions, which are many numbers: see `Draws.noise`.
    """
    maps = draw_maps(augmentation, count, generator)
    bends = draw_bends(augmentation, count, generator) if augmentation.elastic else None
    damaged = choose(count, augmentation.corrupt, generator) if augmentation.corrupt else None
    numbers = [] if damaged is None else damaged.tolist()
    return Draws(maps, bends, damaged, numbers, generator)


def change(images: Tensor, draws: Draws, first: int = 0) -> Tensor:
    """Images (n, 28, 28) uint8 as `draws` has them: float32 (n, 1, 28, 28), 0..255.

    Each is seen under a map of its own; some are then damaged. They are those from `first` on in
    the batch that was drawn for, on whose device `draws` must be for nothing to be copied.
    """
    own = slice(first, first + len(images))
    seen = apply_maps(images, draws.maps[own], None if draws.bends is None else draws.bends[own])
    if draws.damaged is None:
        return seen
    numbers = draws.damaged_numbers
    before, end = (bisect_left(numbers, place) for place in (own.start, own.stop))
    rows = draws.damaged[before:end] - first
    return corrupt(seen, rows, before, len(numbers), draws.noise)
