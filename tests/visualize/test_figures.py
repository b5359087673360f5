"""Figures: panels, labels, and nothing cut off, at odd sizes and with long names too."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawn import check_figure
from matplotlib.figure import Figure
from results_made import CONFUSION, GENERATOR, bins, images, layers, run

from mnistctl.draw.files import check_output, save_figure
from mnistctl.errors import MnistctlError, UsageError
from mnistctl.visualize import calibration_figure as calibration
from mnistctl.visualize import compare_figure as compare
from mnistctl.visualize import confusion_figure as confusion
from mnistctl.visualize import curves_figure as curves
from mnistctl.visualize import embedding_figure as embedding
from mnistctl.visualize import filters_figure as filters
from mnistctl.visualize import prediction_figure as prediction
from mnistctl.visualize import saliency_figure as saliency
from mnistctl.visualize import samples_figure as samples

LONG = "a-run-of-" + "$very_" * 14 + "long-name on mnist test: 9,941 of 10,000 right (99.41 %)"


def compared(count: int, title: str) -> Figure:
    captions = ["label 4\nA 4  B 9\n#9999"] * count
    numbers = {"both_right": 9900, "only_a": 40, "only_b": 20, "both_wrong": 40}
    sentence = "A is right more often than B: by chance that would be rare (p = 0.01)"
    return compare.compare_figure(numbers, images(count), captions, sentence, title)


def embedded(title: str) -> Figure:
    points, labels = GENERATOR.normal(size=(300, 2)) * 40, np.arange(300) % 10
    names = ("first principal component (14 % of the variance)", "second (12 % of the variance)")
    return embedding.embedding_figure(points, labels, np.arange(300) % 50 == 0, names, title)


FIGURES: dict[str, Callable[[str], Figure]] = {
    "prediction": lambda t: prediction.prediction_figure(images(1)[0], [0.1] * 10, t, 4),
    "steps": lambda t: prediction.steps_figure(
        [(name, images(1)[0]) for name in ("image", "ink", "strokes", "28x28")], [0.1] * 10, t
    ),
    "one step": lambda t: prediction.steps_figure([("28x28", images(1)[0])], [0.1] * 10, t),
    "samples": lambda t: samples.samples_figure(images(80), ["7  #59999"] * 80, t),
    "errors": lambda t: samples.samples_figure(images(24), ["4 read as 9\n99.9 % #59999"] * 24, t),
    "one sample": lambda t: samples.samples_figure(images(1), ["4 read as 9\n99.9 % #0"], t),
    "no sample": lambda t: samples.samples_figure(images(0), [], t),
    "augmented": lambda t: samples.augmented_figure(
        images(10), images(70).reshape(10, 7, 28, 28), ["7  #59999"] * 10, t
    ),
    "confusion": lambda t: confusion.confusion_figure(
        CONFUSION.tolist(), [0.9942] * 10, ["4 read as 9 (1234)"] * 5, t
    ),
    "all right": lambda t: confusion.confusion_figure(
        np.diag([1000] * 10).tolist(), [1.0] * 10, [], t
    ),
    "curves": lambda t: curves.curves_figure([run("standard-1")], t),
    "many curves": lambda t: curves.curves_figure(
        [run(f"ensemble-1/seed-{k}") for k in range(12)], t
    ),
    "short curves": lambda t: curves.curves_figure([run("fast-1", 1), run("fast-2", 1)], t),
    "filters": lambda t: filters.filters_figure(GENERATOR.normal(size=(32, 6, 6)), t),
    "one filter": lambda t: filters.filters_figure(np.zeros((1, 28, 28)), t),
    "activations": lambda t: filters.activations_figure(images(1)[0], layers(16), t),
    "one activation": lambda t: filters.activations_figure(images(1)[0], layers(1), t),
    "integrated gradients": lambda t: saliency.saliency_figure(
        images(1)[0], GENERATOR.normal(size=(28, 28)), True, t
    ),
    "nothing": lambda t: saliency.saliency_figure(
        np.zeros((28, 28), np.uint8), np.zeros((28, 28)), False, t
    ),
    "calibration": lambda t: calibration.calibration_figure(bins(), t),
    "embedding": embedded,
    "compare": lambda t: compared(24, t),
    "compare equals": lambda t: compared(0, t),
}
OVERLAPPING = {"embedding"}  # the classes' digits may lie on each other


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut_off_or_overlaps(name: str) -> None:
    figure = FIGURES[name](LONG)
    check_figure(figure, texts_apart=name not in OVERLAPPING)
    shown = figure.get_suptitle().replace("\\$", "$").replace("\n", "")
    assert shown.replace(" ", "") == LONG.replace(" ", "")


def test_what_is_cut_off_or_overlaps_would_be_found() -> None:
    for spoil in (
        lambda figure: figure.suptitle("far too long for one line " * 9),
        lambda figure: figure.axes[0].set_xticks([0, 0.01], ["two", "labels"]),
        lambda figure: figure.axes[0].text(0.5, 1.04, "on a caption"),
        lambda figure: figure.axes[0].set_title("tiny", fontsize=5),
    ):
        figure = FIGURES["errors"]("title")
        spoil(figure)
        with pytest.raises(AssertionError):
            check_figure(figure)
    with pytest.raises(AssertionError):
        check_figure(Figure())


PANELS = {
    "prediction": 2,
    "steps": 5,
    "samples": 1,
    "confusion": 2,
    "curves": 2,
    "short curves": 1,
    "filters": 2,
    "activations": 3,
    "integrated gradients": 4,
    "calibration": 2,
    "embedding": 1,
    "compare": 2,
}


@pytest.mark.parametrize("name", PANELS)
def test_panels(name: str) -> None:
    assert len(FIGURES[name]("title").axes) == PANELS[name]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("confusion", ("prediction", "label")),
        ("calibration", ("confidence", "accuracy")),
        ("curves", ("epochs", "loss")),
        ("embedding", ("first principal", "second")),
        ("prediction", ("probability", "")),
    ],
)
def test_axes_are_labelled(name: str, labels: tuple[str, str]) -> None:
    axes = FIGURES[name]("title").axes
    written = " ".join(own.get_xlabel() + " " + own.get_ylabel() for own in axes)
    assert all(label in written for label in labels)


def test_numbers_are_the_ones_given() -> None:
    axes = FIGURES["confusion"]("title").axes[0]
    assert [text.get_text() for text in axes.texts] == [str(n) for n in CONFUSION.flatten()]
    assert len(FIGURES["samples"]("t").axes[0].images) == 80
    assert len(FIGURES["augmented"]("t").axes[0].images) == 80
    assert len(FIGURES["filters"]("t").axes[0].images) == 32
    bars = FIGURES["calibration"]("t").axes[0].patches
    heights = [own.accuracy for own in bins() if own.accuracy is not None]
    assert [bar.get_height() for bar in bars] == pytest.approx(heights)  # type: ignore[attr-defined]


def test_shades_of_a_filter_are_its_weights() -> None:
    weights = GENERATOR.normal(size=(2, 5, 5))
    drawn = filters.filters_figure(weights, "t").axes[0].images
    assert [np.asarray(own.get_array()).tolist() for own in drawn] == weights.tolist()
    low, high = drawn[0].get_clim()
    assert -low == high == np.abs(weights).max()


@pytest.mark.parametrize(
    ("ending", "first"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_same_figure_same_bytes(ending: str, first: bytes) -> None:
    pixels = images(2)
    paths = [Path(f"{name}.{ending}") for name in ("a", "b")]
    for path in paths:
        save_figure(samples.samples_figure(pixels, ["one", "two"], "twice"), path)
    one, other = (path.read_bytes() for path in paths)
    assert one.startswith(first)
    assert hash(one) == hash(other)
    assert not re.search(rb"CreationDate|<dc:date>", one)


def test_a_file_that_is_there_is_replaced_whole() -> None:
    path = Path("x.png")
    path.write_bytes(b"old")
    with pytest.raises(UsageError, match="picture format"):
        save_figure(FIGURES["one sample"]("t"), Path("x.gif"))
    with pytest.raises(MnistctlError, match="can't write no/x.png"):
        save_figure(FIGURES["one sample"]("t"), Path("no/x.png"))
    Path("d.png").mkdir()
    for bad in (Path("no/x.png"), Path("d.png"), Path("n" * 300 + ".png")):
        with pytest.raises(MnistctlError, match="can't write"):
            check_output(bad)
    Path("d.png").rmdir()
    check_output(path)
    assert path.read_bytes() == b"old"
    save_figure(FIGURES["one sample"]("t"), path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [own.name for own in Path().iterdir()] == ["x.png"]


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_letters_that_the_font_lacks_draw_in_silence(ending: str) -> None:
    """Warnings are errors in these tests."""
    path = Path("digit").with_suffix(ending)
    save_figure(FIGURES["one sample"]("\u6570\u5b57.png, of a run called \u6570"), path)
    assert path.stat().st_size > 1_000
