"""The images a network gets wrong, the most confident mistakes first."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mnistctl.visualize.answers import Answers, asked_answers
from mnistctl.visualize.request import ViewRequest

DEFAULT_COUNT = 24


@dataclass(frozen=True)
class Mistake:
    """An image taken for another digit."""

    index: int
    label: int
    prediction: int
    confidence: float


@dataclass(frozen=True)
class ErrorsView:
    """The mistakes shown, of `num_errors` in all, with their images uint8 (n, 28, 28)."""

    answers: Answers
    digit: int | None
    num_errors: int
    mistakes: list[Mistake]
    images: NDArray[np.uint8]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            **self.answers.document(),
            "digit": self.digit,
            "num_errors": self.num_errors,
            "errors": [vars(mistake) for mistake in self.mistakes],
        }


def view_errors(request: ViewRequest) -> ErrorsView:
    """The `count` most confident mistakes, on images of `digit` alone where one is asked for.

    Raises CheckpointError, DataError or DeviceError.
    """
    answers = asked_answers(request)
    labels = answers.data.labels
    wrong = ~answers.right
    if request.digit is not None:
        wrong &= labels == request.digit
    found = torch.nonzero(wrong)[:, 0]
    ranked = found[answers.confidence[found].argsort(descending=True, stable=True)]
    shown = ranked[: request.count or DEFAULT_COUNT]
    mistakes = [
        Mistake(i, int(labels[i]), int(answers.predictions[i]), float(answers.confidence[i]))
        for i in shown.tolist()
    ]
    images = answers.data.images[shown].numpy()
    return ErrorsView(answers, request.digit, len(found), mistakes, images)
