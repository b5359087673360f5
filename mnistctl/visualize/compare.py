"""Two networks on one split: where they disagree, and whether one is really better."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mnistctl.engine.inference.significance import LEVEL, mcnemar
from mnistctl.errors import UsageError
from mnistctl.visualize.answers import Answers, answers_of
from mnistctl.visualize.request import ViewRequest

DEFAULT_COUNT = 24


@dataclass(frozen=True)
class Disagreement:
    """An image to which two networks give different digits."""

    index: int
    label: int
    prediction_a: int
    prediction_b: int


@dataclass(frozen=True)
class CompareView:
    """Two networks' answers side by side, with the first disagreements' images (n, 28, 28)."""

    a: Answers
    b: Answers
    num_disagreements: int
    disagreements: list[Disagreement]
    images: NDArray[np.uint8]

    @property
    def counts(self) -> dict[str, int]:
        """Images that both get right, only one, or neither."""
        a, b = self.a.right, self.b.right
        return {
            "both_right": int((a & b).sum()),
            "only_a": int((a & ~b).sum()),
            "only_b": int((~a & b).sum()),
            "both_wrong": int((~a & ~b).sum()),
        }

    @property
    def p_value(self) -> float:
        """McNemar's, 0..1."""
        counts = self.counts
        return mcnemar(counts["only_a"], counts["only_b"])

    @property
    def better(self) -> str | None:
        """`a` or `b` where the difference is significant at 0.05."""
        if self.p_value >= LEVEL:
            return None
        return "a" if self.a.correct > self.b.correct else "b"

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "dataset": self.a.subject.dataset,
            "split": self.a.subject.split,
            "total": self.a.total,
            **{key: _side(own) for key, own in (("a", self.a), ("b", self.b))},
            **self.counts,
            "p_value": self.p_value,
            "better": self.better,
            "num_disagreements": self.num_disagreements,
            "disagreements": [vars(own) for own in self.disagreements],
        }


def view_compare(request: ViewRequest) -> CompareView:
    """Raises UsageError unless two checkpoints on one data set are named; else as `evaluate`."""
    first, second = request.subjects(2)
    if first.dataset != second.dataset:
        raise UsageError(
            f"{first.name} was trained on {first.dataset}, {second.name} on {second.dataset}",
            "say on which to compare them, e.g. --dataset mnist",
        )
    a = answers_of(first)
    b = answers_of(second, a.data)
    differ = torch.nonzero(a.predictions != b.predictions)[:, 0]
    shown = differ[: request.count or DEFAULT_COUNT]
    disagreements = [
        Disagreement(i, int(a.data.labels[i]), int(a.predictions[i]), int(b.predictions[i]))
        for i in shown.tolist()
    ]
    return CompareView(a, b, len(differ), disagreements, a.data.images[shown].numpy())


def _side(answers: Answers) -> dict[str, Any]:
    document = answers.document()
    return {key: document[key] for key in ("checkpoint", "recipe", "accuracy", "correct")}
