"""One image through a network: its label, the answer, the ten probabilities."""

from dataclasses import dataclass
from typing import Any

from mnistctl.engine.inference.subject import Subject
from mnistctl.engine.inference.verdict import judge
from mnistctl.visualize.one_image import OneImage, asked_image
from mnistctl.visualize.request import ViewRequest


@dataclass(frozen=True)
class PredictionView:
    """An image and the network's answer."""

    subject: Subject
    shown: OneImage
    prediction: int
    confidence: float
    probabilities: list[float]

    @property
    def verdict(self) -> str:
        """Whether the picture of a file shows a digit at all (see `engine.verdict`)."""
        return judge(self.probabilities, self.shown.doubt)

    def to_dict(self) -> dict[str, Any]:
        """JSON form; of a picture file also what `predict` says of it."""
        shown = self.shown
        document: dict[str, Any] = {
            **self.subject.document(),
            **shown.document(),
            "prediction": self.prediction,
            "confidence": self.confidence,
            "probabilities": self.probabilities,
        }
        if shown.image is not None:
            del document["dataset"], document["split"]
            document |= {
                "verdict": self.verdict,
                "warnings": [*shown.warnings, *([shown.doubt] if shown.doubt else [])],
                "box": list(shown.box or ()),
                "steps": [name for name, _ in shown.steps],
            }
        return document


def view_prediction(request: ViewRequest) -> PredictionView:
    """Raises UsageError (index), ImageError, CheckpointError, DataError or DeviceError."""
    subject, shown = asked_image(request)
    probabilities = subject.confidences(subject.logits(shown.tensor))[0]
    prediction = int(probabilities.argmax())
    confidence = float(probabilities[prediction])
    return PredictionView(subject, shown, prediction, confidence, probabilities.tolist())
