"""A pen's path as an image in MNIST's form, in batched tensor operations."""

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

from mnistctl.imaging.normalize import BOX, SIDE

CHUNK = 250
"""Pieces of so many images fit the processor's cache."""
INK_SPREAD = 0.7


def ink(path: Tensor, down: Tensor, generator: Generator) -> Tensor:
    """Images, uint8 (n, 28, 28), of pen paths: in a box of 20 pixels, centred by mass.

    `path`, float32 (n, points, 2), holds x, y in any unit. `down`, (n, points - 1), is how much
    ink each step from a point to the next leaves, relative to its length; 0 where the pen is
    lifted. Each image has a pen of its own width, with an edge as soft and rough as a scan's.
    """
    num = len(path)
    radius = (1.3 + 0.55 * torch.randn(num, 1, generator=generator)).clamp(0.55, 3.2)
    distance = _distances(path, down, radius, generator)
    distance += 0.15 * torch.randn(distance.shape, generator=generator)
    soft = 0.5 + 0.3 * torch.rand(num, 1, 1, generator=generator)
    inked = ((radius[..., None] - distance) / (2 * soft) + 0.5).clamp(0, 1)
    return (inked * 255).round().to(torch.uint8)


def crisp_ink(path: Tensor, down: Tensor, generator: Generator) -> Tensor:
    """As `ink`, with the look and the widths of strokes that `imaging.normalize.fit` gives."""
    radius = (1.3 + 0.55 * torch.randn(len(path), 1, generator=generator)).clamp(0.88, 2.2)
    distance = _distances(path, down, radius, generator)
    inked = (radius[..., None] - distance + 0.5).clamp(0, 1)
    return (inked * (255 / inked.amax((1, 2), keepdim=True))).round().to(torch.uint8)


def _distances(path: Tensor, down: Tensor, radius: Tensor, generator: Generator) -> Tensor:
    """How far each pixel is from the path, pixels (n, 28, 28), once the path is in its place.

    `radius`, (n, 1), is half the pen's width.
    """
    num = len(path)
    drawn = (pad(down, (0, 1)) + pad(down, (1, 0))) > 0
    big = torch.where(drawn[..., None], path, -torch.inf).amax(1)
    small = torch.where(drawn[..., None], path, torch.inf).amin(1)
    scale = (BOX - 2 * radius) / (big - small).amax(1, keepdim=True)
    path = path * scale[..., None]
    step = (path[:, 1:] - path[:, :-1]).norm(dim=2) * down
    length = (pad(step, (0, 1)) + pad(step, (1, 0))) / 2
    centre = (path * length[..., None]).sum(1, keepdim=True) / length.sum(1)[:, None, None]
    path = path - centre + 13.5 + (torch.rand(num, 1, 2, generator=generator) - 0.5)
    # Gaussian blobs along the path add up to a ridge; its logarithm is the distance to the path.
    pixels = torch.arange(float(SIDE))
    exponent = (path[..., None] - pixels).square_().mul_(-0.5 / INK_SPREAD**2)
    # Far below anything visible, but denormal numbers would make the products 20 times slower.
    blob = exponent.clamp_min_(-30.0).exp_()
    density = product((blob[:, :, 1] * length[..., None]).transpose(1, 2), blob[:, :, 0])
    density /= INK_SPREAD * math.sqrt(2 * math.pi)
    return (-2 * INK_SPREAD**2 * torch.log(density.clamp_min(1e-12))).clamp_min(0).sqrt()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """The pieces are too small to share out, and the bits must not depend on the threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def product(left: Tensor, right: Tensor) -> Tensor:
    """A matrix product in float64, which autocast and float32 precision settings leave alone."""
    return (left.double() @ right.double()).float()
