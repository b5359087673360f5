"""What the machine can do: its matrix product rate, and how much of it training uses."""

import time

import torch
from torch import nn

from mnistctl.device import synchronize
from mnistctl.models.registry import build
from mnistctl.recipes import Recipe

CPU = torch.device("cpu")


def matmul_rate(
    dtype: torch.dtype, seconds: float = 1.0, device: torch.device = CPU, side: int = 2048
) -> float:
    """Floating-point operations a second of a cubic product, best of the calls made."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        synchronize(device)
        start = time.perf_counter()
        torch.mm(a, b)
        synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best


def training_flops(recipe: Recipe) -> int:
    """Operations of one image's forward and backward pass in convolutions and linear layers.

    A multiply-add counts as two; the backward pass costs twice the forward one, except that the
    first layer needs no gradient of its input.
    """
    forward: list[int] = []

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        positions = output[0, 0].numel() if output.dim() == 4 else 1
        forward.append(2 * weight.numel() * positions)

    with torch.device("meta"):
        model = build(recipe.network, 10).eval()
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.register_forward_hook(count)
        model(torch.empty(1, 1, 28, 28))
    return 3 * sum(forward) - forward[0]
