"""A picture whose light or colour is uneven has several readings, one of which must be right."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnistctl.imaging.files import Picture
from mnistctl.imaging.ink import Invert
from mnistctl.imaging.prepare import Prepared, prepare
from tests.imaging.test_prepare import clean, ink, likeness

PAPER, BLUE, COFFEE = (238, 236, 230), (50, 60, 150), (150, 95, 45)
SIDE = 300

Colours = NDArray[np.float64]


def written(digit: str, pen: tuple[int, int, int] = BLUE) -> Colours:
    """A digit on paper, float64 (SIDE, SIDE, 3), 0..255."""
    share = np.asarray(ink(digit, SIDE), float)[..., None] / 255
    return np.array(PAPER) * (1 - share) + np.array(pen) * share


def read(colours: Colours, invert: Invert = "auto") -> Prepared:
    pixels = np.rint(colours).astype(np.uint8)
    return prepare(Picture(pixels, SIDE, SIDE), invert)


def best_likeness(found: Prepared, digit: str) -> float:
    return max(likeness(own.pixels, clean(digit)) for own in (found, *found.others))


def across(share: float) -> NDArray[np.bool_]:
    """Below a slanting line that begins at a share of the height."""
    down, right = np.mgrid[0:SIDE, 0:SIDE]
    return np.asarray(down > share * SIDE + 0.4 * (right - SIDE / 2))


@pytest.mark.parametrize("digit", ["2", "4", "5", "7"])
def test_a_hard_shadow_does_not_change_the_colour_of_the_pen(digit: str) -> None:
    shaded = written(digit) * np.where(across(0.5), 0.5, 1.0)[..., None]
    assert best_likeness(read(shaded), digit) > 0.8


@pytest.mark.parametrize("digit", ["2", "4", "5", "7"])
def test_a_ring_of_coffee_has_another_colour_than_the_pen(digit: str) -> None:
    ring = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(ring).ellipse((-60, 60, 160, 280), fill=80, outline=255, width=6)
    tint = 0.45 * np.asarray(ring, float)[..., None] / 255
    stained = written(digit) * (1 - tint * (1 - np.array(COFFEE) / 255))
    assert best_likeness(read(stained), digit) > 0.8


def test_an_evenly_lit_picture_has_one_reading() -> None:
    for pen in (BLUE, (30, 30, 30), (200, 40, 40)):
        assert read(written("4", pen)).others == ()


def test_a_small_picture_has_one_reading() -> None:
    shaded = written("4") * np.where(across(0.5), 0.5, 1.0)[..., None]
    assert read(shaded).others
    image = Image.fromarray(np.rint(shaded).astype(np.uint8)).resize((48, 48))
    assert prepare(Picture(np.asarray(image), 48, 48)).others == ()


def test_a_blank_page_has_one_reading() -> None:
    found = read(np.full((SIDE, SIDE, 3), 240.0))
    assert found.others == ()
    assert found.doubt == "no ink found: the picture is blank"


def test_grey_pictures_are_read_without_tints() -> None:
    colours = written("5") * np.where(across(0.5), 0.5, 1.0)[..., None]
    grey = np.asarray(Image.fromarray(np.rint(colours).astype(np.uint8)).convert("L"))
    in_grey, in_colour = prepare(Picture(grey, SIDE, SIDE)), read(colours)
    assert len(in_grey.others) < len(in_colour.others)


def test_tints_say_nothing_of_dark_and_light() -> None:
    found = read(written("4"), "no")
    assert found.doubt is not None
    assert found.others == ()
    shaded = written("4") * np.where(across(0.5), 0.5, 1.0)[..., None]
    assert len(read(shaded, "yes").others) < len(read(shaded).others)


def test_grey_in_three_channels_has_no_tints() -> None:
    grey = np.repeat(written("5").mean(axis=2, keepdims=True), 3, axis=2)
    shaded = grey * np.where(across(0.5), 0.5, 1.0)[..., None]
    flat = prepare(Picture(np.rint(shaded[..., 0]).astype(np.uint8), SIDE, SIDE))
    assert len(read(shaded).others) == len(flat.others)
