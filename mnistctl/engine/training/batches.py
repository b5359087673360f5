"""What the network is given in a training step: images with labels, and outliers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mnistctl.data.augment import Draws, change, draw
from mnistctl.data.images import DIGITS, LabelledImages
from mnistctl.data.outliers import INK, broken_digits, drawn_outliers, fitted
from mnistctl.data.sampling import Stream, derive_seed, epoch_order, shard_of
from mnistctl.data.signs import draw_signs
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.predictor import scale_pixels
from mnistctl.events import Advance, no_progress
from mnistctl.models.layers import Shard
from mnistctl.store.config import RunConfig

NUM_SIGNS, NUM_DRAWN, NUM_BROKEN, NUM_REDRAWN = 12_000, 16_000, 8_000, 5_000
"""Signs made up, other outliers drawn, outliers made of digits; digits drawn as outliers are."""


@dataclass(frozen=True)
class Batch:
    """One process's shard of a global batch."""

    inputs: Tensor
    """float32 (n, 1, 28, 28), pixels scaled: images that have labels, then outliers."""
    labels: Tensor
    """int64, of the first images."""
    total: int
    """Labels of all processes together."""
    shard: Shard
    """Which inputs these are among those of all processes."""


@dataclass(frozen=True)
class _Drawn:
    """What is random in a step, besides the order."""

    digits: Draws | None
    """Of the images that have labels; None: they stay as they are."""
    outliers: Tensor | None
    """Which outliers, int64; None: the recipe wants none."""
    others: Draws | None
    """As `digits`, of the outliers."""


