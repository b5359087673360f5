"""Digits drawn at run time: handwriting-like pen strokes, prepared the way MNIST was.

The ways of writing each digit (`strokes.py`) are varied point by point, warped and inked in
batched tensor operations: no files, no fonts, no network, 70,000 images in a few seconds.
"""

import functools
import hashlib
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from mnistctl.data.images import MNIST_SIZES, SPLITS, LabelledImages
from mnistctl.data.pen import CHUNK, ink, one_thread, product
from mnistctl.data.strokes import WAYS
from mnistctl.events import Reporter

SILENT = Reporter()
SAMPLES = 64


class Pen(NamedTuple):
    """All ways of writing, as numbers. A way's path is `basis @ points`."""

    points: Tensor
    """(ways, points, 2): x, y on the paper, zero where a way has fewer points."""
    basis: Tensor
    """(ways, SAMPLES, points): Catmull-Rom weights, which make a smooth curve of the points."""
    down: Tensor
    """(ways, SAMPLES - 1): 1 where the pen draws between two samples, 0 between strokes."""
    first: Tensor
    """(10,): a digit's first way."""
    num_ways: Tensor
    """(10,): how many it has."""


def load(split: str, seed: int = 0, reporter: Reporter = SILENT) -> LabelledImages:
    """A split of MNIST's size.

    The same seed gives the same bits on one machine; another processor or release of PyTorch may
    round some pixels differently. `train` and `test` share no random numbers. Classes are
    balanced exactly.
    """
    reporter.begin(f"drawing {split} digits", MNIST_SIZES[split], "images")
    chunks = []
    try:
        for chunk in _chunks(split, seed):
            chunks.append(chunk)
            reporter.advance(CHUNK * len(chunks))
    finally:
        reporter.end()
    images, labels = (torch.cat(parts) for parts in zip(*chunks, strict=True))
    return LabelledImages(images, labels.long())


def fingerprint(seed: int = 0) -> str:
    """SHA-256 of the first images and labels of both splits, drawn here and now (0.02 s)."""
    digest = hashlib.sha256()
    for split in SPLITS:
        for part in next(_chunks(split, seed)):
            digest.update(part.numpy().tobytes())
    return digest.hexdigest()


def _chunks(split: str, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and labels of a split in pieces that fit the processor's cache."""
    generator = Generator().manual_seed(2 * seed + SPLITS.index(split))
    labels = (torch.randperm(MNIST_SIZES[split], generator=generator) % 10).to(torch.uint8)
    for start in range(0, len(labels), CHUNK):
        digits = labels[start : start + CHUNK]
        with one_thread():
            path, down = _write(digits.long(), generator)
            images = ink(path, down, generator)
        yield images, digits


def _write(digits: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Pen paths of `digits` (n,), each in a hand of its own.

    Returns samples (n, SAMPLES, 2), unit: the paper's; and the length of path (n, SAMPLES) that
    each one stands for, as a share of the way's paper length, 0 between strokes.
    """
    pen = _pen()
    num = len(digits)

    def normal(*shape: int) -> Tensor:
        return torch.randn(num, *shape, generator=generator)

    choice = torch.rand(num, generator=generator) * pen.num_ways[digits]
    way = pen.first[digits] + choice.long()
    points = pen.points[way] - torch.tensor([5.0, 7.0])
    path = product(pen.basis[way], points + 0.7 * normal(points.shape[1], 2))
    # The upper half narrower or wider, taller or flatter than the lower.
    height = path[:, :, 1:] / 7
    narrow = torch.exp(0.2 * normal(1, 1) * height.clamp(-1.5, 1.5))
    path = torch.cat([path[:, :, :1] * narrow, 7 * (height + 0.12 * normal(1, 1) * height**2)], 2)
    # A slow wave over the paper bends all strokes together.
    phase = 2 * math.pi * torch.rand(num, 1, 2, generator=generator)
    waves = torch.sin(path.flip(2) * (0.35 + 0.1 * normal(1, 2)) + phase)
    path = path + 0.9 * normal(1, 2) * waves
    # Width to height, slant and rotation.
    stretch, slant, angle = 0.28 * normal(), 0.2 + 0.35 * normal(), 0.17 * normal()
    lean = torch.stack([stretch.exp(), -slant, torch.zeros(num), torch.ones(num)], 1)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1)
    hand = product(turn.view(num, 2, 2), lean.view(num, 2, 2))
    path = product(path, hand.transpose(1, 2))
    return path, pen.down[way]


@functools.cache
def _pen() -> Pen:
    ways = [(digit, _parse(way)) for digit in range(10) for way in WAYS[digit]]
    num_points = max(len(points) for _, (points, _, _) in ways)
    pen = Pen(
        torch.zeros(len(ways), num_points, 2),
        torch.zeros(len(ways), SAMPLES, num_points),
        torch.zeros(len(ways), SAMPLES - 1),
        torch.tensor([sum(len(WAYS[d]) for d in range(digit)) for digit in range(10)]),
        torch.tensor([len(WAYS[digit]) for digit in range(10)]),
    )
    for i, (_, (points, basis, down)) in enumerate(ways):
        pen.points[i, : len(points)] = points
        pen.basis[i, :, : len(points)] = basis
        pen.down[i] = down
    return pen


def _parse(way: str) -> tuple[Tensor, Tensor, Tensor]:
    """A way's points (k, 2), basis (SAMPLES, k) and pen-down mask (SAMPLES - 1,)."""
    strokes = [
        [tuple(map(float, point.split(","))) for point in stroke.split()]
        for stroke in way.split(" / ")
    ]
    spans = [len(stroke) - 1 for stroke in strokes]
    points: list[tuple[float, ...]] = []
    rows: list[Tensor] = []
    down: list[Tensor] = []
    left, spans_left = SAMPLES, sum(spans)
    for stroke, num_spans in zip(strokes, spans, strict=True):
        samples = round(left * num_spans / spans_left)
        left, spans_left = left - samples, spans_left - num_spans
        # A repeated point is one point met twice: both move together.
        index = []
        for i, point in enumerate(stroke):
            if i == 0 or point != stroke[i - 1]:
                points.append(point)
            index.append(len(points) - 1)
        rows.append(_catmull_rom(index, samples))
        down.append(torch.cat([torch.ones(samples - 1), torch.zeros(1)]))
    basis = torch.cat([torch.nn.functional.pad(r, (0, len(points) - r.shape[1])) for r in rows])
    return torch.tensor(points), basis, torch.cat(down)[:-1]


def _catmull_rom(index: list[int], samples: int) -> Tensor:
    """Weights (samples, max(index) + 1) of a uniform Catmull-Rom spline through points `index`."""
    ends = [index[0], *index, index[-1]]
    basis = torch.zeros(samples, max(index) + 1)
    for row, t in enumerate(torch.linspace(0, len(index) - 1, samples).tolist()):
        span = min(int(t), len(index) - 2)
        u = t - span
        weights = (
            (-(u**3) + 2 * u**2 - u) / 2,
            (3 * u**3 - 5 * u**2 + 2) / 2,
            (-3 * u**3 + 4 * u**2 + u) / 2,
            (u**3 - u**2) / 2,
        )
        for offset, weight in enumerate(weights):
            basis[row, ends[span + offset]] += weight
    return basis
