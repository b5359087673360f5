"""Photographs made harder: the same by seed, each kind unlike the original, and counted right."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.bench.camera import (
    KINDS,
    SIDE,
    Photo,
    Rng,
    Tally,
    base_photo,
    harder,
    table,
    unseen_writers,
)


@pytest.fixture
def photo(tmp_path: Path) -> Photo:
    """A 7 of dark ink on light paper."""
    image = Image.new("RGB", (120, 100), (230, 228, 220))
    ImageDraw.Draw(image).line([(40, 20), (80, 20), (55, 80)], fill=(30, 30, 60), width=6)
    image.save(tmp_path / "7_someone_00.png")
    return base_photo(tmp_path / "7_someone_00.png")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_harder_is_the_same_by_number_and_differs(
    photo: Photo, kind: Callable[[Photo, Rng], Photo]
) -> None:
    assert photo.shape == (SIDE * 100 // 120, SIDE, 3)
    first = harder(photo, kind, 3)
    assert first == harder(photo, kind, 3)
    made = np.asarray(Image.open(io.BytesIO(first)), np.float32) / 255
    assert made.shape != photo.shape or np.abs(made - photo).mean() > 0.003


def test_every_other_writer_is_left_out() -> None:
    paths = [Path(f"{name}.png") for name in ("1_b_00", "1_a_00", "2_c_01", "3_b_01", "4_d_00")]
    assert unseen_writers(paths) == [True, False, False, True, True]


def test_mean_error_leaves_out_the_pictures_as_they_are() -> None:
    fold, glare = Tally(3, 4, 1, 2), Tally(2, 4, 2, 2)
    shown = table({"as they are": Tally(4, 4, 2, 2), "fold": fold, "glare": glare})
    assert shown.splitlines()[-1] == "| mean error of the hard ones |  | 37.5 % | 25.0 % |"
