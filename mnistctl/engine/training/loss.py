"""What a training step makes smaller."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mnistctl.engine.training.batches import Batch
from mnistctl.recipes import Recipe

EXPOSURE = 0.5
"""Weight of the loss on pictures of no digit, that of Hendrycks et al. (arXiv:1812.04606)."""


def batch_loss(logits: Tensor, batch: Batch, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """From the logits, float32 (n, 10), of a shard of a batch: two scalars.

    The sum of its digits' cross-entropies, and its part of what the whole batch is to minimise:
    their mean, plus the mean cross-entropy of its pictures of no digit against ten equal chances.
    """
    digits, others = logits[: len(batch.labels)], logits[len(batch.labels) :]
    smoothing = recipe.label_smoothing
    loss = cross_entropy(digits, batch.labels, reduction="sum", label_smoothing=smoothing)
    if not recipe.outliers_per_batch:
        return loss, loss / batch.total
    unsure = torch.logsumexp(others, 1).sum() - others.mean(1).sum()
    return loss, loss / batch.total + EXPOSURE * unsure / recipe.outliers_per_batch
