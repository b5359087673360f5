"""The temperature that calibrates a recipe's confidence, fitted on held-out images."""

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import get_dataset
from mnistctl.device import choose_precision
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.calibration import calibration_error, reliability
from mnistctl.events import Reporter
from mnistctl.recipes import get_recipe
from tests.bench.ours import predictor_of, train_once

CPU = torch.device("cpu")
LOWEST, HIGHEST = 0.05, 20.0


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature by which logits (n, classes) must be divided for the smallest log loss.

    Fitted on held-out images, labels int64 (n,): Guo et al., "On Calibration of Modern Neural
    Networks", arXiv:1706.04599. Searched over 0.05..20 on a logarithmic scale, where the loss has
    one minimum.
    """
    from scipy.optimize import minimize_scalar

    logits = logits.double()

    def loss(log_temperature: float) -> float:
        return float(cross_entropy(logits / 10.0**log_temperature, labels))

    bounds = math.log10(LOWEST), math.log10(HIGHEST)
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-5})
    return float(10.0**found.x)


def temperature(recipe_name: str, seeds: range, data_dir: Path, held_out: int = 10_000) -> None:
    """Print the temperature of each seed, fitted on the last training images, held out."""
    recipe, precision = get_recipe(recipe_name), choose_precision("auto", "cpu", Ranks()).value
    whole = get_dataset("mnist").load("train", data_dir, Reporter())
    part = LabelledImages(whole.images[:-held_out], whole.labels[:-held_out])
    images, labels = whole.images[-held_out:], whole.labels[-held_out:]
    for seed in seeds:
        state, _ = train_once(recipe, part, CPU, precision, seed)
        logits = predictor_of(state, recipe, CPU, precision).logits(images)
        fitted = fit_temperature(logits, labels)
        error = calibration_error(reliability(logits, labels, fitted).gaps, len(labels))
        print(f"{recipe_name} seed {seed}: temperature {fitted:.3f}, calibration error {error:.4f}")
