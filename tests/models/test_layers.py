"""Dropout drops what it says, and the same on a share of a batch as on the whole of it."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from mnistctl.models import layers
from mnistctl.models.layers import BatchNorm, Dropout, Shard, mean_of_answers


@pytest.mark.parametrize(("shape", "channelwise"), [((64, 20, 8, 8), True), ((64, 50), False)])
def test_share_of_a_batch_gets_its_part_of_the_mask(
    shape: tuple[int, ...], channelwise: bool
) -> None:
    layer, x = Dropout(0.5, channelwise), torch.rand(shape)
    torch.manual_seed(3)
    whole = layer(x)
    for ranges in ([(0, 20)], [(20, 64)], [(64, 64)], [(10, 20), (50, 60)]):
        layer.shard = Shard(tuple(ranges), 64)
        torch.manual_seed(3)
        rows = [row for first, end in ranges for row in range(first, end)]
        assert torch.equal(layer(x[rows]), whole[rows])


@pytest.mark.parametrize("floats_only", [(), ("cpu",)], ids=["bytes", "floats"])
def test_mean_is_kept_and_evaluation_is_identity(
    floats_only: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "FLOATS_ONLY", floats_only)
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


def _batch(mean: float) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(7, 3, 4, 5, generator=generator) + mean
    return images, torch.randn(7, 3, 4, 5, generator=generator)


CASES = {"both": ([3, 7], 2.0), "one": ([7, 7], 2.0), "large mean": ([3, 7], 1000.0)}
"""Ends of the two processes' shares of seven images, and their mean."""


def _normalise_shares(rank: int, directory: str) -> None:
    """One of two processes: its share of each batch through the layer, there and back."""
    dist.init_process_group("gloo", f"file://{directory}/store", rank=rank, world_size=2)
    exchange = dist.all_reduce
    for name, (ends, mean) in CASES.items():
        images, weights = _batch(mean)
        first, end = ([0, *ends])[rank], ends[rank]
        layer, x = BatchNorm(3), images[first:end].clone().requires_grad_()
        layer.shard = Shard(((first, end),), len(images))
        exchanges: list[torch.Size] = []

        def counted(tensor: torch.Tensor, exchanges: list[torch.Size] = exchanges) -> None:
            exchanges.append(tensor.shape)
            exchange(tensor)

        dist.all_reduce = counted
        y = layer(x)
        assert exchanges == [(2, 3, 3)]
        (y * weights[first:end]).sum().backward()
        assert exchanges == [(2, 3, 3), (2, 3)]
        gradient = layer.weight.grad
        assert gradient is not None
        exchange(gradient)
        found = [y.detach(), x.grad, gradient, layer.state_dict()]
        torch.save(found, f"{directory}/{name}-{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What both processes found in each case: starting them takes most of the time."""
    directory = tmp_path_factory.mktemp("shares")
    torch.multiprocessing.spawn(_normalise_shares, (str(directory),), nprocs=2)
    return directory


@pytest.mark.parametrize("name", CASES)
def test_normalisation_over_processes_is_that_of_the_whole(name: str, shares: Path) -> None:
    """In one exchange forward and one backward; a sum of squares of 1000 would have no digits."""
    mean = CASES[name][1]
    images, weights = _batch(mean)
    whole, x = torch.nn.BatchNorm2d(3).double(), images.double().requires_grad_()
    y = whole(x)
    (y * weights).sum().backward()
    parts = [torch.load(shares / f"{name}-{rank}.pt") for rank in (0, 1)]
    assert x.grad is not None
    tolerance = 2e-4 if mean == 1000 else 1e-5  # float32 has no more digits of such images
    for number, wanted in enumerate((y, x.grad)):
        found = torch.cat([part[number] for part in parts]).double()
        assert torch.allclose(found, wanted, atol=tolerance)
    for part in parts:
        gradient = part[2].double()
        assert torch.allclose(gradient, whole.weight.grad, rtol=1e-4, atol=10 * tolerance)
        for key, value in whole.state_dict().items():
            assert torch.allclose(
                part[3][key].double(), value.double(), rtol=1e-6, atol=tolerance
            ), key


def test_means_are_those_of_the_probabilities() -> None:
    """With a class of outliers, whose logit is 0, the logits stay relative to it."""
    logits = [torch.randn(6, 10, generator=torch.Generator().manual_seed(k)) for k in range(3)]
    plain = torch.stack([own.softmax(1) for own in logits]).mean(0)
    assert torch.allclose(mean_of_answers(logits, False).softmax(1), plain, atol=1e-6)
    eleven = [torch.cat([own, torch.zeros(6, 1)], 1) for own in logits]
    wanted = torch.stack([own.softmax(1) for own in eleven]).mean(0)
    found = torch.cat([mean_of_answers(logits, True), torch.zeros(6, 1)], 1).softmax(1)
    assert torch.allclose(found, wanted, atol=1e-6)
    assert torch.allclose(mean_of_answers(logits[:1], True), logits[0], atol=1e-5)
