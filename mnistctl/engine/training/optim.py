"""The optimisers of the recipes, and the learning rate as a function of the step."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from mnistctl.recipes import Recipe

WARMUP_START = 0.1
ADAM_EPSILON = 1e-8


class Optimizer:
    """SGD with momentum, or Adam with decoupled weight decay (Loshchilov and Hutter, 1711.05101).

    The arithmetic is torch's, fused over all parameters. The classes of `torch.optim` around it
    would import the compiler at the first step, which takes as long as training `fast` does.
    Weight decay acts on parameters of two and more dimensions.
    """

    def __init__(self, recipe: Recipe, parameters: Iterable[nn.Parameter]) -> None:
        params = list(parameters)
        self._recipe = recipe
        self._groups = [
            ([i for i, p in enumerate(params) if p.dim() > 1], recipe.weight_decay),
            ([i for i, p in enumerate(params) if p.dim() <= 1], 0.0),
        ]
        self._params = params
        moments = ("exp_avg", "exp_avg_sq") if recipe.optimizer == "adam" else ("momentum",)
        self._state = {name: [torch.zeros_like(p) for p in params] for name in moments}
        if recipe.optimizer == "adam":
            self._state["step"] = [torch.zeros((), device=p.device) for p in params]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update of all parameters by their gradients, which are then dropped."""
        for indexes, decay in self._groups:
            used = [i for i in indexes if self._params[i].grad is not None]
            params: list[Tensor] = [self._params[i] for i in used]
            gradients = [p.grad for p in params if p.grad is not None]
            state = {name: [values[i] for i in used] for name, values in self._state.items()}
            settings: dict[str, Any] = {
                "lr": rate,
                "weight_decay": decay,
                "maximize": False,
                "fused": True,
            }
            if self._recipe.optimizer == "adam":
                adamw(
                    params,
                    gradients,
                    state["exp_avg"],
                    state["exp_avg_sq"],
                    [],
                    state["step"],
                    beta1=self._recipe.betas[0],
                    beta2=self._recipe.betas[1],
                    eps=ADAM_EPSILON,
                    amsgrad=False,
                    **settings,
                )
            else:
                buffers: list[Tensor | None] = list(state["momentum"])
                momentum = self._recipe.momentum
                sgd(
                    params,
                    gradients,
                    buffers,
                    momentum=momentum,
                    dampening=0.0,
                    nesterov=False,
                    **settings,
                )
        for parameter in self._params:
            parameter.grad = None

    def state_dict(self) -> dict[str, list[Tensor]]:
        """Name -> one tensor a parameter, in the parameters' order; not copies."""
        return self._state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over values saved by `state_dict`. Raises ValueError when they don't fit."""
        if state.keys() != self._state.keys():
            raise ValueError("the optimiser's state is of another kind")
        for name, own in self._state.items():
            for mine, saved in zip(own, state[name], strict=True):
                if saved.shape != mine.shape:
                    raise ValueError(f"the optimiser's {name} has another shape")
                mine.copy_(saved)


def learning_rate(recipe: Recipe, step: int, total_steps: int) -> float:
    """The rate of the 0-based `step` of `total_steps`.

    constant: the recipe's. one-cycle: linear from a tenth of the peak up to it over the warm-up
    share, then linear towards 0 (Smith and Topin, arXiv:1708.07120, without its final phase).
    """
    if recipe.schedule == "constant":
        return recipe.learning_rate
    done = step / total_steps
    if done < recipe.warmup:
        return recipe.learning_rate * (WARMUP_START + (1.0 - WARMUP_START) * done / recipe.warmup)
    return recipe.learning_rate * (1.0 - done) / (1.0 - recipe.warmup)
