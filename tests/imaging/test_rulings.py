"""Faint lines of paper go, whatever is drawn by a pen stays."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnistctl.imaging.ink import Ink
from mnistctl.imaging.rulings import without_rulings

Amount = NDArray[np.float32]
HEIGHT, WIDTH = 200, 300


def ink(amount: Amount) -> Ink:
    return Ink(amount, np.zeros(amount.shape, bool), 120.0, 1.0)


def lines(level: float, slope: float = 0.0, squared: bool = False) -> Amount:
    image = Image.new("F", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(image)
    for at in range(20, HEIGHT, 50):
        draw.line([(0, at), (WIDTH, at + slope * WIDTH)], fill=level, width=3)
    for at in range(20, WIDTH, 50) if squared else ():
        draw.line([(at, 0), (at - slope * HEIGHT, HEIGHT)], fill=level, width=3)
    return np.asarray(image)


def ring() -> Amount:
    image = Image.new("F", (WIDTH, HEIGHT))
    ImageDraw.Draw(image).ellipse((100, 40, 180, 160), outline=1.0, width=9)
    return np.asarray(image)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("slope", [0.0, 0.015, -0.015])
@pytest.mark.parametrize("level", [0.2, 0.5])
def test_lines_go_and_strokes_stay(level: float, slope: float, squared: bool) -> None:
    pen = ring()
    cleaned = without_rulings(ink(np.maximum(pen, lines(level, slope, squared)))).amount
    assert (cleaned[pen == 1] == 1).all()
    assert (cleaned[pen == 0] > 0).sum() < 250  # beside the strokes


def test_what_is_as_dark_as_the_pen_or_ends_on_the_paper_stays() -> None:
    dark = lines(0.9)
    assert without_rulings(ink(dark)).amount is dark
    short = lines(0.4).copy()
    short[:, :40] = 0
    assert without_rulings(ink(short)).amount is short
    pen = ring()
    assert without_rulings(ink(pen)).amount is pen
