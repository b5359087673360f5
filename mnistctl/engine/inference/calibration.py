"""How far confidence can be believed: a temperature for the logits, and the error that is left."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

NUM_BINS = 15


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature by which logits (n, 10) must be divided for the smallest log loss.

    Fitted on held-out images, labels int64 (n,): Guo et al., "On Calibration of Modern Neural
    Networks", arXiv:1706.04599. A golden-section search over 0.05..20 on a logarithmic scale,
    where the loss has one minimum.
    """
    logits = logits.double()

    def loss(log_temperature: float) -> float:
        return float(cross_entropy(logits / 10.0**log_temperature, labels))

    low, high, golden = -1.3, 1.3, 0.6180339887498949
    while high - low > 1e-4:
        left, right = high - golden * (high - low), low + golden * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(10.0 ** ((low + high) / 2))


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: 15 equal bins of confidence, float64 (15,) each."""

    count: Tensor
    """Images in the bin."""
    confidence: Tensor
    """Sum of their confidence, 0..1 each."""
    hits: Tensor
    """How many of them were right."""


def reliability(logits: Tensor, labels: Tensor, temperature: float) -> Reliability:
    """Confidence and hits of logits (n, 10) for labels int64 (n,), in bins of confidence.

    Diagrams of parts of a data set add up to the whole's (DeGroot and Fienberg, The Statistician
    1983).
    """
    confidence, predicted = (logits.double() / temperature).softmax(1).max(1)
    confidence = confidence.nan_to_num(0.0)  # a network that diverged
    bins = (confidence * NUM_BINS).long().clamp(max=NUM_BINS - 1)

    def summed(values: Tensor) -> Tensor:
        return torch.zeros(NUM_BINS, dtype=torch.float64).index_add_(0, bins, values)

    hits = (predicted == labels).double()
    return Reliability(summed(torch.ones_like(hits)), summed(confidence), summed(hits))


def confidence_gaps(logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Sum of confidence less hits in each of 15 equal bins of confidence, float64 (15,).

    Gaps of parts of a data set add up to the whole's, from which `calibration_error` follows.
    """
    own = reliability(logits, labels, temperature)
    return own.confidence - own.hits


def calibration_error(gaps: Tensor, total: int) -> float:
    """Expected calibration error, 0..1: the mean distance of confidence from accuracy over bins.

    Weighted by the bins' sizes (Naeini et al., AAAI 2015; the form of arXiv:1706.04599).
    """
    return float(gaps.abs().sum()) / total
