"""Corruptions is of the five kinds, in their ranges, and the same for a share of a batch."""

import pytest
import torch

from mnistctl.data.augment import change, draw
from mnistctl.data.corrupt import KINDS, MAX_CUTOUT, MIN_CONTRAST, choose, corrupt, draw_corruptions
from mnistctl.recipes import Augmentation


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def greys(count: int) -> torch.Tensor:
    return torch.rand(count, 1, 28, 28, generator=generator(9)) * 255


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_that_is_damaged(share: float) -> None:
    images = greys(400)
    drawing = generator()
    rows = choose(400, share, drawing)
    seen = corrupt(images.clone(), rows, 0, len(rows), drawing)
    changed = (seen - images).abs().amax((1, 2, 3)) > 0
    assert float(changed.float().mean()) == pytest.approx(share, abs=0.08)
    assert seen.shape == images.shape
    assert 0 <= float(seen.min()) <= float(seen.max()) <= 255


def test_one_kind_each_in_its_range() -> None:
    damage = draw_corruptions(3_000, generator())
    kinds = torch.stack(
        [
            damage.noise.abs().amax((1, 2)) > 0,
            damage.impulse.abs().amax((1, 2)) > 0,
            damage.contrast < 1,
            damage.blur > 0,
            damage.cutout.amax((1, 2)) > 0,
        ]
    )
    assert int(kinds.sum(0).max()) == 1
    assert all(0.15 < float(share) < 0.25 for share in kinds.float().mean(1))
    assert len(kinds) == KINDS
    assert float(damage.contrast.min()) >= MIN_CONTRAST
    assert bool((damage.floor + 255 * damage.contrast <= 255.01).all())
    assert int(damage.cutout.sum((1, 2)).max()) <= MAX_CUTOUT**2


def test_a_share_of_a_batch_gets_its_part() -> None:
    images = greys(40)[:, 0].to(torch.uint8)

    def seen(first: int, end: int) -> torch.Tensor:
        return change(images[first:end], draw(Augmentation(corrupt=0.5), 40, generator()), first)

    assert torch.equal(seen(10, 25), seen(0, 40)[10:25])
    assert seen(40, 40).shape == (0, 1, 28, 28)
