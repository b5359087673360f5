"""All that a training run carries from step to step, and its form in a checkpoint."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mnistctl.data.batches import Stream, derive_seed
from mnistctl.engine.distributed import total_over_ranks
from mnistctl.engine.loading import prepare_layout
from mnistctl.engine.optim import build_optimizer
from mnistctl.errors import CheckpointError
from mnistctl.models.registry import build
from mnistctl.recipes import Recipe


@dataclass
class TrainingState:
    """Where a run stands. `step` counts the steps done in the epoch after `epochs_done`."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss_sum: Tensor
    """Sum of the losses of this epoch's images so far on this process, float32 scalar."""
    epochs_done: int = 0
    step: int = 0
    seconds: float = 0.0
    """Time spent in training steps, over all sessions of the run."""
    images: int = 0
    """Images trained on, over all sessions of the run."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One record an epoch, as in metrics.jsonl."""

    def best_epoch(self) -> dict[str, Any] | None:
        """The record of highest validation accuracy (the earliest of equals); None without."""
        scored = [r for r in self.history if r.get("validation_accuracy") is not None]
        return max(scored, key=lambda r: r["validation_accuracy"], default=None)


def new_state(recipe: Recipe, seed: int, device: torch.device) -> TrainingState:
    """A run before its first step; the initial weights depend on `recipe` and `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, Stream.WEIGHTS))
        model = build(recipe.network)
    model = prepare_layout(model.to(device))
    optimizer = build_optimizer(recipe, model.parameters())
    return TrainingState(model, optimizer, torch.zeros((), device=device))


def state_to_payload(state: TrainingState) -> dict[str, Any]:
    """Checkpoint form of `state`, tensors on the CPU. Every process must call it together."""
    loss_sum = total_over_ranks(state.loss_sum)
    return {
        "epochs_done": state.epochs_done,
        "step": state.step,
        "model": _to_cpu(state.model.state_dict()),
        "optimizer": _to_cpu(state.optimizer.state_dict()),
        "loss_sum": loss_sum.cpu(),
        "seconds": state.seconds,
        "images": state.images,
        "history": state.history,
    }


def restore(state: TrainingState, payload: dict[str, Any], keep_loss_sum: bool) -> None:
    """Bring a new `state` to where `payload` stands.

    `keep_loss_sum` is true on one process only, which goes on with the sum of all.
    Raises CheckpointError when the payload doesn't fit the network or optimiser.
    """
    try:
        state.model.load_state_dict(payload["model"])
        state.optimizer.load_state_dict(payload["optimizer"])
        if keep_loss_sum:
            state.loss_sum.copy_(payload["loss_sum"])
        state.epochs_done, state.step = int(payload["epochs_done"]), int(payload["step"])
        state.seconds, state.images = float(payload["seconds"]), int(payload["images"])
        state.history = list(payload["history"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"the checkpoint's training state doesn't fit this version's network: {error}",
            "start the run anew",
        ) from error


def _to_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {key: _to_cpu(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_cpu(item) for item in value]
    return value
