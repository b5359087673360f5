"""Drawings in a terminal: within its width, in its colours or none, in its letters."""

from collections.abc import Callable

import numpy as np
import pytest
from drawn import console_of, screen_of, widest_line
from results_made import CONFUSION, bins, images, layers, run
from rich.console import Console, Group, RenderableType

from mnistctl.draw import terminal
from mnistctl.visualize import calibration_figure as calibration
from mnistctl.visualize import compare_figure as compare
from mnistctl.visualize import confusion_figure as confusion
from mnistctl.visualize import curves_figure as curves
from mnistctl.visualize import embedding_figure as embedding
from mnistctl.visualize import filters_figure as filters
from mnistctl.visualize import prediction_figure as prediction
from mnistctl.visualize import saliency_figure as saliency
from mnistctl.visualize import samples_figure as samples

GENERATOR = np.random.default_rng(4)
POINTS, LABELS = GENERATOR.normal(size=(2_000, 2)), GENERATOR.integers(0, 10, 2_000)
WRONG = np.arange(2_000) % 100 == 0
WIDE = np.zeros((90, 768, 3), np.uint8) + 200
COUNTS = {"both_right": 9900, "only_a": 40, "only_b": 20, "both_wrong": 40}
SENTENCE = (
    "A is right more often than B: by chance that would be rare (McNemar's exact test, p = 0.0088)"
)

PANELS: dict[str, Callable[[Console], RenderableType]] = {
    "prediction": lambda c: terminal.prediction_panel(images(1)[0], 4, [0.1] * 10, c, 4),
    "steps": lambda c: prediction.steps_panel(
        [
            ("image", WIDE),
            ("ink", WIDE[..., 0]),
            ("strokes", WIDE[..., 0]),
            ("28x28", images(1)[0]),
        ],
        None,
        [0.1] * 10,
        c,
    ),
    "one step": lambda c: prediction.steps_panel([("28x28", images(1)[0])], 3, [0.1] * 10, c),
    "samples": lambda c: samples.samples_panel(images(30), ["7  #59999"] * 30, c),
    "errors": lambda c: samples.samples_panel(images(7), ["4 read as 9\n99.9 % #59999"] * 7, c),
    "no sample": lambda c: Group(samples.samples_panel(images(0), [], c), "and what is beneath it"),
    "augmented": lambda c: samples.augmented_panel(
        images(2), images(14).reshape(2, 7, 28, 28), ["7  #59999"] * 2, c
    ),
    "confusion": lambda c: confusion.confusion_panel(
        CONFUSION.tolist(), [0.9942] * 10, ["4 read as 9 (1234)"] * 5, c
    ),
    "curves": lambda c: curves.curves_panel([run("standard-1"), run("fast-1", 1)], c),
    "filters": lambda c: filters.filters_panel(GENERATOR.normal(size=(32, 6, 6)), c),
    "large filters": lambda c: filters.filters_panel(GENERATOR.normal(size=(9, 28, 28)), c),
    "activations": lambda c: filters.activations_panel(images(1)[0], layers(16), c),
    "saliency": lambda c: saliency.saliency_panel(
        images(1)[0], GENERATOR.normal(size=(28, 28)), True, c
    ),
    "grad-cam": lambda c: saliency.saliency_panel(
        images(1)[0], GENERATOR.random((28, 28)), False, c
    ),
    "calibration": lambda c: calibration.calibration_panel(bins(), c),
    "embedding": lambda c: embedding.embedding_panel(POINTS, LABELS, WRONG, c),
    "compare": lambda c: compare.compare_panel(
        COUNTS, images(5), ["label 4\nA 4  B 9\n#9999"] * 5, SENTENCE, c
    ),
    "compare equals": lambda c: compare.compare_panel(COUNTS, images(0), [], SENTENCE, c),
}


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", PANELS)
def test_no_line_is_wider_than_the_console(name: str, width: int) -> None:
    for colours in (True, False):
        console = console_of(width, colours)
        screen = screen_of(PANELS[name](console), console)
        assert 20 < widest_line(screen) <= width
        assert "…" not in screen


