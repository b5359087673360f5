"""What the machine can do: its matrix product rate, and how much there is to compute."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from mnistctl.device import synchronize
from mnistctl.models.registry import build
from mnistctl.recipes import Recipe
from tests.bench.figures import CPU, clock


def matmul_rate(
    dtype: torch.dtype, seconds: float = 1.0, device: torch.device = CPU, side: int = 2048
) -> float:
    """Floating-point operations a second of a cubic product, best of the calls made."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best, end = float("inf"), clock(device) + seconds
    while clock(device) < end:
        synchronize(device)
        start = clock(device)
        torch.mm(a, b)
        synchronize(device)
        best = min(best, clock(device) - start)
    return 2 * side**3 / best


def flops(recipe: Recipe, training: bool) -> float:
    """Operations for one image: forward, in training also backward and those of its outliers.

    A multiply-add counts as two; convolutions and linear layers count, nothing else does.
    """
    model, counter = build(recipe.network, 10), FlopCounterMode(display=False)
    with counter, torch.set_grad_enabled(training):
        logits = model(torch.zeros(4, 1, 28, 28))
        if training:
            logits.sum().backward()
    views = recipe.outliers_per_batch / recipe.batch_size if training else 4 * recipe.tta_shifts
    return counter.get_total_flops() / 4 * (1 + views)
