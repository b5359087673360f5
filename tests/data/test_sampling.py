"""Orders, splits and shards hold every image once."""

import pytest
import torch

from mnistctl.data.sampling import Stream, derive_seed, epoch_order, shard_of, split_validation


def test_orders_are_permutations_that_differ() -> None:
    orders = [epoch_order(seed, epoch, 500) for seed in (0, 1) for epoch in (1, 2)]
    for order in orders:
        assert order.sort().values.tolist() == list(range(500))
    assert len({tuple(order.tolist()) for order in orders}) == 4
    assert torch.equal(epoch_order(0, 1, 500), orders[0])


@pytest.mark.parametrize("validation", [0, 1, 100, 499])
def test_validation_and_training_images_are_apart_and_all(validation: int) -> None:
    kept, held_out = split_validation(3, 500, validation)
    assert len(held_out) == validation
    assert sorted(kept.tolist() + held_out.tolist()) == list(range(500))
    assert kept.tolist() == sorted(kept.tolist())


def test_the_seed_decides_which_are_held_out() -> None:
    first, again, other = (split_validation(seed, 500, 50)[1] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("total", "world_size"), [(10, 3), (2, 5), (0, 2), (250, 1)])
def test_shards_are_the_whole_in_order(total: int, world_size: int) -> None:
    shards = [shard_of(total, rank, world_size) for rank in range(world_size)]
    assert [row for first, end in shards for row in range(first, end)] == list(range(total))
    assert max(end - first for first, end in shards) <= total // world_size + 1


def test_seeds_differ_by_every_part() -> None:
    seeds = {
        derive_seed(seed, stream, epoch, step)
        for seed in (0, 1)
        for stream in Stream
        for epoch in (0, 1)
        for step in (0, 1)
    }
    assert len(seeds) == 2 * len(Stream) * 2 * 2
    assert all(0 <= seed < 1 << 63 for seed in seeds)
