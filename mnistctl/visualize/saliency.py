"""Which pixels of one image a network's decision rests on."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mnistctl.engine.inference.activations import need_conv_layers
from mnistctl.engine.inference.attribution import Attribution, grad_cam, integrated_gradients
from mnistctl.engine.inference.predictor import pixels_to_input
from mnistctl.engine.inference.subject import Subject
from mnistctl.errors import unknown
from mnistctl.visualize.one_image import OneImage, asked_image
from mnistctl.visualize.request import ViewRequest

METHODS = ("integrated-gradients", "gradcam")


@dataclass(frozen=True)
class SaliencyView:
    """The pixels' part in the score of `digit`."""

    subject: Subject
    shown: OneImage
    method: str
    digit: int
    prediction: int
    confidence: float
    """Of `digit`, 0..1."""
    attribution: Attribution

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            **self.subject.document(),
            **self.shown.document(),
            "method": self.method,
            "digit": self.digit,
            "prediction": self.prediction,
            "confidence": self.confidence,
            "score": self.attribution.score,
            "baseline_score": self.attribution.baseline,
            "attribution": self.attribution.values.tolist(),
        }


def view_saliency(request: ViewRequest) -> SaliencyView:
    """Of the digit asked for, else of the one predicted; in float32.

    Integrated gradients are those of the logit, of an ensemble's logarithm of the mean
    probability, for the image as it is; Grad-CAM looks into an ensemble's first member.
    Raises UsageError, ImageError, CheckpointError, DataError, DeviceError; MnistctlError where
    Grad-CAM finds no convolution.
    """
    method = request.method or METHODS[0]
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    subject, shown = asked_image(request)
    probabilities = subject.confidences(subject.logits(shown.tensor))[0]
    prediction = int(probabilities.argmax())
    digit = prediction if request.digit is None else request.digit
    attribution = _attribution(subject, shown.tensor, method, digit)
    return SaliencyView(
        subject, shown, method, digit, prediction, float(probabilities[digit]), attribution
    )


def _attribution(subject: Subject, image: Tensor, method: str, digit: int) -> Attribution:
    recipe, device = subject.loaded.recipe, subject.hardware.device
    inputs = pixels_to_input(image.to(device), recipe)
    if method == "integrated-gradients":
        empty = pixels_to_input(torch.zeros_like(image).to(device), recipe)
        return integrated_gradients(subject.loaded.model, inputs, empty, digit)
    network = subject.network()
    last = need_conv_layers(network, "Grad-CAM", "use --method integrated-gradients")[-1]
    return grad_cam(network, last.conv, last.norm, inputs, digit)
