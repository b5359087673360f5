"""`saliency`: red is evidence for the class, blue against it, at the right pixels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import console_of, screen_of
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from results_made import CLOTHES, model, saliency

from mnistctl.data.images import DIGITS
from mnistctl.engine.inference.attribution import Attribution
from mnistctl.engine.inference.loading import LoadedModel
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.models.ensemble import Ensemble
from mnistctl.models.registry import build
from mnistctl.recipes import RECIPES
from mnistctl.visualize import sources
from mnistctl.visualize.saliency import SaliencyView
from mnistctl.visualize.saliency import saliency as explain

VALUES = torch.zeros(28, 28)
VALUES[2, 5], VALUES[20, 6] = 1.0, -1.0


def signed() -> SaliencyView:
    return replace(saliency(), attribution=Attribution(VALUES, 1.0, 0.0))


def test_the_figure_shows_the_values() -> None:
    view = signed()
    image, heat, both = view.figure().axes[:3]
    assert np.array_equal(image.images[0].get_array(), view.shown.pixels)
    for axes in (heat, both):
        (drawn,) = axes.images
        assert np.array_equal(drawn.get_array(), VALUES.numpy())
        assert drawn.get_clim() == (-1, 1)
        red, _, blue, _ = drawn.to_rgba(drawn.get_array())[2, 5]
        assert red > blue
        red, _, blue, _ = drawn.to_rgba(drawn.get_array())[20, 6]
        assert red < blue
    assert both.collections  # the outline


def test_integrated_gradients_explain_the_whole_ensemble(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    both = Ensemble([build("mlp", 10), build("mlp", 10)]).eval()
    predictor = Predictor(both, RECIPES["mlp"], DIGITS, torch.device("cpu"), "fp32")
    loaded = LoadedModel(predictor, "mnist", Path("x.pt"), "x")
    monkeypatch.setattr(sources.Model, "load", lambda self: loaded)
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 12:16] = 255
    Image.fromarray(pixels).save("one.png")
    network, image = sources.Network(store=Path()), sources.Image(image="one.png", data_dir=Path())
    view = explain(network, image)
    with torch.inference_mode():
        inputs = predictor.inputs(view.shown.tensor)
        mean = torch.stack([own(inputs)[0].softmax(0) for own in both.members]).mean(0)
    assert view.attribution.score == pytest.approx(float(mean[view.index].log()), abs=1e-5)


def test_the_terminal_shows_the_values_beside_the_image() -> None:
    console = console_of(80)
    lines = screen_of(signed().panel(console), console).splitlines()
    assert "38;2;103;0;31" in lines[1]  # row 2, the upper half of the second line
    assert "38;2;5;48;97" in lines[10]
    assert lines[-1] == "right: red is evidence for the class, blue against it"
    plain = console_of(80, colours=False)
    lines = screen_of(signed().panel(plain), plain).splitlines()
    assert lines[1][31 + 5] == lines[10][31 + 6] == "▒"
    assert lines[-1] == "right: the brighter, the more evidence for or against the class"


def test_grad_cam_shows_only_evidence_for() -> None:
    view = saliency(method="gradcam")
    figure = view.figure()
    assert figure.axes[1].images[0].get_clim()[0] == 0
    assert figure.axes[3].get_ylabel() == "evidence for"
    dark = np.array(figure.axes[1].images[0].to_rgba(0.0)[:3])
    outline = np.array(figure.axes[2].collections[0].get_edgecolor()[0][:3])
    assert outline.min() > dark.max() + 0.3
    FigureCanvasAgg(figure).draw()


@pytest.mark.parametrize(
    ("view", "title"),
    [
        (signed(), "attribution for class 7 (99.00 %), integrated gradients"),
        (saliency(method="gradcam"), "attribution for class 7 (99.00 %), Grad-CAM"),
        (
            replace(signed(), model=model(classes=CLOTHES)),
            "attribution for class Sneaker (99.00 %), integrated gradients",
        ),
    ],
)
def test_titles(view: SaliencyView, title: str) -> None:
    assert view.title == f"mnist test image 0, label 4: {title}"
