"""What `predict` does around the network, with one that is sure of everything."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import nn

from mnistctl.data import preparing
from mnistctl.data.images import DIGITS
from mnistctl.engine.inference.loading import LoadedModel
from mnistctl.engine.inference.predict import (
    CONFIDENT,
    CONFIDENT_OF_PART,
    DOUBTFUL,
    RARITY,
    REJECT,
    Predictions,
    Verdict,
    asking,
    judge,
    predict,
    predict_prepared,
    settled,
)
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.events import Reporter
from mnistctl.imaging.prepare import Prepared
from mnistctl.recipes import RECIPES

CPU = torch.device("cpu")
CLOTHES = ("T-shirt/top", "Trouser", "Coat")


class Always(nn.Module):
    """Says one class of `num_classes`, whatever it sees."""

    def __init__(
        self, index: int, num_classes: int, logit: float = 200.0, others: float = 0.0
    ) -> None:
        super().__init__()
        self.answer = torch.full((num_classes,), others)
        self.answer[index] = logit

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.answer.expand(len(x), -1)


class SureOfWide(nn.Module):
    """Says 8 of what is far wider than high, and nothing of all else."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        width, height = ((x > 0).any(dim=side).sum(dim=(1, 2)) for side in (2, 3))
        wide = width > 1.3 * height
        return torch.nn.functional.one_hot(torch.tensor([8]), 10) * 5.0 * wide[:, None]


