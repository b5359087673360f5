"""Grids of images: in rows that fit, each over its caption, in one scale."""

import numpy as np
import pytest
from drawn import console_of, screen_of
from results_made import images

from mnistctl.draw.grid import ImageGrid, thumbnail


def test_grids_reflow() -> None:
    captions = [f"#{number}" for number in range(8)]
    for width, columns in ((60, 3), (80, 5), (120, 7)):
        console = console_of(width, colours=False)
        screen = screen_of(ImageGrid(images(8), captions).panel(console), console)
        (first,) = (line for line in screen.splitlines() if "#0" in line)
        assert first.split() == captions[:columns]
        assert all(caption in screen for caption in captions)


def test_images_are_drawn_in_reading_order_over_their_captions() -> None:
    pixels = images(3)
    axes = ImageGrid(pixels, ["a", "b", "c"], columns=2).figure("t").axes[0]
    assert [np.asarray(own.get_array()).tolist() for own in axes.images] == pixels.tolist()
    boxes = [own.get_extent() for own in axes.images]
    assert boxes[0][0] < boxes[1][0]
    assert boxes[0][2:] == boxes[1][2:]
    assert boxes[2][0] == boxes[0][0]
    assert boxes[2][3] > boxes[0][3]  # the axis points down
    for text, box in zip(axes.texts, boxes, strict=True):
        x, y = text.get_position()
        assert x == (box[0] + box[1]) / 2
        assert y > box[2] > box[3]  # beneath the image, whose first row is at its top


def test_values_are_in_one_scale_around_zero() -> None:
    weights = np.array([[[0.5, -2.0]], [[1.0, 0.0]]])
    grid = ImageGrid(weights, ["0", "1"], "RdBu_r")
    assert grid.limits == (-2.0, 2.0)
    assert [own.get_clim() for own in grid.figure("t", "weight").axes[0].images] == [(-2, 2)] * 2
    assert ImageGrid(weights, ["0", "1"], "viridis").limits == (0.0, 2.0)
    assert ImageGrid(images(1), ["0"]).limits == (0, 255)


def test_wide_captions_make_room_for_themselves() -> None:
    narrow, wide = ImageGrid(images(8), ["7"] * 8), ImageGrid(images(8), ["Ankle boot " * 3] * 8)
    assert wide.size[0] > 1.5 * narrow.size[0]
    high = ImageGrid(images(1), ["two\nlines"], inches=2.0)
    assert high.size[1] == pytest.approx(2 * 1.08 + 2 * 0.17 + 0.6)


def test_wide_letters_make_room_for_themselves() -> None:
    console = console_of(80, colours=False)
    captions = [f"triangle 三角  #{number}" for number in range(4)]
    screen = screen_of(ImageGrid(images(4), captions).panel(console), console)
    assert all(caption in screen for caption in captions)


def test_nothing_is_said_to_be_nothing() -> None:
    console = console_of(60, colours=False)
    assert screen_of(ImageGrid(images(0), []).panel(console), console) == "no image\n"
    axes = ImageGrid(images(0), []).figure("t").axes[0]
    assert [text.get_text() for text in axes.texts] == ["no image"]


def test_thumbnails_are_means() -> None:
    image = np.zeros((28, 28), np.uint8)
    image[0, 0] = 200
    small = thumbnail(image)
    assert small.shape == (14, 14)
    assert small[0, 0] == 50
    assert small.sum() == 50