@pytest.mark.parametrize("name", PANELS)
def test_no_colour_and_no_block_where_there_are_none(name: str) -> None:
    console = console_of(80, colours=False, encoding="ascii")
    screen = screen_of(PANELS[name](console), console)  # raises on what ASCII lacks
    assert "\x1b" not in screen


@pytest.mark.parametrize("name", PANELS)
def test_no_color_is_obeyed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = console_of(80)
    screen = screen_of(PANELS[name](console), console)
    assert not any(code in screen for code in ("[38;", "[48;", "[3", "[4"))


def test_grids_reflow() -> None:
    captions = [f"#{number}" for number in range(8)]
    for width, columns in ((60, 3), (80, 5), (120, 7)):
        console = console_of(width, colours=False)
        screen = screen_of(samples.samples_panel(images(8), captions, console), console)
        (first,) = (line for line in screen.splitlines() if "#0" in line)
        assert first.split() == captions[:columns]
        assert all(caption in screen for caption in captions)


def test_a_row_of_augmented_images_stays_one_row() -> None:
    console = console_of(60, colours=False)
    panel = samples.augmented_panel(
        images(2), images(14).reshape(2, 7, 28, 28), ["7  #1", "2  #2"], console
    )
    rows = [line for line in screen_of(panel, console).splitlines() if "augmented" in line]
    assert [row.split()[:2] for row in rows] == [["7", "#1"], ["2", "#2"]]


def test_half_blocks_show_both_rows_of_pixels() -> None:
    pixels = np.array([[0, 255], [255, 0], [7, 7]], np.uint8)
    screen = screen_of(terminal.image_text(pixels, console_of(80)), console_of(80))
    assert "38;2;0;0;0;48;2;255;255;255" in screen
    assert "38;2;255;255;255;48;2;0;0;0" in screen
    red = np.zeros((2, 1, 3), np.uint8) + np.array([200, 0, 0], np.uint8)
    assert "38;2;200;0;0" in screen_of(terminal.image_text(red, console_of(80)), console_of(80))


@pytest.mark.parametrize("height", [20, 24, 60])
def test_curves_fit_on_one_screen(height: int) -> None:
    console = console_of(80)
    console.height = height
    screen = screen_of(curves.curves_panel([run("standard-1")], console), console)
    assert len(screen.splitlines()) < height
    assert screen.count("epochs") == 2


def test_curve_is_drawn_where_its_points_are() -> None:
    console = console_of(60, colours=False)
    falling = curves.Run("x", [(0.0, 2.0), (1.0, 1.0)], [], [], [])
    lines = screen_of(curves.curves_panel([falling], console), console).splitlines()
    marked = [line for line in lines if "●" in line][:2]
    assert marked[0].lstrip().startswith("2 ")
    assert marked[1].lstrip().startswith("1 ")
    assert marked[0].index("●") < 12
    assert marked[1].rstrip().endswith("●")


def test_worst_pairs_are_broken_between_pairs() -> None:
    console = console_of(60, colours=False)
    screen = screen_of(PANELS["confusion"](console), console)
    worst = screen[screen.index("most often") :].splitlines()
    assert len(worst) > 1
    assert all(line.rstrip().endswith((",", "(1234)")) for line in worst)


def test_scatter_shows_the_commonest_digit_and_crosses() -> None:
    points = np.array([[0, 0], [0, 0], [0, 0], [1, 1], [1, 1]], float)
    labels, wrong = np.array([3, 3, 5, 7, 7]), np.array([False, False, False, False, True])
    console = console_of(60, colours=False)
    screen = screen_of(embedding.embedding_panel(points, labels, wrong, console), console)
    lines = screen.splitlines()
    assert lines[0].rstrip().endswith("×")
    assert lines[19].startswith("3")


def test_signed_heat_without_colours_is_its_size() -> None:
    values = np.array([[-1.0, 0.0], [0.5, 1.0]])
    from mnistctl.draw.grid import heat_pixels

    grey = heat_pixels(values, 1.0, "RdBu_r", console_of(80, colours=False))
    assert grey.tolist() == [[255, 0], [128, 255]]
    red = heat_pixels(values, 1.0, "RdBu_r", console_of(80))
    assert red[1, 1, 0] > red[1, 1, 2]
    assert red[0, 0, 0] < red[0, 0, 2]
