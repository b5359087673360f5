"""`embedding`: principal components, each image at its point, mistakes crossed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import console_of, screen_of
from results_made import CLOTHES, answers, embedding

from mnistctl.data.images import DIGITS, LabelledImages
from mnistctl.engine.inference.loading import LoadedModel
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.models.registry import build
from mnistctl.recipes import RECIPES
from mnistctl.visualize import sources
from mnistctl.visualize.embedding import EmbeddingView, principal_components
from mnistctl.visualize.embedding import embedding as compute


def test_principal_components_are_those_of_the_full_decomposition() -> None:
    generator = torch.Generator().manual_seed(0)
    widths = torch.tensor([9.0, 5.0, *[1.0] * 38])
    turn, _ = torch.linalg.qr(torch.randn(40, 40, generator=generator))
    features = torch.randn(500, 40, generator=generator) * widths @ turn + 3
    state = torch.get_rng_state()
    points, shares = principal_components(features)
    assert torch.equal(state, torch.get_rng_state())
    left, values, _ = torch.linalg.svd(features - features.mean(0), full_matrices=False)
    expected = (left * values)[:, :2]
    assert torch.allclose(points.abs(), expected.abs(), atol=1e-2)
    assert shares == pytest.approx((values[:2] ** 2 / (values**2).sum()).tolist(), rel=1e-3)
    again, _ = principal_components(features)
    assert torch.equal(points, again)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_figure_is_never_the_mirror_image_of_another(sign: int) -> None:
    """Along an axis the feature that it follows most grows, whatever way the features lie."""
    features = sign * torch.randn(200, 6, generator=torch.Generator().manual_seed(3))
    features[:, 4] *= 9
    features[:, 1] *= 4
    points, _ = principal_components(features)
    for axis, feature in enumerate((4, 1)):
        assert np.corrcoef(points[:, axis], features[:, feature])[0, 1] > 0.9


def test_components_of_images_that_are_all_alike() -> None:
    points, shares = principal_components(torch.ones(4, 3))
    assert points.shape == (4, 2)
    assert shares == (0.0, 0.0)


@pytest.mark.parametrize("shape", [(1, 50), (5, 1)])
def test_one_image_or_one_feature_has_a_second_axis_too(shape: tuple[int, int]) -> None:
    points, shares = principal_components(torch.randn(shape))
    assert points.shape == (shape[0], 2)
    assert (points[:, 1] == 0).all()
    assert shares[1] == 0


def test_points_are_those_of_the_images_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for recipes whose answers are the mean over shifts."""
    torch.manual_seed(0)
    network = build("mlp", 10)
    images = torch.randint(256, (700, 28, 28), generator=torch.Generator().manual_seed(1))
    data = LabelledImages(images.to(torch.uint8), torch.zeros(700, dtype=torch.int64))
    monkeypatch.setattr(sources.Split, "load", lambda self, name: data)
    shown = []
    for shifts in (False, True):
        recipe = replace(RECIPES["mlp"], tta_shifts=shifts)
        predictor = Predictor(network, recipe, DIGITS, torch.device("cpu"), "fp32")
        loaded = LoadedModel(predictor, "mnist", Path("x.pt"), "x")
        monkeypatch.setattr(sources.Model, "load", lambda self, loaded=loaded: loaded)
        model, split = sources.Network(store=Path("runs")), sources.Split(data_dir=Path("data"))
        shown.append(compute(model, split).points)
    assert np.allclose(shown[0], shown[1], atol=1e-3)


POINTS = np.array([[0, 0], [0, 0], [0, 0], [1, 1]], np.float32)


def test_points_names_and_crosses_are_where_they_belong() -> None:
    view = EmbeddingView(answers([3, 3, 5, 7], [3, 3, 5, 2]), POINTS, (0.5, 0.25))
    assert view.title.endswith("4 images by features of the penultimate layer, 1 misclassified")
    axes = view.figure().axes[0]
    cloud, wrong = axes.collections[:2]
    assert sorted(cloud.get_offsets().tolist()) == [[0, 0], [0, 0], [0, 0], [1, 1]]
    colours = {
        tuple(xy): tuple(c)
        for xy, c in zip(cloud.get_offsets(), cloud.get_facecolors(), strict=True)
    }
    assert colours[0, 0] != colours[1, 1]
    assert wrong.get_offsets().tolist() == [[1, 1]]
    assert tuple(wrong.get_facecolors()[0][:3]) == colours[1, 1][:3]
    assert wrong.get_edgecolors().tolist() == [[0, 0, 0, 1]]
    assert [own.get_text() for own in axes.get_legend().get_texts()][-1] == "misclassified (1)"
    assert {text.get_text(): text.get_position() for text in axes.texts}["7"] == (1, 1)
    assert axes.get_xlabel() == "first principal component (50 % of the variance)"
    console = console_of(60, colours=False)
    lines = screen_of(view.panel(console), console).splitlines()
    assert lines[0].rstrip().endswith("×")
    assert lines[19].startswith("3")


def test_the_more_there_are_the_smaller_they_are() -> None:
    def sizes(count: int, wrong: int) -> list[float]:
        labels = [3] * count
        predictions = [5] * wrong + [3] * (count - wrong)
        view = EmbeddingView(answers(labels, predictions), np.zeros((count, 2)), (0.5, 0.25))
        return [float(own.get_sizes()[0]) for own in view.figure().axes[0].collections[:2]]

    assert sizes(45, 19) == [40, 40]
    assert sizes(10_000, 20) == [5, 30]
    assert sizes(10_000, 4_000) == [5, 5]


def test_classes_with_long_names_get_a_character_each() -> None:
    console = console_of(120, colours=False)
    screen = screen_of(embedding(classes=CLOTHES).panel(console), console)
    assert "(0 T-shirt/top, 1 Trouser, " in screen
    legend = embedding(classes=CLOTHES).figure().axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()][:10] == list(CLOTHES)
