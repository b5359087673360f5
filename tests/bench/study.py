"""Accuracy over seeds: whole runs of a recipe, one JSON line each, nothing chosen."""

import json
import statistics
from pathlib import Path

from mnistctl.data.dataset import load_split
from mnistctl.device import choose_device, choose_precision, torch_device
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
