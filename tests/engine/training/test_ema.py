"""The average of weights is the average, and its batch statistics belong to it."""

import torch

from mnistctl.engine.training.ema import Average
from mnistctl.models.compact import Compact
from mnistctl.models.layers import BatchNorm


def small_network(seed: int) -> Compact:
    torch.manual_seed(seed)
    return Compact((4, 6), pooled=(1, 2))


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
    assert torch.allclose(average.values[0], expected, atol=1e-5)


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
