"""Dropout drops what it says, and the same on a share of a batch as on the whole of it."""

import pytest
import torch

from mnistctl.models.layers import Dropout


@pytest.mark.parametrize(("shape", "channelwise"), [((64, 20, 8, 8), True), ((64, 50), False)])
def test_share_of_a_batch_gets_its_part_of_the_mask(
    shape: tuple[int, ...], channelwise: bool
) -> None:
    layer, x = Dropout(0.5, channelwise), torch.rand(shape)
    torch.manual_seed(3)
    whole = layer(x)
    for first, end in ((0, 20), (20, 64), (64, 64)):
        layer.share = (first, 64)
        torch.manual_seed(3)
        assert torch.equal(layer(x[first:end]), whole[first:end])


def test_mean_is_kept_and_evaluation_is_identity() -> None:
    layer, x = Dropout(0.25), torch.ones(500, 400)
    dropped = layer(x)
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert dropped.mean() == pytest.approx(1.0, abs=0.01)
    assert torch.equal(layer.eval()(x), x)


def test_channelwise_drops_whole_maps() -> None:
    out = Dropout(0.5, channelwise=True)(torch.ones(30, 40, 5, 5))
    per_map = out.flatten(2)
    assert torch.equal(per_map.amin(2), per_map.amax(2))
    assert 0.4 < (per_map.amax(2) == 0).float().mean() < 0.6
