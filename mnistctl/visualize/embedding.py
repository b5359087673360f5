"""A split in two dimensions: what the last layer sees of it, seen from its widest side."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mnistctl.engine.inference.activations import penultimate
from mnistctl.visualize.answers import Answers, answers_of
from mnistctl.visualize.request import ViewRequest

NUM_DIRECTIONS = 8
"""Directions that the randomised method follows; two are kept."""


@dataclass(frozen=True)
class EmbeddingView:
    """Points float32 (n, 2), and each axis's share of the variance, 0..1."""

    answers: Answers
    points: NDArray[np.float32]
    explained: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            **self.answers.document(),
            "explained_variance": list(self.explained),
            "x": np.round(self.points[:, 0], 4).tolist(),
            "y": np.round(self.points[:, 1], 4).tolist(),
            "labels": self.answers.data.labels.tolist(),
            "predictions": self.answers.predictions.tolist(),
        }


def view_embedding(request: ViewRequest) -> EmbeddingView:
    """Raises CheckpointError, DataError or DeviceError."""
    subject = request.subject()
    with penultimate(subject.network()) as collected:
        answers = answers_of(subject)
    # Where an answer is the mean over shifts, a batch goes through once a shift, at first as it is.
    passes = sum(map(len, collected)) // answers.total
    points, explained = principal_components(torch.cat(collected[::passes]))
    return EmbeddingView(answers, points.numpy(), explained)


def principal_components(features: Tensor) -> tuple[Tensor, tuple[float, float]]:
    """Coordinates (n, 2) of features (n, d) along their two widest directions, and their shares.

    PCA by the randomised decomposition of Halko, Martinsson and Tropp (arXiv:0909.4061); seeded,
    and each direction's largest coefficient positive, so that a picture comes out the same again.
    """
    centred = features - features.mean(0)
    directions = min(NUM_DIRECTIONS, *centred.shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _, _, axes = torch.pca_lowrank(centred, directions, center=False, niter=8)
    widest = axes[:, :2]
    widest = widest * widest.gather(0, widest.abs().argmax(0, keepdim=True)).sign()
    points = centred @ widest
    total = float(centred.double().square().sum()) or 1.0
    shares = (points.double().square().sum(0) / total).tolist()
    return points, (shares[0], shares[1])
