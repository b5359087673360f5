"""What a picture can't be by its ink alone: shades around the strokes of a small one."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnistctl.imaging.doubts import explained
from mnistctl.imaging.files import Picture
from mnistctl.imaging.ink import TINY, ink_map
from mnistctl.imaging.marks import find_marks
from mnistctl.imaging.prepare import prepare

SHADED = "a shaded picture, not strokes"


def shirt(side: int = 28, dark: int = 60, paper: int = 0) -> NDArray[np.uint8]:
    """A dark shape on an even ground, with a bright stripe that looks like a 1."""
    image = Image.new("L", (side, side), paper)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0.2 * side, 0.1 * side, 0.8 * side, 0.9 * side), fill=dark)
    draw.line((0.55 * side, 0.2 * side, 0.5 * side, 0.8 * side), fill=255, width=side // 12)
    return np.asarray(image)


def doubt(pixels: NDArray[np.uint8]) -> str | None:
    return prepare(Picture(pixels, pixels.shape[1], pixels.shape[0])).doubt


@pytest.mark.parametrize("side", [28, TINY])
def test_a_small_picture_of_a_shape_is_doubted(side: int) -> None:
    assert doubt(shirt(side)) == SHADED
    assert doubt(np.dstack([shirt(side)] * 3)) == SHADED


def test_the_stripe_alone_is_not() -> None:
    assert doubt(shirt(dark=0)) is None


def test_shades_of_a_larger_picture_may_be_shadows() -> None:
    assert doubt(shirt(TINY + 8)) != SHADED


def test_a_border_of_several_greys_may_be_a_photographs() -> None:
    pixels = shirt().astype(np.int64)
    pixels[:3] = pixels[:, :3] = 50
    assert doubt(pixels.astype(np.uint8)) != SHADED


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_grain_and_soft_edges_around_a_digit_are_not_shades(seed: int, inverted: bool) -> None:
    rng = np.random.default_rng(seed)
    image = Image.new("L", (120, 120))
    ImageDraw.Draw(image).line([(40, 20), (80, 20), (50, 100)], fill=120, width=12)
    soft = np.asarray(image.resize((50, 50), Image.Resampling.BICUBIC)) + 20
    drawn = 255 - soft if inverted else soft
    pixels = np.clip(drawn + rng.normal(0, 6, soft.shape), 0, 255).astype(np.uint8)
    assert doubt(pixels) is None
    assert explained(Picture(pixels, 50, 50), find_marks(ink_map(pixels))) > 0.95
