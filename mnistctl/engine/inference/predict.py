"""`predict`: which class an image shows, how confident that is, and whether it shows one at all."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from mnistctl.data.images import DIGITS
from mnistctl.data.preparing import Question, prepare_each
from mnistctl.engine.inference.loading import LoadedModel
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.errors import ImageError, UsageError
from mnistctl.events import Reporter
from mnistctl.imaging.files import expand
from mnistctl.imaging.ink import Invert
from mnistctl.imaging.prepare import Ask, Prepared
from mnistctl.models.layers import log_probabilities

MAX_BATCH = 32
CONFIDENT = 0.9
"""Confidence from which an answer is no longer uncertain."""
REJECT = 0.7
"""Confidence below which a network that has learnt no outliers rejects an image."""
CONFIDENT_OF_PART = 0.99
"""As CONFIDENT for a digit cut off from its neighbour: of parts a network is often too sure."""
CONFIDENT_OF_DIGIT = 0.7
"""As CONFIDENT where the network has learnt outliers; the probability of one says the rest."""
DOUBTFUL = 0.5
"""Probability of an outlier above which an answer is uncertain."""
OUTLIER = 0.8
"""Probability of an outlier above which an image is rejected."""
OUTLIER_OF_OTHERS = 0.1
"""Probability of an outlier up to which another reading than the likeliest may be accepted."""
RARITY = ((0.99, 0.01), (0.95, 0.04), (0.8, 0.2), (0.5, 0.6))
"""Of digits held out in training `robust`, so many per cent are likelier outliers than this."""

Verdict = Literal["digit", "uncertain", "not-a-digit", "known", "unknown"]


@dataclass(frozen=True)
class Prediction:
    """The answer for one image, or for one digit of an image with several."""

    image: str
    number: int
    """Which of the images given, from 0."""
    class_index: int
    class_name: str
    digit: int | None
    """None when the verdict is not-a-digit, and where the classes are no digits."""
    confidence: float
    """Probability of the likeliest class, 0..1."""
    probabilities: list[float]
    verdict: Verdict
    warnings: tuple[str, ...]
    box: tuple[int, int, int, int]
    """Where the digit is: left, top, right, bottom in pixels of the upright image."""
    pixels: NDArray[np.uint8]
    """(28, 28): the network's input."""
    line: int = 0
    """Which line of writing of the image it stands in, from 0."""
    outlier_probability: float | None = None
    """How likely the image shows none of the classes, 0..1; None where the network can't tell."""

    @property
    def rejected(self) -> bool:
        """Whether the image is taken for none of the classes."""
        return self.verdict in ("not-a-digit", "unknown")

    @property
    def shown(self) -> str:
        """The class predicted; ? for a rejected image."""
        return "?" if self.rejected else self.class_name

    @property
    def standing(self) -> str:
        """`accepted`, `uncertain` or `rejected`: the verdict, whatever the classes are."""
        if self.rejected:
            return "rejected"
        return "uncertain" if self.verdict == "uncertain" else "accepted"

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "image": self.image,
            "digit": self.digit,
            "class_name": self.class_name,
            "class_index": self.class_index,
            "confidence": self.confidence,
            "probabilities": self.probabilities,
            "verdict": self.verdict,
            "outlier_probability": self.outlier_probability,
            "warnings": list(self.warnings),
            "box": list(self.box),
            "line": self.line,
        }


def reading(digits: Sequence[Prediction]) -> str:
    """What the digits of one image say together: `2048 37` of two lines; ? for a rejected one."""
    apart = "" if all(len(own.class_name) == 1 for own in digits) else " "
    lines = groupby(digits, lambda own: own.line)
    return " ".join(apart.join(own.shown for own in line) for _, line in lines)


@dataclass(frozen=True)
class Unreadable:
    """An image that could not be read, and why."""

    image: str
    error: str


