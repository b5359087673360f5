"""Accuracy over seeds: whole runs of a recipe, one JSON line each, nothing chosen."""

import json
import statistics
from pathlib import Path

from mnistctl.data.dataset import Split, load_split
from mnistctl.device import choose_device, choose_precision, torch_device
from mnistctl.engine.calibration import calibration_error, confidence_gaps, fit_temperature
from mnistctl.engine.inference import compute_logits
from mnistctl.events import NullReporter
from mnistctl.recipes import get_recipe
from tests.bench.figures import RESULTS, machine
from tests.bench.ours import correct_of, train_once


def study(recipe_name: str, seeds: range, data_dir: Path, device_name: str) -> None:
    """Train `recipe_name` on all 60,000 images with each seed and test the last epoch once.

    Appends a line a run to results/accuracy.jsonl and prints mean and standard deviation.
    """
    recipe = get_recipe(recipe_name)
    chosen = choose_device(device_name).value
    device, precision = torch_device(chosen), choose_precision("auto", chosen).value
    train, test = (
        load_split("mnist", name, data_dir, NullReporter()) for name in ("train", "test")
    )
    kind, accuracies = machine(), []
    for seed in seeds:
        state, seconds = train_once(recipe, train, device, precision, seed)
        correct = correct_of(state, recipe, test, precision)
        accuracies.append(correct / 100)
        line = {
            "recipe": recipe_name,
            "seed": seed,
            "correct": correct,
            "train_loss": state.history[-1]["train_loss"],
            "epochs": recipe.epochs,
            "device": chosen,
            "precision": precision,
            "train_seconds": round(seconds, 3),
            "machine": kind,
        }
        with (RESULTS / "accuracy.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{recipe_name} seed {seed}: {correct} of 10,000 in {seconds:.1f} s", flush=True)
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
    print(
        f"{recipe_name}: n={len(accuracies)} mean {statistics.mean(accuracies):.3f} SD {spread:.3f}"
        f" min {min(accuracies):.2f} max {max(accuracies):.2f}"
    )


def temperature(recipe_name: str, seeds: range, data_dir: Path) -> None:
    """Print the temperature of each seed, fitted on the last 10,000 training images, held out."""
    recipe = get_recipe(recipe_name)
    device, precision = torch_device("cpu"), choose_precision("auto", "cpu").value
    whole = load_split("mnist", "train", data_dir, NullReporter())
    part = Split(whole.images[:50_000], whole.labels[:50_000])
    images, labels = whole.images[50_000:], whole.labels[50_000:]
    for seed in seeds:
        state, _ = train_once(recipe, part, device, precision, seed)
        logits = compute_logits(state.model, images, recipe, device, precision)
        fitted = fit_temperature(logits, labels)
        error = calibration_error(confidence_gaps(logits, labels, fitted), len(labels))
        print(f"{recipe_name} seed {seed}: temperature {fitted:.3f}, calibration error {error:.4f}")
