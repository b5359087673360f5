"""All that a training run carries from step to step, and its form in a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mnistctl.data.sampling import Stream, derive_seed
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.engine.training.ema import Average
from mnistctl.engine.training.optim import Optimizer
from mnistctl.errors import CheckpointError
from mnistctl.models.layers import prepare_layout
from mnistctl.models.registry import build
from mnistctl.store.config import RunConfig
from mnistctl.text import first_line


@dataclass
class TrainingState:
    """Where a run stands. `step` counts the steps done in the epoch after `epochs_done`."""

    model: nn.Module
    optimizer: Optimizer
    loss_sum: Tensor
    """Sum of the losses of this epoch's images so far on this process, float32 scalar."""
    average: Average | None = None
    """Of the weights, where the recipe wants one."""
    averaged: nn.Module | None = None
    """The network of the average, as it is after the epoch just ended; None within an epoch."""
    epochs_done: int = 0
    step: int = 0
    seconds: float = 0.0
    """Time spent in training steps, over all sessions of the run."""
    images: int = 0
    """Images trained on, over all sessions of the run."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One record an epoch, as in metrics.jsonl."""

    @property
    def result(self) -> nn.Module:
        """The network that is evaluated and kept: the averaged one where there is one."""
        return self.model if self.averaged is None else self.averaged

    def best_epoch(self) -> dict[str, Any] | None:
        """The record of highest validation accuracy (the earliest of equals); None without."""
        scored = [r for r in self.history if r.get("validation_accuracy") is not None]
        return max(scored, key=lambda r: r["validation_accuracy"], default=None)

    def just_ended_best_epoch(self) -> bool:
        """True at the end of the epoch that is the best so far: best.pt belongs to this state."""
        return self.step == 0 and bool(self.history) and self.best_epoch() is self.history[-1]


def new_state(config: RunConfig, device: torch.device) -> TrainingState:
    """A run before its first step; the initial weights depend on recipe, classes and seed alone."""
    recipe = config.recipe
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.seed, Stream.WEIGHTS))
        model = build(recipe.network, len(config.classes))
    model = prepare_layout(model.to(device))
    optimizer = Optimizer(recipe, model.parameters())
    average = Average(model, recipe.ema_decay) if recipe.ema_decay else None
    return TrainingState(model, optimizer, torch.zeros((), device=device), average)


def result_predictor(state: TrainingState, config: RunConfig, device: torch.device) -> Predictor:
    """The network that is evaluated and kept, ready to be asked."""
    return Predictor(
        state.result, config.recipe, config.classes, device, config.precision, "this run's network"
    )


def is_finite(state: TrainingState) -> bool:
    """Whether every number that a checkpoint holds of `state` is, on this process."""
    networks = [own for own in (state.model, state.averaged) if own is not None]
    kept = [value for network in networks for value in network.state_dict().values()]
    kept += [value for values in state.optimizer.state_dict().values() for value in values]
    kept += [*(state.average.values if state.average else ()), state.loss_sum]
    # Asked about all at once: a GPU is waited for at each answer.
    return bool(torch.stack([value.isfinite().all() for value in kept]).all())


def state_to_payload(state: TrainingState, loss_sums: Tensor) -> dict[str, Any]:
    """Checkpoint form of `state`, tensors on the CPU.

    `loss_sums`, float32 (processes,), are every process's `loss_sum`. Nothing of a random
    generator needs keeping: what is drawn, and the learning rate, depend on (seed, epoch, step)
    alone.
    """
    return {
        "epochs_done": state.epochs_done,
        "step": state.step,
        "model": to_cpu(state.model.state_dict()),
        "optimizer": to_cpu(state.optimizer.state_dict()),
        "average": to_cpu(state.average.values) if state.average else [],
        "loss_sums": loss_sums.cpu(),
        "seconds": state.seconds,
        "images": state.images,
        "history": state.history,
    }


def restore(state: TrainingState, payload: Mapping[str, Any], ranks: Ranks) -> None:
    """Bring a new `state` to where `payload` stands.

    Each process resumes with its own sum of losses; with another number of processes than
    before, rank 0 resumes with the sum of all.
    Raises CheckpointError when the payload doesn't fit the network or optimiser.
    """
    try:
        state.model.load_state_dict(payload["model"])
        state.optimizer.load_state_dict(payload["optimizer"])
        if state.average:
            state.average.load(payload["average"])
        loss_sums = payload["loss_sums"]
        if len(loss_sums) == ranks.world_size:
            state.loss_sum.copy_(loss_sums[ranks.rank])
        elif ranks.is_first:
            state.loss_sum.copy_(loss_sums.sum())
        state.epochs_done, state.step = int(payload["epochs_done"]), int(payload["step"])
        state.seconds, state.images = float(payload["seconds"]), int(payload["images"])
        state.history = _checked_history(payload["history"], state.epochs_done)
        if min(state.epochs_done, state.step, state.images) < 0 or state.seconds <= 0:
            raise ValueError("negative counts")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            "the checkpoint's training state doesn't fit this version of mnistctl:"
            f" {first_line(error)}",
            "start the run anew under another --name",
        ) from error


def _checked_history(history: Any, epochs_done: int) -> list[dict[str, Any]]:
    if not isinstance(history, list) or len(history) != epochs_done:
        raise ValueError("its history has another number of epochs")
    for record in history:
        numbers = all(isinstance(value, int | float) for value in record.values())
        if not numbers or not {"epoch", "seconds"} <= record.keys():
            raise TypeError("its history holds something else than numbers")
    return history


def to_cpu(value: Any) -> Any:
    """`value` with every tensor in it on the CPU; lists, tuples and dicts of the same form."""
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {key: to_cpu(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_cpu(item) for item in value)
    return value
