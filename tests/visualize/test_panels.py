"""Drawings of every kind in a terminal: within its width, in its colours or none, its letters."""

import pytest
from drawn import console_of, screen_of, widest_line
from results_made import VIEWS, compared, errors_of, run, samples
from rich.console import Group

from mnistctl.visualize.curves import CurvesView

FITTING = ("prediction", "steps", "confusion", "curves", "integrated gradients", "calibration")
FITTING += ("embedding", "embedding of clothes")


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", VIEWS)
def test_no_line_is_wider_than_the_console(name: str, width: int) -> None:
    for colours in (True, False):
        console = console_of(width, colours)
        screen = screen_of(Group(VIEWS[name]("name").panel(console), "and beneath it"), console)
        assert 13 < widest_line(screen) <= width
        assert "…" not in screen


@pytest.mark.parametrize("name", VIEWS)
def test_no_colour_and_no_block_where_there_are_none(name: str) -> None:
    console = console_of(80, colours=False, encoding="ascii")
    screen = screen_of(VIEWS[name]("name").panel(console), console)  # raises on what ASCII lacks
    assert "\x1b" not in screen


@pytest.mark.parametrize("name", FITTING)
def test_it_fits_a_screen_of_24_lines_with_its_title(name: str) -> None:
    console = console_of(80)
    console.height = 24
    screen = screen_of(VIEWS[name]("name").panel(console), console)
    assert len(screen.splitlines()) <= 22


def test_many_images_fill_one_screen_unless_their_number_is_given() -> None:
    for view, every in (
        (samples(fit=True), samples()),
        (errors_of(None), errors_of(24)),
        (compared(), compared(count=24)),
    ):
        console, other = console_of(80), console_of(80)
        console.height = 24
        screen = screen_of(view.panel(console), console)
        assert len(screen.splitlines()) <= 22
        assert "more with --count N" in screen
        whole = screen_of(every.panel(other), other)
        assert "more with" not in whole
        assert len(whole.splitlines()) > 40


def test_a_screen_that_is_full_shows_some_of_every_class() -> None:
    console = console_of(80, colours=False)
    console = console_of(80)
    console.height = 24
    screen = screen_of(samples(fit=True).panel(console), console)
    assert [f"{digit}  #" in screen for digit in range(10)] == [True] * 10


@pytest.mark.parametrize("height", [20, 24, 60])
def test_curves_fit_on_one_screen(height: int) -> None:
    console = console_of(80)
    console.height = height
    screen = screen_of(CurvesView([run("standard-1")]).panel(console), console)
    assert len(screen.splitlines()) < height
    assert screen.count("epochs") == 2
