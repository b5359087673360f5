"""What a small picture can't be, by its ink alone: shades are no strokes, a card may be paper."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnistctl.imaging.doubts import is_shaded
from mnistctl.imaging.files import Picture
from mnistctl.imaging.ink import TINY, ink_maps
from mnistctl.imaging.marks import find_marks
from mnistctl.imaging.prepare import find_digits, prepare

SHADED = "a shaded picture, not strokes"
Pixels = NDArray[np.uint8]


def shirt(side: int = 28) -> Pixels:
    """A dark shape in folds on an even ground, with a bright stripe that looks like a 1."""
    image = Image.new("L", (side, side))
    draw = ImageDraw.Draw(image)
    for column in range(round(0.2 * side), round(0.8 * side)):
        fold = 60 + 25 * np.sin(40 * column / side)
        draw.line((column, 0.1 * side, column, 0.9 * side), fill=round(fold))
    draw.line((0.55 * side, 0.2 * side, 0.5 * side, 0.8 * side), fill=255, width=side // 12)
    return np.asarray(image)


def seven(draw: ImageDraw.ImageDraw, side: int, grey: int) -> None:
    places = [(0.35, 0.3), (0.65, 0.3), (0.45, 0.75)]
    draw.line([(x * side, y * side) for x, y in places], fill=grey, width=side // 12)


def plaque(form: str, side: int) -> Pixels:
    """A clean 7 on a card or a key."""
    large = Image.new("L", (192, 192), 120 if form == "card" else 0)
    draw, box = ImageDraw.Draw(large), (24, 24, 168, 168)
    if form == "card":
        draw.rectangle(box, fill=250)
        seven(draw, 192, 20)
    elif form == "key":
        draw.rounded_rectangle(box, 30, fill=80)
        seven(draw, 192, 250)
    elif form == "slope":
        for row in range(24, 168):
            draw.line((24, row, 168, row), fill=60 + (row - 24) // 3)
        seven(draw, 192, 250)
    else:
        draw.ellipse(box, fill=80)
        seven(draw, 192, 250)
    return np.asarray(large.resize((side, side), Image.Resampling.BOX))


def doubt(pixels: Pixels) -> str | None:
    return prepare(Picture(pixels, pixels.shape[1], pixels.shape[0])).doubt


def shaded(pixels: Pixels) -> bool:
    return is_shaded(Picture(pixels, *pixels.shape[::-1]), find_marks(next(ink_maps(pixels))))


@pytest.mark.parametrize("side", [28, TINY])
def test_a_small_picture_of_a_shape_is_doubted(side: int) -> None:
    assert doubt(shirt(side)) == SHADED
    assert doubt(np.dstack([shirt(side)] * 3)) == SHADED


def test_no_digits_are_found_in_one() -> None:
    def ask(pixels: Pixels) -> NDArray[np.float32]:
        raise AssertionError("a network is asked")

    assert find_digits(Picture(shirt(), 28, 28), ask) == []


def test_shades_of_a_larger_picture_may_be_shadows() -> None:
    assert not shaded(shirt(TINY + 8))


def test_a_border_of_several_greys_may_be_a_photographs() -> None:
    pixels = shirt().copy()
    pixels[0] = np.arange(28) * 9
    pixels[:, 0] = np.arange(28) * 9
    pixels[-1] = 255 - np.arange(28) * 9
    assert not shaded(pixels)


@pytest.mark.parametrize("side", [28, 48])
@pytest.mark.parametrize("form", ["card", "key", "circle", "slope"])
def test_a_digit_on_a_plain_ground_is_not_doubted_for_it(form: str, side: int) -> None:
    grain = np.random.default_rng(0).normal(0, 3, (side, side))
    for drawn in (plaque(form, side), plaque(form, side) + grain):
        assert not shaded(np.clip(drawn, 0, 255).astype(np.uint8))


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_grain_and_soft_edges_around_a_digit_are_not_shades(seed: int, inverted: bool) -> None:
    rng = np.random.default_rng(seed)
    image = Image.new("L", (120, 120))
    ImageDraw.Draw(image).line([(40, 20), (80, 20), (50, 100)], fill=75, width=8)
    soft = np.asarray(image.resize((TINY, TINY), Image.Resampling.BICUBIC)) + 20
    drawn = 255 - soft if inverted else soft
    pixels = np.clip(drawn + rng.normal(0, 6, soft.shape), 0, 255).astype(np.uint8)
    assert not shaded(pixels)


@pytest.mark.parametrize(("down", "slant"), [(True, 0.0), (True, 0.6), (False, 0.0), (True, 1.6)])
def test_the_edge_of_a_shadow_on_a_blank_page_is_no_digit(down: bool, slant: float) -> None:
    rows, columns = np.mgrid[0:300, 0:300]
    shadow = columns > 150 + slant * (rows - 150)
    grey = np.where(shadow if down else shadow.T, 110, 235).astype(np.uint8)
    found = prepare(Picture(grey, 300, 300))
    assert found.doubt is not None
    assert all(own.doubt is not None for own in found.others)


def test_a_stroke_from_border_to_border_is_a_digit() -> None:
    grey = np.full((300, 200), 235, np.uint8)
    grey[:, 90:112] = 40
    assert prepare(Picture(grey, 200, 300)).doubt is None
