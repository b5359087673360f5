"""Images and bars in a terminal: the right colours in the right places."""

import numpy as np
import pytest
from drawn import console_of, screen_of
from results_made import CLOTHES, LETTERS, images
from rich.color import ColorSystem

from mnistctl.data.registry import DIGITS
from mnistctl.draw import terminal
from mnistctl.draw.grid import heat_pixels


def test_half_blocks_show_both_rows_of_pixels() -> None:
    """The upper pixel is the block's colour, the lower the background's."""
    pixels = np.array([[0, 255], [255, 0], [7, 7]], np.uint8)
    screen = screen_of(terminal.image_text(pixels, console_of(80)), console_of(80))
    assert "38;2;0;0;0;48;2;255;255;255" in screen
    assert "38;2;255;255;255;48;2;0;0;0" in screen
    assert "38;2;7;7;7;48;2;0;0;0" in screen
    column = np.array([[[200, 0, 0]], [[0, 100, 0]]], np.uint8)
    shown = screen_of(terminal.image_text(column, console_of(80)), console_of(80))
    assert "38;2;200;0;0;48;2;0;100;0m▀" in shown


def test_shades_without_colours_are_the_mean_of_two_rows() -> None:
    pixels = np.array([[0, 0, 255], [0, 255, 255]], np.uint8)
    console = console_of(80, colours=False)
    assert screen_of(terminal.image_text(pixels, console), console) == " ▒█\n"


def test_without_colours_on_a_terminal_images_are_shades(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = console_of(80)
    pixels = np.array([[0, 255], [0, 255]], np.uint8)
    assert screen_of(terminal.image_text(pixels, console), console) == " █\n"


def test_sixteen_colours_are_too_few() -> None:
    """Of a pale blue they make white."""
    console = console_of(80)
    console._color_system = ColorSystem.STANDARD
    pixels = np.array([[0, 255], [0, 255]], np.uint8)
    assert screen_of(terminal.image_text(pixels, console), console) == " █\n"


def test_signed_heat_without_colours_is_its_size() -> None:
    values = np.array([[-1.0, 0.0], [0.5, 1.0]])
    grey = heat_pixels(values, 1.0, "RdBu_r", console_of(80, colours=False))
    assert grey.tolist() == [[255, 0], [128, 255]]
    red = heat_pixels(values, 1.0, "RdBu_r", console_of(80))
    assert red[1, 1, 0] > red[1, 1, 2]
    assert red[0, 0, 0] < red[0, 0, 2]


def test_bars_are_as_long_as_their_probabilities() -> None:
    shares = [0.5, 0.25, 0.25, *[0.0] * 7]
    console = console_of(80, colours=False)
    bars = terminal.probability_bars(shares, DIGITS, console, label=1, width=8)
    lines = screen_of(bars, console).splitlines()
    assert [line.count("█") for line in lines[:4]] == [4, 2, 2, 0]
    assert lines[0] == "0  ████      50.00 %"
    assert lines[1] == "1  ██        25.00 %  <- label"


def test_bars_of_wide_names_begin_in_one_column() -> None:
    console = console_of(80, colours=False)
    bars = terminal.probability_bars([0.5, 0.5], ["square", "三角"], console, width=8)
    assert screen_of(bars, console).splitlines()[:2] == [
        "square  ████      50.00 %",
        "三角    ████      50.00 %",
    ]


def test_the_longest_names_leave_room_for_bars() -> None:
    console, names = console_of(50, colours=False), ["n" * 40, "m" * 40]
    panel = terminal.prediction_panel(images(1)[0], names[0], [0.5, 0.5], names, console, 0)
    assert screen_of(panel, console).count("███") == 2


@pytest.mark.parametrize(
    ("verdict", "code"), [("right", "1;32"), ("wrong", "1;31"), ("uncertain", "1;33")]
)
def test_the_answers_bar_has_the_verdicts_colour(verdict: str, code: str) -> None:
    console = console_of(120)
    shares = [0.2, 0.8, *[0.0] * 8]
    panel = terminal.prediction_panel(
        np.zeros((28, 28), np.uint8), "1", shares, DIGITS, console, 1, verdict
    )
    coloured = [line for line in screen_of(panel, console).splitlines() if f"[{code}m" in line]
    assert len(coloured) == 1
    assert "80.00 %" in coloured[0]


def test_of_many_classes_the_likeliest_ten_and_the_label_have_bars() -> None:
    shares = [k / 1081 for k in range(47)]
    assert terminal.bars_shown(shares, None) == list(range(46, 36, -1))
    assert terminal.bars_shown(shares, 40) == list(range(46, 36, -1))
    assert terminal.bars_shown(shares, 3) == [*range(46, 37, -1), 3]
    assert terminal.bars_shown([0.1] * 10, 3) == list(range(10))
    console = console_of(80, colours=False)
    panel = terminal.prediction_panel(images(1)[0], "t", shares, LETTERS, console)
    assert "t  " in screen_of(panel, console)


def test_a_digit_is_large_and_a_garment_is_not() -> None:
    console, other = console_of(120, colours=False), console_of(120, colours=False)
    blank = np.zeros((28, 28), np.uint8)
    digit = screen_of(terminal.prediction_panel(blank, "1", [0.1] * 10, DIGITS, console), console)
    assert digit.count("██") > 5
    assert "Ankle boot" not in digit
    garment = screen_of(terminal.prediction_panel(blank, "Coat", [0.0] * 10, CLOTHES, other), other)
    assert "██" not in garment
    assert "Ankle boot" in garment


def test_a_narrow_console_shows_the_whole_image_and_no_large_digit() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[:, -1] = 255
    for width, digit_shown in ((42, True), (40, False)):
        console = console_of(width, colours=False)
        panel = terminal.prediction_panel(image, "1", [0.1] * 10, DIGITS, console)
        lines = screen_of(panel, console).splitlines()
        assert "\u2026" not in "".join(lines)
        assert any(len(line.rstrip()) > 28 for line in lines[:14]) == digit_shown
        assert max(map(len, lines)) <= width
