"""Logits of a network over many images: the one forward pass that every verb shares."""

import torch
from torch import Tensor, nn

from mnistctl.events import NullReporter, Reporter
from mnistctl.models.layers import mean_of_answers
from mnistctl.recipes import Recipe

BATCH_SIZE = {"cpu": 500}
"""Images at a time; a CPU is fastest while activations stay in its caches."""
SHIFTS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
"""Down and right, pixels; what leaves at one edge, black in MNIST's form, comes in at the other."""


def pixels_to_input(images: Tensor, recipe: Recipe) -> Tensor:
    """uint8 (n, 28, 28) -> float32 (n, 1, 28, 28), scaled as the recipe's network expects."""
    return scale_pixels(images.unsqueeze(1).float(), recipe)


def scale_pixels(pixels: Tensor, recipe: Recipe) -> Tensor:
    """Float pixels 0..255 of any shape, scaled in place as the recipe's network expects."""
    return pixels.sub_(255.0 * recipe.pixel_mean).mul_(1.0 / (255.0 * recipe.pixel_std))


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """bfloat16 in matrix products and convolutions when `precision` is bf16."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@torch.inference_mode()
def compute_logits(
    model: nn.Module,
    images: Tensor,
    recipe: Recipe,
    device: torch.device,
    precision: str,
    reporter: Reporter | None = None,
) -> Tensor:
    """Logits, float32 (n, 10) on the CPU, of uint8 images (n, 28, 28); the mode is set to eval.

    Where the recipe averages over shifts they are the logarithm of the mean probabilities.
    """
    reporter = reporter or NullReporter()
    model.eval()
    size = BATCH_SIZE.get(device.type, 10_000)
    reporter.begin("evaluating", len(images), "images")
    parts = []
    try:
        with autocast(device, precision):
            for first in range(0, len(images), size):
                batch = images[first : first + size].to(device)
                parts.append(_answers(model, pixels_to_input(batch, recipe), recipe))
                reporter.advance(first + len(batch))
    finally:
        reporter.end()
    return torch.cat(parts).cpu() if parts else torch.empty(0, 10)


def _answers(model: nn.Module, inputs: Tensor, recipe: Recipe) -> Tensor:
    if not recipe.tta_shifts:
        logits: Tensor = model(inputs).float()
        return logits
    shifted = [model(inputs.roll(shift, (2, 3))).float().log_softmax(1) for shift in SHIFTS]
    return mean_of_answers(shifted)
