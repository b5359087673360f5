"""How far a network's confidence can be believed, by bins of confidence."""

from dataclasses import dataclass
from typing import Any

from mnistctl.engine.inference.calibration import NUM_BINS, calibration_error
from mnistctl.visualize.answers import Answers, asked_answers
from mnistctl.visualize.request import ViewRequest


@dataclass(frozen=True)
class Bin:
    """Images whose confidence lies between `low` and `high`, 0..1; None where there is none."""

    low: float
    high: float
    count: int
    confidence: float | None
    """Mean of the images."""
    accuracy: float | None


@dataclass(frozen=True)
class CalibrationView:
    """A reliability diagram and its expected calibration error, 0..1."""

    answers: Answers
    bins: list[Bin]
    calibration_error: float

    def to_dict(self) -> dict[str, Any]:
        """JSON form; the error is that of `evaluate`."""
        return {
            **self.answers.document(),
            "calibration_error": self.calibration_error,
            "temperature": self.answers.subject.loaded.recipe.temperature,
            "bins": [vars(own) for own in self.bins],
        }


def view_calibration(request: ViewRequest) -> CalibrationView:
    """Raises CheckpointError, DataError or DeviceError."""
    answers = asked_answers(request)
    diagram = answers.reliability()
    columns = (diagram.count, diagram.confidence, diagram.hits)
    bins = []
    for number, (count, confidence, hits) in enumerate(zip(*columns, strict=True)):
        num = int(count)
        bins.append(
            Bin(
                low=number / NUM_BINS,
                high=(number + 1) / NUM_BINS,
                count=num,
                confidence=float(confidence) / num if num else None,
                accuracy=float(hits) / num if num else None,
            )
        )
    error = calibration_error(diagram.confidence - diagram.hits, answers.total)
    return CalibrationView(answers, bins, error)
