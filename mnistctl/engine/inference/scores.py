"""How good logits are for labels: loss, accuracy, confusion matrix, calibration error."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mnistctl.distributed import Ranks, total_over_ranks
from mnistctl.engine.inference.calibration import calibration_error, reliability


@dataclass(frozen=True)
class Scores:
    """Result over `total` images; `confusion[label][prediction]` counts them.

    `loss` is that of the logits as they are, `calibration_error` (0..1) that of the confidence
    shown to people, after the recipe's temperature.
    """

    loss: float
    correct: int
    total: int
    confusion: list[list[int]]
    calibration_error: float

    @property
    def accuracy(self) -> float:
        """Fraction of images whose largest logit is the label's, 0..1."""
        return self.correct / self.total

    @property
    def per_class(self) -> list[float | None]:
        """Accuracy of each class, 0..1, None where there is no image of it."""
        return [row[k] / sum(row) if any(row) else None for k, row in enumerate(self.confusion)]

    def brief(self) -> dict[str, Any]:
        """The four numbers of a summary, JSON-ready."""
        return {
            "loss": self.loss,
            "accuracy": self.accuracy,
            "correct": self.correct,
            "total": self.total,
        }

    def to_dict(self) -> dict[str, Any]:
        """All numbers, JSON-ready."""
        return self.brief() | {
            "per_class": self.per_class,
            "confusion": self.confusion,
            "calibration_error": self.calibration_error,
        }


def score(
    logits: Tensor,
    labels: Tensor,
    temperature: float,
    total: int | None = None,
    device: torch.device | None = None,
    ranks: Ranks | None = None,
) -> Scores:
    """Scores of logits (n, classes) for labels int64 (n,), both on the CPU.

    Where `ranks` are several each gives its shard of `total` images and gets the scores of all;
    `device` is where they exchange messages. None: there is one, with all images.
    """
    total = len(labels) if total is None else total
    classes = logits.shape[1]
    loss_sum = cross_entropy(logits.double(), labels, reduction="sum")
    pairs = labels * classes + logits.argmax(1)
    counts = torch.bincount(pairs, minlength=classes * classes)
    gaps = reliability(logits, labels, temperature).gaps
    # One float64 message: counts are exact in it.
    summed = torch.cat([loss_sum.view(1), counts.double(), gaps])
    if ranks is not None and ranks.world_size > 1:
        where = device if device and device.type == "cuda" else "cpu"  # nccl moves no CPU tensors
        summed = total_over_ranks(summed.to(where)).cpu()
    confusion = summed[1 : 1 + len(counts)].long().view(classes, classes)
    return Scores(
        loss=float(summed[0]) / total,
        correct=int(confusion.diagonal().sum()),
        total=total,
        confusion=confusion.tolist(),
        calibration_error=calibration_error(summed[1 + len(counts) :], total),
    )
