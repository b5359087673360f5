"""Which digit an image shows, how sure that is, and whether it shows one at all."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mnistctl.device import torch_device
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.loading import LoadedModel, load_model
from mnistctl.engine.inference.predictor import compute_logits
from mnistctl.engine.inference.verdict import Verdict, judge
from mnistctl.errors import ImageError
from mnistctl.events import Reporter
from mnistctl.hardware import choose_hardware
from mnistctl.imaging.files import read_bounded, read_image
from mnistctl.imaging.image_paths import STDIN, expand
from mnistctl.imaging.ink import Invert
from mnistctl.imaging.prepare import Prepared, find_digits, prepare

BATCH = 256


@dataclass(frozen=True)
class Prediction:
    """The answer for one digit of one image."""

    image: str
    number: int
    """Which of the images given, from 0."""
    digit: int | None
    """None when the verdict is not-a-digit."""
    confidence: float
    """Probability of the likeliest digit, 0..1."""
    probabilities: list[float]
    verdict: Verdict
    warnings: tuple[str, ...]
    box: tuple[int, int, int, int]
    """Where the digit is: left, top, right, bottom in pixels of the upright image."""
    pixels: NDArray[np.uint8]
    """(28, 28): what the network saw."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "image": self.image,
            "digit": self.digit,
            "confidence": self.confidence,
            "probabilities": self.probabilities,
            "verdict": self.verdict,
            "warnings": list(self.warnings),
            "box": list(self.box),
        }


@dataclass(frozen=True)
class Unreadable:
    """An image that could not be read, and why."""

    image: str
    error: str


@dataclass(frozen=True)
class Answers:
    """What `mnistctl predict` found, in the order of the images given."""

    checkpoint: str
    label: str
    predictions: list[Prediction]
    errors: list[Unreadable]

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of the command."""
        return {
            "checkpoint": self.checkpoint,
            "predictions": [prediction.to_dict() for prediction in self.predictions],
            "errors": [{"image": e.image, "error": e.error} for e in self.errors],
        }


def predict(
    arguments: Sequence[str],
    *,
    checkpoint: str | None,
    store: Path,
    device: str | None,
    precision: str | None,
    invert: Invert,
    multi: bool,
    reporter: Reporter,
) -> Answers:
    """Predict every image that `arguments` name (see `data.image_paths.expand`).

    With `multi` every digit found in an image is predicted, in reading order. An image that
    can't be read becomes an `Unreadable`, and the rest are predicted.
    Raises CheckpointError or DeviceError.
    """
    chosen, number_format = choose_hardware(device, precision, Ranks(), reporter)
    target = torch_device(chosen)
    loaded = load_model(checkpoint, store, target, reporter)
    reporter.say(f"Asking {loaded.label}")
    if loaded.dataset == "synthetic":
        reporter.warn(
            f"{loaded.label} was trained on synthetic digits; weights trained on MNIST"
            " (mnistctl train) read handwriting better"
        )
    images, errors = _expand_all(arguments)
    predictions: list[Prediction] = []
    reporter.begin("predicting", len(images), "images")
    try:
        for first in range(0, len(images), BATCH):
            batch: list[tuple[int, str, Prepared]] = []
            for number, image in enumerate(images[first : first + BATCH], first):
                try:
                    batch += [(number, image, found) for found in _prepare(image, invert, multi)]
                except ImageError as error:
                    errors.append(Unreadable(image, error.message))
                reporter.advance(number + 1)
            predictions += _answer(batch, loaded, target, number_format, multi)
    finally:
        reporter.end()
    return Answers(str(loaded.path), loaded.label, predictions, errors)


def _expand_all(arguments: Sequence[str]) -> tuple[list[str], list[Unreadable]]:
    images: list[str] = []
    errors: list[Unreadable] = []
    for argument in arguments:
        try:
            images += expand(argument)
        except ImageError as error:
            errors.append(Unreadable(argument, error.message))
    return images, errors


def _prepare(image: str, invert: Invert, multi: bool) -> Iterator[Prepared]:
    if image == STDIN and sys.stdin is None:
        raise ImageError("standard input is closed")
    source = read_bounded(sys.stdin.buffer) if image == STDIN else Path(image)
    picture = read_image(source)
    if multi:
        yield from find_digits(picture, invert) or [prepare(picture, invert)]
    else:
        yield prepare(picture, invert)


def _answer(
    batch: list[tuple[int, str, Prepared]],
    loaded: LoadedModel,
    device: torch.device,
    precision: str,
    multi: bool,
) -> Iterator[Prediction]:
    if not batch:
        return
    pixels = torch.from_numpy(np.stack([prepared.pixels for _, _, prepared in batch]))
    logits = compute_logits(loaded.model, pixels, loaded.recipe, device, precision)
    answers = (logits / loaded.recipe.temperature).softmax(1).tolist()
    digits = logits.argmax(1).tolist()
    for (number, image, prepared), probabilities, digit in zip(batch, answers, digits, strict=True):
        verdict = judge(probabilities, prepared.doubt, multi and prepared.touching)
        doubt = (prepared.doubt,) if prepared.doubt else ()
        yield Prediction(
            image=image,
            number=number,
            digit=None if verdict == "not-a-digit" else digit,
            confidence=probabilities[digit],
            probabilities=probabilities,
            verdict=verdict,
            warnings=prepared.warnings + doubt,
            box=prepared.box,
            pixels=prepared.pixels,
        )
