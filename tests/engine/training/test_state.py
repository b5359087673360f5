"""What a checkpoint carries from process to process."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from runs_made import CONFIG

from mnistctl.distributed import Ranks
from mnistctl.engine.training.state import new_state, restore, state_to_payload

CPU = torch.device("cpu")


def payload() -> dict[str, Any]:
    """Of three processes, in the middle of an epoch."""
    state = new_state(CONFIG, CPU)
    state.step, state.seconds = 5, 1.0
    return state_to_payload(state, torch.tensor([1.0, 2.0, 4.0]))


@pytest.mark.parametrize(
    ("ranks", "own"),
    [
        (Ranks(0, 3), 1.0),
        (Ranks(1, 3), 2.0),
        (Ranks(2, 3), 4.0),
        (Ranks(), 7.0),
        (Ranks(0, 2), 7.0),
        (Ranks(1, 2), 0.0),
    ],
)
def test_the_losses_of_an_epoch_are_summed_once_over_all_processes(
    ranks: Ranks, own: float
) -> None:
    state = new_state(CONFIG, CPU)
    restore(state, payload(), ranks)
    assert float(state.loss_sum) == own
    assert (state.epochs_done, state.step) == (0, 5)


def test_initial_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(3)
    first = new_state(CONFIG, CPU).model.state_dict()
    torch.manual_seed(4)
    again, other = (new_state(replace(CONFIG, seed=k), CPU).model.state_dict() for k in (0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["fc1.weight"], other["fc1.weight"])
