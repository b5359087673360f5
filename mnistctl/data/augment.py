"""Random affine maps of a batch of images, as tensor operations on the images' own device."""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from mnistctl.recipes import Augmentation

SIDE = 28


def draw_maps(augmentation: Augmentation, count: int, generator: torch.Generator) -> Tensor:
    """`count` random affine maps, float32 (count, 2, 3), as `affine_grid` takes them.

    Uniform rotation, scale, horizontal shear and shift within the given ranges, drawn on the CPU so
    that every device sees the same maps.
    """
    uniform = torch.rand(5, count, generator=generator) * 2.0 - 1.0
    angle = uniform[0] * math.radians(augmentation.rotate)
    scale = 1.0 + uniform[1] * augmentation.scale
    shear = uniform[2] * augmentation.shear
    shift_x, shift_y = uniform[3:] * (2.0 * augmentation.shift / SIDE)
    cos, sin = angle.cos(), angle.sin()
    rows = (
        cos * scale,
        (shear * cos - sin) * scale,
        shift_x,
        sin * scale,
        (shear * sin + cos) * scale,
        shift_y,
    )
    return torch.stack(rows, 1).view(count, 2, 3)


def apply_maps(images: Tensor, maps: Tensor) -> Tensor:
    """Images (n, 28, 28) uint8 seen through `maps` (n, 2, 3): float32 (n, 1, 28, 28), 0..255.

    Bilinear, black outside (Jaderberg et al., arXiv:1506.02025, give the sampling grid).
    """
    if not len(images):  # a process's share of a small batch; `affine_grid` refuses it
        return torch.empty(0, 1, SIDE, SIDE, device=images.device)
    grid = affine_grid(maps.to(images.device), [len(images), 1, SIDE, SIDE], align_corners=False)
    return grid_sample(images.unsqueeze(1).float(), grid, align_corners=False)
