"""How far confidence can be trusted: reliability by bins, and the expected calibration error."""

from dataclasses import dataclass

import torch
from torch import Tensor

NUM_BINS = 15


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: 15 equal bins of confidence, float64 (15,) each."""

    count: Tensor
    """Images in the bin."""
    confidence: Tensor
    """Sum of their confidence, 0..1 each."""
    hits: Tensor
    """How many of them were classified correctly."""

    @property
    def gaps(self) -> Tensor:
        """Sum of confidence less hits in each bin; those of parts of a data set add up."""
        return self.confidence - self.hits


def reliability(logits: Tensor, labels: Tensor, temperature: float) -> Reliability:
    """Confidence and hits of logits (n, classes) for labels int64 (n,), in bins of confidence.

    Diagrams of parts of a data set add up to the whole's (DeGroot and Fienberg, The Statistician
    1983).
    """
    confidence, predicted = (logits.double() / temperature).softmax(1).max(1)
    bins = (confidence * NUM_BINS).long().clamp(max=NUM_BINS - 1)

    def summed(values: Tensor) -> Tensor:
        return torch.zeros(NUM_BINS, dtype=torch.float64).index_add_(0, bins, values)

    hits = (predicted == labels).double()
    return Reliability(summed(torch.ones_like(hits)), summed(confidence), summed(hits))


def calibration_error(gaps: Tensor, total: int) -> float:
    """Expected calibration error, 0..1: the mean distance of confidence from accuracy over bins.

    Weighted by the bins' sizes (Naeini et al., AAAI 2015; the form of arXiv:1706.04599).
    """
    return float(gaps.abs().sum()) / total
