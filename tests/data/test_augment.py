"""Augmentation moves pixels as it says, and the same for a share of a batch."""

import pytest
import torch

from mnistctl.data.augment import apply_maps, change, draw, draw_bends, draw_maps
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


def test_whole_shifts_blur_nothing() -> None:
    images = IMAGES.repeat(100, 1, 1)
    augmentation = Augmentation(shift=1.5, whole_shifts=True)
    generator = torch.Generator().manual_seed(3)
    seen = change(images, draw(augmentation, len(images), generator))[:, 0].round()
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    counts = []
    for down in range(3):
        for across in range(3):
            moved = padded[:, down : down + 28, across : across + 28]
            counts.append(int((seen == moved).flatten(1).all(1).sum()))
    assert sum(counts) == 600
    assert 40 < min(counts) <= max(counts) < 100


def test_stretch_trades_width_for_height() -> None:
    plain = maps_of(Augmentation(rotate=10, scale=0.1), 5_000)
    stretched = maps_of(Augmentation(rotate=10, scale=0.1, stretch=0.1), 5_000)
    assert torch.equal(stretched[:, :, 2], plain[:, :, 2])
    width, height = (stretched[:, 0] / plain[:, 0])[:, :2].T
    assert torch.allclose(width + height, torch.full((5_000,), 2.0), atol=1e-3)
    assert 0.0995 < (width - 1).abs().max() < 0.101
    assert abs(float(width.mean()) - 1) < 0.005


@pytest.mark.parametrize("field", ["rotate", "scale", "shear", "shift", "stretch"])
def test_each_range_changes_the_images(field: str) -> None:
    seen = apply_maps(IMAGES, maps_of(Augmentation(**{field: 0.5 if field != "rotate" else 20})))
    assert (seen[:, 0] - IMAGES.float()).abs().mean() > 1


def test_a_bend_moves_pixels_by_what_it_says() -> None:
    bends = torch.zeros(6, 2, 5, 5)
    bends[:, 0] = 3.0  # the same everywhere: three pixels to the left
    seen = apply_maps(IMAGES, maps_of(Augmentation()), bends)[:, 0]
    assert torch.allclose(seen[:, :, :25], IMAGES[:, :, 3:].float(), atol=0.05)
    drawn = draw_bends(Augmentation(elastic=0.7), 5_000, torch.Generator().manual_seed(5))
    assert float(drawn.std()) == pytest.approx(0.7, abs=0.01)


def test_a_share_of_a_batch_gets_its_part() -> None:
    everything = Augmentation(10, 0.1, 0.1, 2, elastic=0.5)
    whole, part = (
        change(IMAGES[first:end], draw(everything, 6, torch.Generator().manual_seed(2)), first)
        for first, end in ((0, 6), (2, 5))
    )
    assert torch.allclose(part, whole[2:5], atol=1e-4)
    assert not torch.allclose(part, whole[:3], atol=1)


def test_same_seed_same_maps() -> None:
    everything = Augmentation(10, 0.1, 0.1, 2)
    assert torch.equal(maps_of(everything), maps_of(everything))


def test_flips_mirror_a_share_of_the_images() -> None:
    images = torch.randint(256, (400, 28, 28), generator=torch.Generator().manual_seed(0))
    images = images.to(torch.uint8)
    generator = torch.Generator().manual_seed(1)
    seen = change(images, draw(Augmentation(flip=0.25), len(images), generator))[:, 0].round()
    mirrored = (seen == images.flip(2)).flatten(1).all(1)
    same = (seen == images).flatten(1).all(1)
    assert (mirrored | same).all()
    assert 70 <= int(mirrored.sum()) <= 130
