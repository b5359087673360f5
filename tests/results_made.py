"""Views of results made up without training, for tests of how they are shown."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mnistctl.data.registry import DIGITS, LabelledImages
from mnistctl.engine.inference.attribution import Attribution
from mnistctl.engine.inference.loading import LoadedModel
from mnistctl.engine.inference.predict import Prediction
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.imaging.files import Picture
from mnistctl.imaging.prepare import Prepared
from mnistctl.models.ensemble import Ensemble
from mnistctl.recipes import RECIPES
from mnistctl.visualize.activations import ActivationsView, LayerMaps
from mnistctl.visualize.answers import Answers
from mnistctl.visualize.calibration import CalibrationView
from mnistctl.visualize.compare import CompareView
from mnistctl.visualize.confusion import ConfusionView
from mnistctl.visualize.curves import Curves, CurvesView
from mnistctl.visualize.embedding import EmbeddingView
from mnistctl.visualize.errors import ErrorsView
from mnistctl.visualize.filters import FiltersView
from mnistctl.visualize.number import NumberView
from mnistctl.visualize.prediction import PredictionView
from mnistctl.visualize.registry import View
from mnistctl.visualize.saliency import SaliencyView
from mnistctl.visualize.samples import SamplesView
from mnistctl.visualize.sources import OneImage

GENERATOR = np.random.default_rng(3)
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat")
CLOTHES += ("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
LETTERS = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")
SIDE = 28


def images(count: int) -> NDArray[np.uint8]:
    return GENERATOR.integers(0, 256, (count, SIDE, SIDE)).astype(np.uint8)


def model(name: str = "wide", classes: Sequence[str] = DIGITS, members: int = 1) -> LoadedModel:
    network = nn.Identity() if members == 1 else Ensemble([nn.Identity() for _ in range(members)])
    device = torch.device("cpu")
    predictor = Predictor(network, RECIPES["fast"], classes, device, "fp32", name)
    return LoadedModel(predictor, "mnist", Path("x.pt"), f"run {name}")


def answers(
    labels: Sequence[int],
    predictions: Sequence[int],
    name: str = "wide",
    classes: Sequence[str] = DIGITS,
    strength: Any = 9.0,
) -> Answers:
    """What a network answers; `strength`, one number or one per image, makes it confident."""
    count = len(labels)
    logits = torch.nn.functional.one_hot(torch.tensor(predictions), len(classes)).float()
    logits *= torch.as_tensor(strength, dtype=torch.float32).expand(count)[:, None]
    pixels = torch.arange(count).remainder(256).to(torch.uint8)
    data = LabelledImages(pixels[:, None, None].expand(count, SIDE, SIDE), torch.tensor(labels))
    return Answers(model(name, classes), "mnist", "test", data, logits)


def many_answers(
    name: str = "wide", classes: Sequence[str] = DIGITS, accuracy: float = 0.97, seed: int = 0
) -> Answers:
    """Two thousand answers, more confident where they are right."""
    generator = np.random.default_rng(seed)
    labels = np.arange(2_000) % len(classes)
    wrong = generator.random(2_000) > accuracy
    predictions = np.where(wrong, generator.integers(0, len(classes), 2_000), labels)
    strength = generator.uniform(0.5, 4, 2_000) + 3 * (predictions == labels)
    return answers(labels.tolist(), predictions.tolist(), name, classes, strength)


def prediction(
    name: str = "wide",
    label: int | None = 4,
    probabilities: Sequence[float] = (*[0.01] * 9, 0.91),
    classes: Sequence[str] = DIGITS,
    steps: int = 0,
    verdict: Any = "digit",
    doubt: str | None = None,
) -> PredictionView:
    """Of an image of a split, or without a label of a file with a number of steps."""
    shapes = ((90, 768, 3), (90, 768), (90, 768))
    pictures = [GENERATOR.integers(0, 256, shape).astype(np.uint8) for shape in shapes[:steps]]
    named = tuple(zip(("image", "ink", "strokes"), pictures, strict=False))
    prepared = Prepared(images(1)[0], (0, 0, SIDE, SIDE), doubt, (), named)
    best = max(range(len(classes)), key=list(probabilities).__getitem__)
    answer = Prediction(
        image=name,
        number=0,
        class_index=best,
        class_name=classes[best],
        digit=best,
        confidence=probabilities[best],
        probabilities=list(probabilities),
        verdict=verdict,
        warnings=(doubt,) if doubt else (),
        box=prepared.box,
        pixels=prepared.pixels,
    )
    known = label is not None
    caption = f"{name}, label {classes[label]}" if label is not None else name
    origin = {"index": 0, "label": label} if known else {"image": name}
    shown = OneImage(name, prepared, caption, origin, label)
    return PredictionView(model("wide", classes), shown, answer)


def number(name: str = "wide", read: str = "40?7", width: int = 400) -> NumberView:
    """Of a picture 90 pixels high; `?` stands for what is no digit."""
    answers = []
    for place, digit in enumerate(read):
        verdict = "not-a-digit" if digit == "?" else "uncertain" if place == 1 else "digit"
        shares = [0.01] * 10
        shares[0 if digit == "?" else int(digit)] = 0.91
        one = prediction(name, None, shares, verdict=verdict).answer
        answers.append(replace(one, box=(20 + 90 * place, 20, 80 + 90 * place, 80)))
    pixels = GENERATOR.integers(0, 256, (90, width, 3)).astype(np.uint8)
    return NumberView(model(name), name, Picture(pixels, width, 90), answers)


def one_image(name: str = "mnist test image 0", blank: bool = False) -> OneImage:
    pixels = np.zeros((SIDE, SIDE), np.uint8) if blank else images(1)[0]
    prepared = Prepared(pixels, (0, 0, SIDE, SIDE))
    return OneImage(name, prepared, f"{name}, label 4", {"index": 0, "label": 4}, 4)


def samples(
    name: str = "mnist", count: int = 80, variants: bool = False, fit: bool = False
) -> SamplesView:
    return SamplesView(
        dataset=name,
        split="test",
        classes=DIGITS,
        order="by class",
        indexes=list(range(59_900, 59_900 + count)),
        labels=[k * 10 // count for k in range(count)],
        images=images(count),
        recipe="standard" if variants else None,
        variants=images(7 * count).reshape(count, 7, SIDE, SIDE) if variants else None,
        fit=fit,
    )


def run(name: str, epochs: int = 6) -> Curves:
    steps = [(step / 12, 2.0 / step) for step in range(1, 12 * epochs + 1)]
    means = [(float(epoch), 2.0 / epoch) for epoch in range(1, epochs + 1)]
    validation = [(x, 1 - y / 40) for x, y in means]
    return Curves(
        name,
        Path(name),
        "finished",
        epochs,
        steps,
        means,
        validation,
        [(float(epochs), 0.99)],
        0.99,
    )


def layers(count: int) -> list[LayerMaps]:
    sides = ((1, 24), (2, 3))
    return [
        LayerMaps(
            f"conv{k}", 200, list(range(100, 100 + count)), GENERATOR.random((count, side, side))
        )
        for k, side in sides
    ]


def saliency(
    name: str = "mnist test image 0", method: str = "", blank: bool = False
) -> SaliencyView:
    values = GENERATOR.normal(size=(SIDE, SIDE)) if not method else GENERATOR.random((SIDE, SIDE))
    found = Attribution(torch.tensor(np.zeros_like(values) if blank else values), 1.0, None)
    shown = one_image(name, blank)
    return SaliencyView(model(), shown, method or "integrated-gradients", 7, 7, 0.99, found)


def errors_of(count: int | None) -> ErrorsView:
    return ErrorsView(many_answers(), count=count)


def embedding(name: str = "wide", classes: Sequence[str] = DIGITS) -> EmbeddingView:
    own = many_answers(name, classes)
    points = GENERATOR.normal(size=(2_000, 2)) * 40
    return EmbeddingView(own, points, (0.14, 0.12))


def compared(name: str = "wide", count: int | None = None, alike: bool = False) -> CompareView:
    a = many_answers(name)
    return CompareView(a, a if alike else many_answers("flat", accuracy=0.9, seed=1), count)


VIEWS: dict[str, Callable[[str], View]] = {
    "prediction": prediction,
    "clothes": lambda name: prediction(name, classes=CLOTHES),
    "letters": lambda name: prediction(name, 40, (*[0.001] * 46, 0.954), LETTERS),
    "steps": lambda name: prediction(name, None, steps=3),
    "rejected": lambda name: prediction(name, None, steps=3, verdict="not-a-digit"),
    "one step": lambda name: prediction(name, None),
    "number": number,
    "number of one": lambda name: number(name, "4", 90),
    "samples": samples,
    "one sample": lambda name: samples(name, 1),
    "augmented": lambda name: samples(name, 10, variants=True),
    "confusion": lambda name: ConfusionView(many_answers(name)),
    "confusion of clothes": lambda name: ConfusionView(many_answers(name, CLOTHES)),
    "confusion of letters": lambda name: ConfusionView(many_answers(name, LETTERS)),
    "all right": lambda name: ConfusionView(many_answers(name, accuracy=1)),
    "errors": lambda name: ErrorsView(many_answers(name)),
    "errors of clothes": lambda name: ErrorsView(many_answers(name, CLOTHES)),
    "no errors": lambda name: ErrorsView(many_answers(name, accuracy=1)),
    "curves": lambda name: CurvesView([run(name)]),
    "many curves": lambda name: CurvesView([run(name), *(run(f"seed-{k}") for k in range(11))]),
    "short curves": lambda name: CurvesView([run(name, 1), run("fast-2", 1)]),
    "filters": lambda name: FiltersView(model(name), "conv1", GENERATOR.normal(size=(40, 6, 6))),
    "large filters": lambda name: FiltersView(
        model(name), "fc1", GENERATOR.normal(size=(9, SIDE, SIDE))
    ),
    "one filter": lambda name: FiltersView(model(name), "fc1", np.zeros((1, SIDE, SIDE))),
    "activations": lambda name: ActivationsView(model(name), one_image(), layers(16)),
    "one activation": lambda name: ActivationsView(model(name), one_image(), layers(1)),
    "integrated gradients": saliency,
    "grad-cam": lambda name: saliency(name, "gradcam"),
    "nothing": lambda name: saliency(name, "gradcam", blank=True),
    "calibration": lambda name: CalibrationView(many_answers(name)),
    "embedding": embedding,
    "embedding of clothes": lambda name: embedding(name, CLOTHES),
    "compare": compared,
    "compare equals": lambda name: compared(name, alike=True),
}
"""Every kind in its forms, of a network, image or data set of the name given."""
