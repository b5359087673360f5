"""Answers over shifts are the mean of the answers to each shifted image."""

from dataclasses import replace

import torch

from mnistctl.engine.inference.predictor import compute_logits
from mnistctl.models.registry import build
from mnistctl.recipes import RECIPES

CPU = torch.device("cpu")


def test_test_shifts_average_five_probabilities() -> None:
    torch.manual_seed(0)
    model, shifting = build("compact-6", 10), RECIPES["accurate"]
    still = replace(shifting, tta_shifts=False)
    with torch.no_grad():  # a new network's answers are all alike
        model.get_parameter("fc1.weight").mul_(30)
    images = torch.randint(256, (7, 28, 28), dtype=torch.uint8)

    def probabilities(seen: torch.Tensor) -> torch.Tensor:
        return compute_logits(model, seen, still, CPU, "fp32").softmax(1)

    moved = [images, images.roll(1, 1), images.roll(-1, 1), images.roll(1, 2), images.roll(-1, 2)]
    mean = torch.stack([probabilities(seen) for seen in moved]).mean(0)
    answer = compute_logits(model, images, shifting, CPU, "fp32")
    assert torch.allclose(answer.exp(), mean, atol=1e-6)
    assert not torch.allclose(mean, probabilities(images), atol=1e-3)