@dataclass(frozen=True)
class Predictions:
    """What `mnistctl predict` found, in the order of the images given."""

    model: LoadedModel
    predictions: list[Prediction]
    errors: list[Unreadable]

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of the command."""
        return {
            "checkpoint": str(self.model.path),
            "classes": list(self.model.predictor.classes),
            "predictions": [prediction.to_dict() for prediction in self.predictions],
            "errors": [{"image": e.image, "error": e.error} for e in self.errors],
        }


def predict(
    arguments: Sequence[str],
    model: LoadedModel,
    invert: Invert,
    multi: bool,
    reporter: Reporter,
    show: Callable[[list[Prediction] | Unreadable], None] = lambda found: None,
) -> Predictions:
    """Predict every image that `arguments` name (see `imaging.files.expand`).

    With `multi` every digit found in an image is predicted, in reading order. An image that
    can't be read becomes an `Unreadable`, and the rest are predicted. `show` is called with what
    is found, as soon as it is. Raises CheckpointError, and UsageError for `multi` with a network
    of whole pictures.
    """
    if multi:
        check_multi(model)
    if model.dataset == "synthetic":
        reporter.warn(
            f"{model.label} was trained on synthetic digits; weights trained on MNIST"
            " (mnistctl train) are more accurate on handwriting"
        )
    images, errors = _expand_all(arguments)
    for unreadable in errors:
        show(unreadable)
    predictions: list[Prediction] = []
    ask = asking(model.predictor) if multi else None
    reporter.begin("predicting", len(images), "images")
    question = Question(model.prepare, invert)
    try:
        with closing(prepare_each(images, question, ask)) as answers:
            for first, end in _batches(len(images)):
                batch: list[tuple[int, str, Prepared]] = []
                for number, found in zip(range(first, end), answers, strict=False):
                    if isinstance(found, ImageError):
                        errors.append(Unreadable(images[number], found.message))
                        show(errors[-1])
                    else:
                        batch += [(number, images[number], own) for own in found]
                    reporter.advance(number + 1)
                read = list(predict_prepared(model.predictor, batch, multi))
                show(read)
                predictions += read
    finally:
        reporter.end()
    return Predictions(model, predictions, errors)


def _batches(count: int) -> Iterator[tuple[int, int]]:
    """First and end of each batch: one image, so that an answer comes at once, then ever more."""
    first, size = 0, 1
    while first < count:
        yield first, min(first + size, count)
        first, size = first + size, min(2 * size, MAX_BATCH)


def _expand_all(arguments: Sequence[str]) -> tuple[list[str], list[Unreadable]]:
    images: list[str] = []
    errors: list[Unreadable] = []
    for argument in arguments:
        try:
            images += expand(argument)
        except ImageError as error:
            errors.append(Unreadable(argument, error.message))
    return images, errors


def check_multi(model: LoadedModel) -> None:
    """Raise UsageError if the network sees whole pictures: it can't read several digits."""
    if model.prepare != "ink":
        raise UsageError(
            f"--multi looks for digits; {model.label} was trained on whole pictures",
            "leave out --multi",
        )


