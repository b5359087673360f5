"""Augmentation moves pixels as it says, and the same for a share of a batch."""

import pytest
import torch

from mnistctl.data.augment import apply_maps, draw_maps
from mnistctl.recipes import Augmentation

IMAGES = torch.randint(256, (6, 28, 28), dtype=torch.uint8, generator=torch.Generator())


def maps_of(augmentation: Augmentation, count: int = 6) -> torch.Tensor:
    return draw_maps(augmentation, count, torch.Generator().manual_seed(5))


def test_no_range_leaves_images_as_they_are() -> None:
    seen = apply_maps(IMAGES, maps_of(Augmentation()))
    assert seen.shape == (6, 1, 28, 28)
    assert torch.allclose(seen[:, 0], IMAGES.float(), atol=0.02)


def test_shift_of_whole_pixels() -> None:
    maps = maps_of(Augmentation())
    maps[:, 0, 2] = 2 * 3 / 28  # three pixels to the left
    seen = apply_maps(IMAGES, maps)[:, 0]
    assert torch.allclose(seen[:, :, :25], IMAGES[:, :, 3:].float(), atol=0.05)
    assert seen[:, :, 25:].abs().max() < 0.05


def test_ranges_are_kept() -> None:
    many = maps_of(Augmentation(rotate=10, shift=2), 5_000)
    angles = torch.atan2(many[:, 1, 0], many[:, 0, 0]).rad2deg()
    assert 9.9 < angles.abs().max() <= 10.001
    shifts = many[:, :, 2] * 14
    assert 1.99 < shifts.abs().max() <= 2.001
    assert abs(float(shifts.mean())) < 0.05


@pytest.mark.parametrize("field", ["rotate", "scale", "shear", "shift"])
def test_each_range_changes_the_images(field: str) -> None:
    seen = apply_maps(IMAGES, maps_of(Augmentation(**{field: 0.5 if field != "rotate" else 20})))
    assert (seen[:, 0] - IMAGES.float()).abs().mean() > 1


def test_same_seed_same_maps() -> None:
    everything = Augmentation(10, 0.1, 0.1, 2)
    assert torch.equal(maps_of(everything), maps_of(everything))
