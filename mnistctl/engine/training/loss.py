"""The loss that training minimises."""

from torch import Tensor
from torch.nn.functional import cross_entropy, softplus

from mnistctl.engine.training.batches import Batch
from mnistctl.recipes import Recipe

EXPOSURE = 0.75
"""Weight of the loss on outliers; Hendrycks et al. (arXiv:1812.04606) have 0.5 for fewer kinds."""


def batch_loss(logits: Tensor, batch: Batch, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """From the logits, float32 (n, classes), of a shard of a batch: two scalars.

    The sum of its digits' cross-entropies, and its part of what the whole batch is to minimise:
    their mean; where the recipe has outliers also the mean cross-entropies of telling digits from
    outliers, the class whose logit is 0.
    """
    digits, outliers = logits[: len(batch.labels)], logits[len(batch.labels) :]
    smoothing = recipe.label_smoothing
    loss = cross_entropy(digits, batch.labels, reduction="sum", label_smoothing=smoothing)
    if not recipe.rejects:
        return loss, loss / batch.total
    accepting = softplus(-digits.logsumexp(1)).sum()
    rejecting = softplus(outliers.logsumexp(1)).sum()
    digits_part = (loss + accepting) / batch.total
    return loss, digits_part + EXPOSURE * rejecting / recipe.outliers_per_batch
