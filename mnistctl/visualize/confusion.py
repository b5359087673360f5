"""Which digits are taken for which."""

from dataclasses import dataclass
from typing import Any

from mnistctl.distributed import Ranks
from mnistctl.engine.inference.evaluate import Scores, score
from mnistctl.engine.inference.subject import Subject
from mnistctl.visualize.request import ViewRequest

NUM_PAIRS = 5


@dataclass(frozen=True)
class Pair:
    """Images of `label` that were taken for `prediction`."""

    label: int
    prediction: int
    count: int


@dataclass(frozen=True)
class ConfusionView:
    """The confusion matrix of a split."""

    subject: Subject
    scores: Scores

    @property
    def worst_pairs(self) -> list[Pair]:
        """The commonest confusions, at most 5, the worst first."""
        pairs = [
            Pair(label, prediction, count)
            for label, row in enumerate(self.scores.confusion)
            for prediction, count in enumerate(row)
            if label != prediction and count
        ]
        return sorted(pairs, key=lambda pair: -pair.count)[:NUM_PAIRS]

    def to_dict(self) -> dict[str, Any]:
        """JSON form; the numbers are those of `evaluate`."""
        return {
            **self.subject.document(),
            **self.scores.brief(),
            "per_class": self.scores.per_class,
            "confusion": self.scores.confusion,
            "worst_pairs": [vars(pair) for pair in self.worst_pairs],
        }


def view_confusion(request: ViewRequest) -> ConfusionView:
    """Raises CheckpointError, DataError or DeviceError."""
    subject = request.subject()
    data, own, where = subject.load_data(), subject.loaded, subject.hardware
    scores = score(
        own.model,
        data.images,
        data.labels,
        own.recipe,
        where.device,
        where.precision,
        Ranks(),
        subject.reporter,
    )
    return ConfusionView(subject, scores)
