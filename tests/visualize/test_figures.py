"""Figures of every kind: nothing cut off, at odd sizes and with long names too."""

import re
from pathlib import Path

import pytest
from drawn import check_figure
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from results_made import VIEWS, run, samples

from mnistctl.draw.files import check_output, save_figure
from mnistctl.draw.style import MARGIN, show_names_as_text
from mnistctl.errors import MnistctlError, UsageError
from mnistctl.visualize.curves import CurvesView

LONG = "a-run-of-" + "$very_" * 14 + "long-name"
OVERLAPPING = {"embedding", "embedding of clothes"}  # the classes' names may lie on each other


@pytest.mark.parametrize("name", VIEWS)
def test_nothing_is_cut_off_or_overlaps(name: str) -> None:
    view = VIEWS[name](LONG)
    figure = view.figure()
    check_figure(figure, texts_apart=name not in OVERLAPPING)
    shown = figure.get_suptitle().replace("\\$", "$").replace("\n", "")
    assert shown.replace(" ", "") == view.title.replace(" ", "")
    assert LONG in view.title


def test_what_is_cut_off_or_overlaps_would_be_found() -> None:
    for spoil in (
        lambda figure: figure.suptitle("far too long for one line " * 9),
        lambda figure: figure.axes[0].set_xticks([0, 0.01], ["two", "labels"]),
        lambda figure: figure.axes[0].text(0.5, 1.04, "on a caption"),
        lambda figure: figure.axes[0].set_title("tiny", fontsize=5),
    ):
        figure = VIEWS["errors"]("title").figure()
        spoil(figure)
        with pytest.raises(AssertionError):
            check_figure(figure)
    with pytest.raises(AssertionError):
        check_figure(Figure())


@pytest.mark.parametrize("name", VIEWS)
def test_titles_keep_off_the_edge(name: str) -> None:
    figure = VIEWS[name](LONG).figure()
    show_names_as_text(figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (title,) = [text for text in figure.texts if text.get_text() == figure.get_suptitle()]
    box = title.get_window_extent(canvas.get_renderer())
    width, height = canvas.get_width_height()
    margin = 0.5 * MARGIN * figure.dpi
    assert box.x0 > margin
    assert box.x1 < width - margin
    assert box.y1 < height - margin


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
    assert len(VIEWS[name]("name").figure().axes) == PANELS[name]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("confusion", ("prediction", "label")),
        ("calibration", ("confidence", "accuracy")),
        ("curves", ("epochs", "loss", "accuracy, %")),
        ("embedding", ("first principal", "second")),
        ("prediction", ("probability",)),
        ("grad-cam", ("evidence for", "attribution and outline")),
    ],
)
def test_axes_are_labelled(name: str, labels: tuple[str, ...]) -> None:
    axes = VIEWS[name]("name").figure().axes
    written = " ".join(own.get_xlabel() + " " + own.get_ylabel() for own in axes)
    assert all(label in written for label in labels)


def test_foreign_names_are_drawn_as_they_are() -> None:
    figure = CurvesView([run("a$b$ \x1b[31m")]).figure()
    check_figure(figure)
    legend = figure.axes[0].get_legend()
    assert legend.get_texts()[0].get_text() == r"a\$b\$ \x1b[31m: batch loss"


@pytest.mark.parametrize(
    ("ending", "first"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_same_figure_same_bytes(ending: str, first: bytes) -> None:
    view = samples(count=2)
    paths = [Path(f"{name}.{ending}") for name in ("a", "b")]
    for path in paths:
        save_figure(view.figure(), path)
    one, other = (path.read_bytes() for path in paths)
    assert one.startswith(first)
    assert hash(one) == hash(other)
    assert not re.search(rb"CreationDate|<dc:date>", one)


def test_a_file_that_is_there_is_replaced_whole() -> None:
    figure, path = samples(count=1).figure(), Path("x.png")
    path.write_bytes(b"old")
    with pytest.raises(UsageError, match="figure's format"):
        save_figure(figure, Path("x.gif"))
    with pytest.raises(MnistctlError, match="can't write no/x.png"):
        save_figure(figure, Path("no/x.png"))
    Path("d.png").mkdir()
    for bad in (Path("no/x.png"), Path("d.png"), Path("n" * 300 + ".png")):
        with pytest.raises(MnistctlError, match="can't write"):
            check_output(bad)
    Path("d.png").rmdir()
    check_output(path)
    assert path.read_bytes() == b"old"
    save_figure(figure, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [own.name for own in Path().iterdir()] == ["x.png"]


def test_the_ending_may_be_in_capitals() -> None:
    save_figure(VIEWS["samples"]("x").figure(), Path("X.PNG"))
    assert Path("X.PNG").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_letters_that_the_font_lacks_draw_in_silence(ending: str) -> None:
    """Warnings are errors in these tests."""
    path = Path("digit").with_suffix(ending)
    save_figure(samples("\u6570\u5b57.png, of a run called \u6570", 1).figure(), path)
    assert path.stat().st_size > 1_000
