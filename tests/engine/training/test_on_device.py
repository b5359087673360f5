"""A training step off the CPU: nothing in it waits for the host or copies from it.

No GPU is needed. Tensors on torch's `meta` device have shapes and no values, so that reading one
fails; a copy to or from it is seen as an operation on two devices.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_data import load_small_split
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mnistctl.data.images import LabelledImages
from mnistctl.distributed import Ranks
from mnistctl.engine.training import batches, loop
from mnistctl.engine.training.batches import Feed, copied
from mnistctl.engine.training.config import TrainRequest, new_config
from mnistctl.engine.training.loop import FitData, Hooks
from mnistctl.engine.training.signals import StopRequest
from mnistctl.engine.training.state import new_state
from mnistctl.events import Reporter
from mnistctl.recipes import RECIPES

META = torch.device("meta")


class Crossings(TorchDispatchMode):
    """Remembers the operations on tensors of two devices; single numbers may come along."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        # torch has no form of this one for `meta`; it changes its arguments and returns nothing.
        known = function is not torch.ops.aten._fused_sgd_.default
        result = function(*args, **(kwargs or {})) if known else None
        leaves = tree_leaves((args, kwargs, result))
        devices = {leaf.device.type for leaf in leaves if isinstance(leaf, Tensor) and leaf.dim()}
        if len(devices) > 1:
            self.seen.append(str(function))
        return result


@pytest.fixture
def without_a_card(monkeypatch: pytest.MonkeyPatch, few_outliers: None) -> None:
    """`meta` has neither autocast nor generators."""
    monkeypatch.setattr(loop, "autocast", lambda *own: contextlib.nullcontext())
    monkeypatch.setattr(loop, "default_generator", lambda device: torch.Generator())
    monkeypatch.setattr(batches, "noise_on", lambda device: torch.Generator())


def loop_of(name: str, device: torch.device, **changes: Any) -> Any:
    """The loop of a recipe on the small stand-in, in front of its first step."""
    request = TrainRequest(recipe=name, device="cpu", precision="fp32")
    config = new_config(request, Ranks(), Reporter())
    config = replace(config, recipe=replace(config.recipe, **changes))
    split = load_small_split("train", Path(), Reporter())
    data = LabelledImages(split.images.to(device), split.labels.to(device))
    hooks = Hooks(Reporter(), lambda record: None, lambda: None, StopRequest())
    state = new_state(config, device)
    made = loop._Loop(state, config, FitData(data, None, None), Ranks(), hooks)
    assert made.draw_outliers()
    return made


@contextlib.contextmanager
def watched() -> Iterator[list[str]]:
    with Crossings() as crossings:
        yield crossings.seen


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "robust"])
def test_a_step_stays_on_its_device(name: str, without_a_card: None) -> None:
    own = loop_of(name, META)
    indexes = own.feed.order(1)
    own.feed.batch(indexes[0], 1, 0, Ranks())  # draws the epoch
    with watched() as crossings:
        for step in (0, 1):
            own.state.step = step
            own.train_step(indexes[step])
    assert crossings == []


def test_corruptions_stay_where_their_generator_is(
    without_a_card: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`meta` has no generator, so what it would draw is given."""
    from mnistctl.data import corrupt

    draw = corrupt.draw_corruptions

    def drawn(count: int, generator: torch.Generator) -> corrupt.Corruptions:
        values = vars(draw(count, generator))
        return corrupt.Corruptions(
            **{k: torch.empty_like(v, device=META) for k, v in values.items()}
        )

    outliers = torch.empty(60, 28, 28, dtype=torch.uint8, device=META)
    monkeypatch.setattr(Feed, "draw_outliers", lambda self, _: setattr(self, "outliers", outliers))
    own = loop_of("robust", META)
    indexes = own.feed.order(1)
    own.feed.batch(indexes[0], 1, 0, Ranks())
    monkeypatch.setattr(corrupt, "draw_corruptions", drawn)
    with watched() as crossings:
        own.train_step(indexes[0])
    # What the stand-in for the generator itself makes of CPU tensors.
    assert set(crossings) <= {"aten.empty_like.default"}


def test_a_copy_from_the_host_is_seen() -> None:
    """The test above can fail."""
    with watched() as crossings:
        torch.arange(3).to(META)
    assert crossings == ["aten._to_copy.default"]
    with pytest.raises(RuntimeError):
        torch.zeros((), device=META).item()


@pytest.mark.usefixtures("few_outliers")
def test_what_is_drawn_ahead_is_what_is_drawn_step_by_step() -> None:
    """With the short last batch; corruptions come from another generator."""
    feed = loop_of("robust", torch.device("cpu"), batch_size=300).feed
    ahead = feed._draw_ahead(2)
    assert len(ahead) == 7
    for step, drawn in enumerate(ahead):
        own = feed._draw(2, step, 200 if step == 6 else 300)
        assert torch.equal(drawn.outliers, own.outliers)
        for here, there in ((own.digits, drawn.digits), (own.others, drawn.others)):
            assert torch.equal(there.maps, here.maps)
            assert torch.equal(there.bends, here.bends)
            assert there.damaged.tolist() == here.damaged_numbers == there.damaged_numbers
    plain = loop_of("fast", torch.device("cpu")).feed._draw_ahead(1)
    assert [(own.digits, own.outliers, own.others) for own in plain] == [(None, None, None)] * 8


@pytest.mark.usefixtures("few_outliers")
def test_a_step_drawn_ahead_has_the_same_noise_whenever_it_is_asked_for() -> None:
    feed = loop_of("robust", torch.device("cpu"), batch_size=300).feed
    step_by_step = [feed._draw(2, step, 300).digits.noise.initial_seed() for step in range(6)]
    feed.ahead = 2, feed._draw_ahead(2)
    feed.device = META
    for step in (0, 3, 0, 5):
        noise = feed._drawn(2, step, 300).digits.noise
        assert noise.initial_seed() == step_by_step[step]
        first = torch.rand(4, generator=noise)
        assert torch.equal(first, torch.rand(4, generator=noise.manual_seed(step_by_step[step])))
        drawn_again = torch.rand(4, generator=feed._drawn(2, step, 300).digits.noise)
        assert torch.equal(first, drawn_again)


def test_parts_are_copied_as_they_are() -> None:
    parts = [torch.arange(3), torch.empty(0, dtype=torch.int64), torch.arange(5)]
    there = copied(parts, torch.device("cpu"))
    assert [part.tolist() for part in there] == [[0, 1, 2], [], [0, 1, 2, 3, 4]]
    assert copied([None, None], META) == [None, None]