class Feed:
    """Makes batches, each a function of (seed, epoch, step) and the training images alone.

    Of a recipe with outliers, `draw_outliers` comes before the first batch.

    Off the CPU, what is random in an epoch is drawn and copied before its first step: no step
    waits for the host or copies from it.
    """

    def __init__(self, config: RunConfig, train: LabelledImages) -> None:
        self.config, self.images, self.labels = config, train.images, train.labels
        self.device = train.images.device
        self.num_images = len(train.images)
        self.steps = -(-self.num_images // config.recipe.batch_size)
        self.outliers: Tensor | None = None
        self.ahead: tuple[int, list[_Drawn]] = (0, [])
        """An epoch, and what is random in each of its steps, on the device."""

    def order(self, epoch: int) -> tuple[Tensor, ...]:
        """The batches of an epoch: indexes of training images, int64, on the device."""
        order = epoch_order(self.config.seed, epoch, self.num_images).to(self.device)
        return torch.split(order, self.config.recipe.batch_size)

    def batch(self, indexes: Tensor, epoch: int, step: int, ranks: Ranks) -> Batch:
        """The shard of `ranks` in the batch of training images `indexes`.

        `epoch` counts from 1, `step` from 0.
        """
        total = len(indexes)
        first, end = shard_of(total, ranks.rank, ranks.world_size)
        own = indexes[first:end]
        drawn = self._drawn(epoch, step, total)
        inputs = self._inputs(self.images[own], drawn.digits, first)
        labels = self.labels[own]
        if self.outliers is None or drawn.outliers is None:
            return Batch(inputs, labels, total, Shard(((first, end),), total))
        count = len(drawn.outliers)
        start, stop = shard_of(count, ranks.rank, ranks.world_size)
        pictures = self.outliers[drawn.outliers[start:stop]]
        others = self._inputs(pictures, drawn.others, start)
        ranges = ((first, end), (total + start, total + stop))
        return Batch(torch.cat([inputs, others]), labels, total, Shard(ranges, total + count))

    def _inputs(self, images: Tensor, draws: Draws | None, first: int) -> Tensor:
        """What the network sees of `images`, the ones from `first` on of those drawn for."""
        seen = images.unsqueeze(1).float() if draws is None else change(images, draws, first)
        return scale_pixels(seen, self.config.recipe)

    def _drawn(self, epoch: int, step: int, total: int) -> _Drawn:
        if self.device.type == "cpu":
            return self._draw(epoch, step, total)
        if self.ahead[0] != epoch:
            self.ahead = epoch, self._draw_ahead(epoch)
        drawn = self.ahead[1][step]
        noisy = {Stream.AUGMENTATION: drawn.digits, Stream.OUTLIER_AUGMENTATION: drawn.others}
        for stream, draws in noisy.items():
            if draws is not None:  # the same noise whenever this step is asked for
                draws.noise.manual_seed(derive_seed(self.config.seed, stream, epoch, step))
        return drawn

    def _draw(self, epoch: int, step: int, total: int) -> _Drawn:
        """What is random in a step of `total` digits, on the CPU."""
        digits = self._draws(Stream.AUGMENTATION, epoch, step, total)
        count = self.config.recipe.outliers_per_batch
        if not count:
            return _Drawn(digits, None, None)
        assert self.outliers is not None, "draw_outliers comes first"
        generator = self._generator(Stream.OUTLIERS, epoch, step)
        chosen = torch.randint(len(self.outliers), (count,), generator=generator)
        others = self._draws(Stream.OUTLIER_AUGMENTATION, epoch, step, count)
        return _Drawn(digits, chosen, others)

    def _draws(self, stream: Stream, epoch: int, step: int, total: int) -> Draws | None:
        recipe = self.config.recipe
        if not recipe.augments(epoch - 1):
            return None
        return draw(recipe.augmentation, total, self._generator(stream, epoch, step))

    def _draw_ahead(self, epoch: int) -> list[_Drawn]:
        """What is random in each step of `epoch`, on the device, in one copy of each kind.

        Corruptions are drawn there, by a generator that each step seeds.
        """
        size = self.config.recipe.batch_size
        steps = [
            self._draw(epoch, step, min(size, self.num_images - step * size))
            for step in range(self.steps)
        ]
        return [
            _Drawn(digits, chosen, others)
            for digits, chosen, others in zip(
                self._there([own.digits for own in steps]),
                copied([own.outliers for own in steps], self.device),
                self._there([own.others for own in steps]),
                strict=True,
            )
        ]

    def _there(self, steps: Sequence[Draws | None]) -> Sequence[Draws | None]:
        """An epoch's draws on the device."""
        own = [draws for draws in steps if draws is not None]
        if not own:
            return steps
        maps, bends, damaged = (
            copied([getattr(draws, name) for draws in own], self.device)
            for name in ("maps", "bends", "damaged")
        )
        noise = noise_on(self.device)
        return [
            replace(draws, maps=maps[step], bends=bends[step], damaged=damaged[step], noise=noise)
            for step, draws in enumerate(own)
        ]

    def _generator(self, stream: Stream, epoch: int, step: int) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self.config.seed, stream, epoch, step))

    def draw_outliers(self, advance: Advance = no_progress) -> None:
        """Draw the outliers to train against, uint8 (n, 28, 28); once, before the first batch.

        Some of the digits are replaced by ones of that look, which would give outliers away.
        `advance` counts up to `num_drawn`.
        """
        seed = derive_seed(self.config.seed, Stream.OUTLIERS)
        num_signs, num_drawn, num_broken, num_redrawn = self._num_of_each()
        images = self.images.cpu() if self._are_digits else None
        made = [draw_signs(num_signs, seed, images, advance).numpy()]
        made.append(drawn_outliers(num_drawn, seed, _after(num_signs, advance)))
        if images is not None:
            done, labels = num_signs + num_drawn, self.labels.cpu().numpy()
            further = _after(done, advance)
            made.append(broken_digits(images.numpy(), labels, num_broken, seed, further))
            redrawn = _redrawn(images[:num_redrawn], _after(done + num_broken, advance))
            self.images = torch.cat([redrawn.to(self.device), self.images[num_redrawn:]])
        self.outliers = torch.from_numpy(np.concatenate(made)).to(self.device)

    @property
    def num_drawn(self) -> int:
        """Images that `draw_outliers` draws, 0 where the recipe wants no outliers."""
        return sum(self._num_of_each()) if self.config.recipe.rejects else 0

    @property
    def _are_digits(self) -> bool:
        return self.config.classes == DIGITS

    def _num_of_each(self) -> tuple[int, int, int, int]:
        """Signs, other drawn outliers, broken digits, redrawn digits.

        A short run has as many outliers as it sees: drawing them takes longer than training.
        """
        recipe, usual = self.config.recipe, (NUM_SIGNS, NUM_DRAWN, NUM_BROKEN)
        share = min(1.0, recipe.outliers_per_batch * self.steps * recipe.epochs / sum(usual))
        signs, drawn, broken = (math.ceil(share * number) for number in usual)
        if not self._are_digits:
            return signs, drawn, 0, 0
        return signs, drawn, broken, min(NUM_REDRAWN, self.num_images)


def _after(first: int, advance: Advance) -> Advance:
    """`advance` for a part that begins when `first` are done."""
    return lambda done: advance(first + done)


def _redrawn(digits: Tensor, advance: Advance) -> Tensor:
    """Digits, uint8 (n, 28, 28), as `predict` would prepare them; blank ones as they are."""
    redrawn = digits.clone()
    for index, own in enumerate(digits.numpy()):
        if own.max() > INK:
            redrawn[index] = torch.from_numpy(fitted(own))
        advance(index + 1)
    return redrawn


def noise_on(device: torch.device) -> torch.Generator:
    """A generator that draws corruptions there; every step gives it a seed."""
    return torch.Generator(device)


def copied(parts: Sequence[Tensor | None], device: torch.device) -> Sequence[Any]:
    """CPU tensors, all or none of them None, on `device`: in one copy, from pinned memory."""
    own = [part for part in parts if part is not None]
    if not own:
        return parts
    whole = torch.cat(own)
    if device.type == "cuda":
        whole = whole.pin_memory()
    there = whole.to(device, non_blocking=device.type == "cuda")
    return torch.split(there, [len(part) for part in own])