def asking(predictor: Predictor) -> Ask:
    """What `find_digits` asks where one digit ends and the next begins."""

    def answers(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits = predictor.logits(torch.from_numpy(pixels))
        # A part of a digit, or two of them, are likely outliers.
        shares = log_probabilities(logits, predictor.recipe.rejects)
        return shares[:, : len(predictor.classes)].numpy()

    return answers


def predict_prepared(
    predictor: Predictor, batch: Sequence[tuple[int, str, Prepared]], multi: bool = False
) -> Iterator[Prediction]:
    """Predictions of prepared images, each with the number and name of the image it is from.

    Of several readings of an image it is that of the first, unless others alone are accepted.
    """
    readings = [
        (number, image, own)
        for number, image, prepared in batch
        for own in (prepared, *prepared.others)
    ]
    answers = _answers(predictor, readings, multi)
    for _, _, prepared in batch:
        yield _of_readings(list(islice(answers, 1 + len(prepared.others))))[1]


def settled(predictor: Predictor, prepared: Prepared, multi: bool = False) -> Prepared:
    """The reading of an image that `predict_prepared` answers for, the rest as its `others`."""
    if not prepared.others:
        return prepared
    readings = [prepared, *prepared.others]
    answers = list(_answers(predictor, [(0, "", own) for own in readings], multi))
    chosen = readings.pop(_of_readings(answers)[0])
    return replace(chosen, others=tuple(replace(own, others=()) for own in readings))


def _of_readings(answers: Sequence[Prediction]) -> tuple[int, Prediction]:
    """Which reading counts, and what it says.

    The first, unless others alone are accepted: then the one least like an outlier. They must be
    far from one, since each is one more chance for an outlier to look like a digit.
    """
    outliers = [answer.outlier_probability or 0 for answer in answers]
    accepted = [
        k
        for k, answer in enumerate(answers)
        if answer.standing == "accepted" and (k == 0 or outliers[k] <= OUTLIER_OF_OTHERS)
    ]
    chosen = 0
    if accepted and accepted[0] > 0:
        chosen = min(accepted, key=lambda k: (outliers[k], -answers[k].confidence))
    if len({answers[k].class_index for k in accepted}) > 1:
        doubt = "read in several ways, as different classes: the light is uneven"
        warnings = (*answers[chosen].warnings, doubt)
        return chosen, replace(answers[chosen], verdict="uncertain", warnings=warnings)
    return chosen, answers[chosen]


def _answers(
    predictor: Predictor, batch: Sequence[tuple[int, str, Prepared]], multi: bool
) -> Iterator[Prediction]:
    if not batch:
        return
    pixels = torch.from_numpy(np.stack([prepared.pixels for _, _, prepared in batch]))
    logits = predictor.logits(pixels)
    answers = predictor.calibrated(logits).tolist()
    outlying = predictor.outlier_probabilities(logits)
    outliers = [None] * len(batch) if outlying is None else outlying.tolist()
    for (number, image, prepared), probabilities, outlier in zip(
        batch, answers, outliers, strict=True
    ):
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        touching = multi and prepared.touching
        verdict = judge(probabilities, prepared.doubt, predictor.classes, touching, outlier)
        doubt = prepared.doubt or (unlikeness(outlier) if outlier is not None else None)
        yield Prediction(
            image=image,
            number=number,
            class_index=best,
            class_name=predictor.classes[best],
            digit=best if predictor.classes == DIGITS and verdict != "not-a-digit" else None,
            confidence=probabilities[best],
            probabilities=probabilities,
            verdict=verdict,
            warnings=prepared.warnings + ((doubt,) if doubt else ()),
            box=prepared.box,
            pixels=prepared.pixels,
            line=prepared.line,
            outlier_probability=outlier,
        )


def judge(
    probabilities: Sequence[float],
    doubt: str | None,
    classes: tuple[str, ...] = DIGITS,
    touching: bool = False,
    outlier: float | None = None,
) -> Verdict:
    """The verdict from the probabilities (0..1) and the doubts about the image itself.

    `doubt` says why it can't be a digit. A piece `touching` its neighbour takes more confidence:
    half a digit may look like another one. `outlier` is the probability that the image shows none
    of the classes; where the network can't tell (None), a low confidence rejects, Hendrycks and
    Gimpel's baseline (arXiv:1610.02136).
    """
    accepted: Verdict = "digit" if classes == DIGITS else "known"
    rejected: Verdict = "not-a-digit" if classes == DIGITS else "unknown"
    confidence = max(probabilities)
    if doubt is not None or (confidence < REJECT if outlier is None else outlier > OUTLIER):
        return rejected
    usual = CONFIDENT if outlier is None else CONFIDENT_OF_DIGIT
    enough = CONFIDENT_OF_PART if touching else usual
    sure = confidence >= enough and (outlier or 0) <= DOUBTFUL
    return accepted if sure else "uncertain"


def unlikeness(outlier: float) -> str | None:
    """What to say of an image that is an outlier with this probability; None: nothing."""
    for limit, rarity in RARITY:
        if outlier > limit:
            return f"unlike any digit: {rarity:g} % of digits look less like one"
    return None
