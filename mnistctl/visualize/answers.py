"""A network's answers to a whole split: what errors, calibration, embedding and compare read."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from mnistctl.data.registry import Split
from mnistctl.engine.inference.calibration import Reliability, reliability
from mnistctl.engine.inference.subject import Subject
from mnistctl.visualize.request import ViewRequest


@dataclass(frozen=True)
class Answers:
    """Logits float32 (n, 10) of a network on the images of `data`."""

    subject: Subject
    data: Split
    logits: Tensor

    @cached_property
    def predictions(self) -> Tensor:
        """The likeliest digits, int64 (n,)."""
        return self.logits.argmax(1)

    @cached_property
    def right(self) -> Tensor:
        """Whether each prediction is the label, bool (n,)."""
        return self.predictions == self.data.labels

    @cached_property
    def confidence(self) -> Tensor:
        """The likeliest digits' probabilities, float32 (n,)."""
        return self.subject.confidences(self.logits).amax(1)

    @property
    def total(self) -> int:
        """Number of images."""
        return len(self.data.labels)

    @property
    def correct(self) -> int:
        """Number of right predictions."""
        return int(self.right.sum())

    def reliability(self) -> Reliability:
        """Confidence against hits by bins of confidence."""
        return reliability(self.logits, self.data.labels, self.subject.loaded.recipe.temperature)

    def document(self) -> dict[str, Any]:
        """The part of a JSON document that `evaluate` shares."""
        return {
            **self.subject.document(),
            "accuracy": self.correct / self.total,
            "correct": self.correct,
            "total": self.total,
        }


def asked_answers(request: ViewRequest) -> Answers:
    """Ask the network about every image. Raises CheckpointError, DataError or DeviceError."""
    return answers_of(request.subject())


def answers_of(subject: Subject, data: Split | None = None) -> Answers:
    """Ask `subject` about every image of its split (`data` where that is loaded already)."""
    data = data or subject.load_data()
    return Answers(subject, data, subject.logits(data.images))