class Recorder(Reporter):
    """Keeps the names of the calls about a task, and the warnings."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def begin(self, task: str, total: int, unit: str) -> None:
        if task == "predicting":
            self.calls.append(f"begin {task} {total}")

    def advance(self, done: int) -> None:
        self.calls.append(f"advance {done}")

    def end(self) -> None:
        self.calls.append("end")


def model_of(
    network: nn.Module, classes: tuple[str, ...] = DIGITS, dataset: str = "mnist"
) -> LoadedModel:
    predictor = Predictor(network, RECIPES["mlp"], classes, CPU, "fp32")
    return LoadedModel(predictor, dataset, Path("sure.pt"), "sure")


SURE = model_of(Always(8, 10))


def ask(
    *images: str, multi: bool = False, reporter: Any = None, model: LoadedModel = SURE
) -> Predictions:
    return predict(images, model, "auto", multi, reporter or Reporter())


def page(joined: bool) -> str:
    """Two crosses side by side, 150 pixels tall, whose arms meet or leave a gap."""
    image = Image.new("L", (400, 250), 230)
    draw = ImageDraw.Draw(image)
    for left in (60, 170 if joined else 210):
        draw.line([(left + 55, 50), (left + 55, 200)], fill=30, width=12)
        draw.line([(left, 120), (left + 110, 120)], fill=30, width=12)
    image.save("page.png")
    return "page.png"


def cross() -> str:
    """One cross, a fine digit by its ink."""
    image = Image.new("L", (250, 250), 230)
    draw = ImageDraw.Draw(image)
    draw.line([(120, 50), (120, 200)], fill=30, width=12)
    draw.line([(70, 120), (180, 120)], fill=30, width=12)
    image.save("cross.png")
    return "cross.png"


def test_pieces_that_touched_take_more_confidence() -> None:
    quite_sure = model_of(Always(8, 10, logit=5.0))  # 0.94
    apart = ask(page(joined=False), multi=True, model=quite_sure).predictions
    assert [p.verdict for p in apart] == ["digit", "digit"]
    surely = ask(page(joined=True), multi=True).predictions
    assert [p.verdict for p in surely] == ["digit", "digit"]
    touching = ask(page(joined=True), multi=True, model=quite_sure).predictions
    assert [p.verdict for p in touching] == ["uncertain", "uncertain"]
    assert all("touched its neighbour" in p.warnings[0] for p in touching)
    assert [p.digit for p in touching] == [8, 8]


def test_wide_digit_takes_more_confidence_among_several() -> None:
    image = Image.new("L", (300, 300), 230)
    ImageDraw.Draw(image).ellipse([60, 90, 240, 210], outline=30, width=12)
    image.save("wide.png")
    for multi, verdict in ((False, "digit"), (True, "uncertain")):
        model = model_of(SureOfWide())  # 0.94
        (prediction,) = ask("wide.png", multi=multi, model=model).predictions
        assert prediction.warnings == ("wider than most digits: two that touch?",)
        assert prediction.verdict == verdict


def test_progress_counts_every_image_and_is_closed() -> None:
    reporter = Recorder()
    Image.fromarray(np.full((9, 9), 200, np.uint8)).save("blank.png")
    ask("blank.png", "missing.png", "blank.png", reporter=reporter)
    assert reporter.calls == ["begin predicting 3", "advance 1", "advance 2", "advance 3", "end"]


def test_interrupt_closes_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(source: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(preparing, "read_argument", interrupted)
    reporter = Recorder()
    with pytest.raises(KeyboardInterrupt):
        ask("page.png", reporter=reporter)
    assert reporter.calls == ["begin predicting 1", "end"]


def test_a_digit_has_its_number_and_its_name() -> None:
    (prediction,) = ask(cross()).predictions
    assert prediction.to_dict() | {"box": None} == {
        "image": "cross.png",
        "digit": 8,
        "class_name": "8",
        "class_index": 8,
        "confidence": 1.0,
        "probabilities": [0.0] * 8 + [1.0, 0.0],
        "verdict": "digit",
        "outlier_probability": None,
        "warnings": [],
        "box": None,
        "line": 0,
    }


def test_a_rejected_image_has_no_digit() -> None:
    (prediction,) = ask(cross(), model=model_of(Always(8, 10, logit=2.0))).predictions
    assert (prediction.verdict, prediction.digit, prediction.rejected) == (
        "not-a-digit",
        None,
        True,
    )
    assert (prediction.class_index, prediction.class_name) == (8, "8")


def test_classes_that_are_no_digits_are_named() -> None:
    model = model_of(Always(2, 3), CLOTHES, "clothes")
    answers = ask(cross(), model=model)
    (prediction,) = answers.predictions
    assert answers.to_dict()["classes"] == list(CLOTHES)
    assert (prediction.class_name, prediction.class_index) == ("Coat", 2)
    assert (prediction.digit, prediction.verdict) == (None, "known")
    (unsure,) = ask(cross(), model=model_of(Always(2, 3, logit=0.1), CLOTHES)).predictions
    assert (unsure.digit, unsure.verdict, unsure.rejected) == (None, "unknown", True)


def test_weights_trained_on_synthetic_digits_come_with_a_warning() -> None:
    reporter = Recorder()
    ask(cross(), model=model_of(Always(8, 10), dataset="synthetic"), reporter=reporter)
    assert reporter.warnings == [
        "sure was trained on synthetic digits; weights trained on MNIST"
        " (mnistctl train) are more accurate on handwriting"
    ]
    ask(cross(), reporter=(quiet := Recorder()))
    assert quiet.warnings == []


@pytest.mark.parametrize(
    ("confidence", "outlier", "verdict"),
    [
        (0.70, 0.0, "digit"),
        (0.69, 0.0, "uncertain"),
        (1.0, 0.50, "digit"),
        (1.0, 0.51, "uncertain"),
        (1.0, 0.80, "uncertain"),
        (1.0, 0.81, "not-a-digit"),
        (0.3, 0.0, "uncertain"),
    ],
)
def test_a_network_that_knows_outliers_rejects_by_their_probability_alone(
    confidence: float, outlier: float, verdict: Verdict
) -> None:
    others = [(1 - confidence) / 9] * 9
    assert judge([*others, confidence], None, outlier=outlier) == verdict


def test_an_outlier_is_told_how_few_digits_are_like_it() -> None:
    """Logits of -100 but one, L: the probability of an outlier is that of -L in two classes."""
    for logit, outlier, verdict, warned in (
        (5.0, 0.0067, "digit", False),
        (-0.5, 0.6225, "uncertain", True),
        (-5.0, 0.9933, "not-a-digit", True),
    ):
        network = Always(8, 10, logit, others=-100.0)
        predictor = Predictor(network, RECIPES["robust"], DIGITS, CPU, "fp32")
        model = LoadedModel(predictor, "mnist", Path("sure.pt"), "sure")
        (prediction,) = ask(cross(), model=model).predictions
        assert prediction.outlier_probability == pytest.approx(outlier, abs=1e-4)
        assert (prediction.verdict, prediction.class_index) == (verdict, 8)
        assert [text.startswith("unlike any digit: ") for text in prediction.warnings] == [
            True
        ] * warned


def test_the_less_like_a_digit_the_fewer_digits_are() -> None:
    limits, rarities = zip(*RARITY, strict=True)
    assert list(limits) == sorted(limits, reverse=True)
    assert list(rarities) == sorted(rarities)
    assert limits[-1] == DOUBTFUL


@pytest.mark.parametrize(
    ("confidence", "doubt", "touching", "verdict"),
    [
        (0.9, None, False, "digit"),
        (0.899, None, False, "uncertain"),
        (0.7, None, False, "uncertain"),
        (0.699, None, False, "not-a-digit"),
        (1.0, "a blob, not strokes", False, "not-a-digit"),
        (0.99, None, True, "digit"),
        (0.989, None, True, "uncertain"),
        (0.699, None, True, "not-a-digit"),
        (1.0, "a blob, not strokes", True, "not-a-digit"),
    ],
)
def test_verdict_by_confidence_doubt_and_touching(
    confidence: float, doubt: str | None, touching: bool, verdict: Verdict
) -> None:
    assert (CONFIDENT, CONFIDENT_OF_PART, REJECT) == (0.9, 0.99, 0.7)
    others = [(1 - confidence) / 9] * 9
    assert judge([*others, confidence], doubt, touching=touching) == verdict
    of_others = {"digit": "known", "uncertain": "uncertain", "not-a-digit": "unknown"}
    assert judge([*others, confidence], doubt, CLOTHES, touching) == of_others[verdict]


def test_what_is_asked_of_parts_counts_the_chance_of_an_outlier() -> None:
    network = Always(8, 10, -5.0, others=-100.0)
    parts = np.zeros((3, 28, 28), np.uint8)
    for recipe, share in (("robust", 0.0067), ("mlp", 1.0)):
        predictor = Predictor(network, RECIPES[recipe], DIGITS, CPU, "fp32")
        answers = asking(predictor)(parts)
        assert answers.shape == (3, 10)
        assert np.exp(answers[:, 8]) == pytest.approx(share, abs=1e-4)


def marked(width: int, height: int = 20) -> NDArray[np.uint8]:
    """A block of light, uint8 (28, 28): SureOfWide takes a wide one for an 8."""
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4 : 4 + height, 4 : 4 + width] = 255
    return pixels


WIDE, NARROW = Prepared(marked(20, 5), (0, 0, 1, 1)), Prepared(marked(5), (0, 0, 2, 2))
DOUBTED = replace(WIDE, doubt="a blob, not strokes")


@pytest.mark.parametrize(
    ("readings", "chosen"),
    [
        ((WIDE, NARROW), 0),
        ((NARROW, WIDE), 1),
        ((NARROW, DOUBTED, WIDE), 2),
        ((NARROW, NARROW), 0),
        ((DOUBTED, NARROW), 0),
        ((WIDE,), 0),
    ],
)
def test_the_first_reading_counts_unless_another_alone_is_accepted(
    readings: tuple[Prepared, ...], chosen: int
) -> None:
    predictor = Predictor(SureOfWide(), RECIPES["mlp"], DIGITS, CPU, "fp32")
    found = replace(readings[0], others=readings[1:])
    (answer,) = predict_prepared(predictor, [(0, "", found)])
    assert np.array_equal(answer.pixels, readings[chosen].pixels)
    assert answer.box == readings[chosen].box
    first = settled(predictor, found)
    assert replace(first, others=()) == readings[chosen]
    assert len(first.others) == len(found.others)


def test_of_several_pictures_each_keeps_its_own_readings() -> None:
    predictor = Predictor(SureOfWide(), RECIPES["mlp"], DIGITS, CPU, "fp32")
    several = [replace(NARROW, others=(WIDE,)), NARROW, replace(WIDE, others=(NARROW,)), WIDE]
    answers = list(predict_prepared(predictor, [(k, str(k), own) for k, own in enumerate(several)]))
    assert [answer.number for answer in answers] == [0, 1, 2, 3]
    assert [answer.digit for answer in answers] == [8, None, 8, 8]


class ByWidth(nn.Module):
    """Says 8 of what is wider than high, 1 of all else."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        width, height = ((x > 0).any(dim=side).sum(dim=(1, 2)) for side in (2, 3))
        index = torch.where(width > height, 8, 1)
        return torch.nn.functional.one_hot(index, 10) * 200.0


