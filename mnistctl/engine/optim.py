"""From a recipe's numbers to an optimiser, and the learning rate as a function of the step."""

from collections.abc import Iterable

import torch
from torch import nn

from mnistctl.recipes import Recipe

WARMUP_START = 0.1


def build_optimizer(recipe: Recipe, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The recipe's optimiser over `parameters`, in torch's fused form where the device has it."""
    params = list(parameters)
    fused = params[0].device.type in ("cpu", "cuda")
    groups = [
        {"params": [p for p in params if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in params if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups, lr=recipe.learning_rate, momentum=recipe.momentum, fused=fused
        )
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, fused=fused)


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


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every parameter group the learning rate `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate
