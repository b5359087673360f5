"""The average of weights is the average, and its batch statistics belong to it."""

import pytest
import torch

from mnistctl.engine.training.ema import Average
from mnistctl.models.compact import Compact
from mnistctl.models.layers import BatchNorm


def small_network(seed: int) -> Compact:
    torch.manual_seed(seed)
    return Compact(10, (4, 6), pooled=(1, 2))


def test_average_follows_its_recurrence() -> None:
    model = small_network(0)
    average = Average(model, 0.5)
    expected = next(model.parameters()).detach().clone()
    for step in range(1, 30):
        with torch.no_grad():
            next(model.parameters()).add_(1.0)
        average.update(model, step)
        decay = min(0.5, step / (step + 10))
        expected = decay * expected + (1 - decay) * next(model.parameters()).detach()
        assert torch.allclose(average.values[0], expected, atol=1e-5), step


def test_the_first_steps_forget_the_initial_weights() -> None:
    """After step n of the warm-up the average keeps n / (n + 10) of what it was."""
    model = small_network(0)
    average = Average(model, 0.99)
    for values in average.values:
        values.zero_()
    with torch.no_grad():
        next(model.parameters()).fill_(1.0)
    average.update(model, 1)
    assert average.values[0].unique().tolist() == pytest.approx([10 / 11])
    average.update(model, 2)
    assert average.values[0].unique().tolist() == pytest.approx([1 - 1 / 11 * 2 / 12])


@pytest.mark.parametrize("sizes", [(50, 50, 50), (60, 60, 30), (120, 1)])
def test_a_short_batch_weighs_as_much_as_it_has(sizes: tuple[int, ...]) -> None:
    model = small_network(0)
    average = Average(model, 0.9)
    generator = torch.Generator().manual_seed(5)
    batches = [
        k + torch.randn(size, 1, 28, 28, generator=generator) for k, size in enumerate(sizes)
    ]
    network = average.network(model, batches)
    seen = [
        torch.nn.functional.max_pool2d(
            model.get_submodule("conv1")(torch.nn.functional.pixel_unshuffle(batch, 2)), 2
        )
        for batch in batches
    ]
    total = sum(sizes)
    mean = sum(len(x) / total * x.mean((0, 2, 3)) for x in seen)
    variance = sum(len(x) / total * x.var((0, 2, 3)) for x in seen)
    assert isinstance(mean, torch.Tensor)
    assert isinstance(variance, torch.Tensor)
    assert torch.allclose(network.get_buffer("bn1.running_mean"), mean, atol=1e-5)
    assert torch.allclose(network.get_buffer("bn1.running_var"), variance, rtol=1e-4)


def test_statistics_are_those_of_the_averaged_weights() -> None:
    model, other = small_network(0), small_network(1)
    model.get_buffer("bn1.running_mean").fill_(0.5)
    average = Average(model, 0.9)
    average.load([p.detach() for p in other.parameters()])
    batches = [torch.randn(50, 1, 28, 28) for _ in range(3)]
    network = average.network(model, batches)
    assert not network.training
    assert all(
        torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True)
    )
    first = network.get_submodule("bn1")
    assert isinstance(first, BatchNorm)
    assert first.momentum == 0.1
    folded = torch.nn.functional.pixel_unshuffle(torch.cat(batches), 2)
    seen = torch.nn.functional.max_pool2d(other.get_submodule("conv1")(folded), 2)
    assert first.running_mean is not None
    assert torch.allclose(first.running_mean, seen.mean((0, 2, 3)), atol=1e-5)
    # The trained network keeps its own.
    assert bool((model.get_buffer("bn1.running_mean") == 0.5).all())