def test_readings_that_differ_are_uncertain() -> None:
    predictor = Predictor(ByWidth(), RECIPES["mlp"], DIGITS, CPU, "fp32")
    (answer,) = predict_prepared(predictor, [(0, "", replace(WIDE, others=(NARROW,)))])
    assert (answer.verdict, answer.digit) == ("uncertain", 8)
    assert answer.warnings == ("read in several ways, as different classes: the light is uneven",)
    shaded = replace(NARROW, doubt="a blob, not strokes", others=(WIDE, NARROW))
    for found in (shaded, settled(predictor, shaded)):  # `visualize` settles, then asks
        (answer,) = predict_prepared(predictor, [(0, "", found)])
        assert (answer.verdict, answer.digit) == ("uncertain", 8)
    (answer,) = predict_prepared(predictor, [(0, "", replace(WIDE, others=(DOUBTED, WIDE)))])
    assert (answer.verdict, answer.warnings) == ("digit", ())


@pytest.mark.parametrize(("probability", "counts"), [(0.09, True), (0.11, False)])
def test_another_reading_must_be_far_from_an_outlier(probability: float, counts: bool) -> None:
    outlier = replace(WIDE, doubt="a blob, not strokes")

    class Fixed(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits = torch.full((len(x), 10), -50.0)
            logits[:, 1] = -np.log(probability / (1 - probability))
            return logits

    recipe = replace(RECIPES["robust"], temperature=0.01)
    predictor = Predictor(Fixed(), recipe, DIGITS, CPU, "fp32")
    (answer,) = predict_prepared(predictor, [(0, "", replace(outlier, others=(NARROW,)))])
    assert answer.outlier_probability == pytest.approx(probability)
    assert answer.verdict == ("digit" if counts else "not-a-digit")
