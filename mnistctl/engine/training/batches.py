"""What the network is given in a training step: digits, and pictures of none."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mnistctl.data.augment import augment
from mnistctl.data.images import DIGITS, LabelledImages
from mnistctl.data.outliers import INK, broken_digits, drawn_outliers, fitted
from mnistctl.data.sampling import Stream, derive_seed, epoch_order, shard_of
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.predictor import scale_pixels
from mnistctl.store.config import RunConfig

NUM_DRAWN, NUM_BROKEN, NUM_REDRAWN = 10_000, 2_500, 5_000
"""Outliers drawn, outliers made of digits, and digits that are drawn as outliers are."""


@dataclass(frozen=True)
class Batch:
    """One process's shard of a global batch.

    `inputs` are digits with their `labels`, then pictures of none. Of all processes together,
    `total` are digits, and `position` = (first, total) places this shard among everything.
    """

    inputs: Tensor
    labels: Tensor
    total: int
    position: tuple[int, int]


class Feed:
    """Makes batches, each a function of (seed, epoch, step) and the training images alone."""

    def __init__(self, config: RunConfig, train: LabelledImages) -> None:
        self.config, self.images, self.labels = config, train.images, train.labels
        self.device = train.images.device
        self.num_images = len(train.images)
        self.steps = -(-self.num_images // config.recipe.batch_size)
        self.outliers = self._draw_outliers() if config.recipe.rejects else None

    def order(self, epoch: int) -> tuple[Tensor, ...]:
        """The batches of an epoch as indexes of training images."""
        order = epoch_order(self.config.seed, epoch, self.num_images).to(self.device)
        return torch.split(order, self.config.recipe.batch_size)

    def batch(self, indexes: Tensor, epoch: int, step: int, ranks: Ranks) -> Batch:
        """The shard of `ranks` in the batch of training images `indexes`.

        `epoch` counts from 1, `step` from 0.
        """
        total = len(indexes)
        first, end = shard_of(total, ranks.rank, ranks.world_size)
        own = indexes[first:end]
        inputs = self._inputs(self.images[own], Stream.AUGMENTATION, epoch, step, first, total)
        labels = self.labels[own]
        if self.outliers is None:
            return Batch(inputs, labels, total, (first, total))
        count = self.config.recipe.outliers_per_batch
        chosen = torch.randint(
            len(self.outliers), (count,), generator=self._generator(Stream.OUTLIERS, epoch, step)
        )
        start, stop = shard_of(count, ranks.rank, ranks.world_size)
        pictures = self.outliers[chosen[start:stop].to(self.device)]
        others = self._inputs(pictures, Stream.OUTLIER_AUGMENTATION, epoch, step, start, count)
        return Batch(torch.cat([inputs, others]), labels, total, (first + start, total + count))

    def _inputs(
        self, images: Tensor, stream: Stream, epoch: int, step: int, first: int, total: int
    ) -> Tensor:
        """What the network sees of `images`, the ones from `first` on of `total` in the step."""
        recipe = self.config.recipe
        if not recipe.augments(epoch - 1):
            return scale_pixels(images.unsqueeze(1).float(), recipe)
        generator = self._generator(stream, epoch, step)
        seen = augment(images, recipe.augmentation, generator, first, total)
        return scale_pixels(seen, recipe)

    def _generator(self, stream: Stream, epoch: int, step: int) -> torch.Generator:
        seed = derive_seed(self.config.seed, stream, epoch, step)
        return torch.Generator().manual_seed(seed)

    def _draw_outliers(self) -> Tensor:
        """Drawn pictures, and ones made of training digits, uint8 (n, 28, 28).

        Some of the digits, too, are replaced by ones of that look, which would give outliers away.
        """
        seed = derive_seed(self.config.seed, Stream.OUTLIERS)
        made = drawn_outliers(NUM_DRAWN, seed)
        if self.config.classes == DIGITS:
            images, labels = self.images.cpu().numpy(), self.labels.cpu().numpy()
            made = np.concatenate([made, broken_digits(images, labels, NUM_BROKEN, seed)])
            redrawn = torch.from_numpy(
                np.stack([fitted(own) if own.max() > INK else own for own in images[:NUM_REDRAWN]])
            )
            self.images = torch.cat([redrawn.to(self.device), self.images[NUM_REDRAWN:]])
        return torch.from_numpy(made).to(self.device)
