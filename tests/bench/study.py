"""Accuracy over seeds: whole runs of a recipe, one JSON line each, nothing chosen."""

import json
from pathlib import Path
from typing import Any

from mnistctl.data.registry import Split, load_split
from mnistctl.device import choose_precision, torch_device
from mnistctl.engine.inference.calibration import (
    calibration_error,
    confidence_gaps,
    fit_temperature,
)
from mnistctl.engine.inference.predictor import compute_logits
from mnistctl.engine.inference.summary import summarise
from mnistctl.engine.training.config import TrainRequest
from mnistctl.engine.training.ensemble import train_run
from mnistctl.errors import UsageError
from mnistctl.events import NullReporter
from mnistctl.recipes import get_recipe
from mnistctl.store.runs import MEMBERS_NAME, RESULT_NAME, describe
from tests.bench.figures import append, machine, recipe_hash
from tests.bench.ours import train_once, trains_as_today


def study(
    recipe_name: str, seeds: range, ensemble: int, data_dir: Path, device_name: str, store: Path
) -> None:
    """Train `recipe_name` on all 60,000 images with each seed and test the last epoch once.

    The runs stay in `store`; those already there are not trained again, a stopped one goes on.
    With `ensemble` N each run is an ensemble of N, and its members are recorded, too. Appends a
    line a run to results/accuracy.jsonl and prints mean and standard deviation.
    """
    accuracies = []
    for seed in seeds:
        name = f"{recipe_name}-seed-{seed}" + (f"-of-{ensemble}" if ensemble > 1 else "")
        begun, known = (store / name).exists(), (store / name / RESULT_NAME).exists()
        if begun:
            check_recipe(store / name)
        request = TrainRequest(
            store=store,
            data_dir=data_dir,
            recipe=recipe_name,
            device=device_name,
            seed=None if begun else seed,
            ensemble=None if begun else ensemble,
            name=name,
            resume=name if begun else None,
        )
        document = train_run(request, NullReporter()).document
        if not known:
            for member in sorted((store / name / MEMBERS_NAME).glob(f"*/{RESULT_NAME}")):
                record(json.loads(member.read_text()), 1)
            record(document, ensemble)
        correct = document["test"]["correct"]
        accuracies.append(correct / 100)
        seconds = document["train_seconds"]
        print(f"{name}: {correct} of 10,000 in {seconds:.1f} s", flush=True)
    if len(accuracies) > 1:
        found = summarise(accuracies)
        print(
            f"{recipe_name}: n={found.n} mean {found.mean:.3f} SD {found.sd:.3f}"
            f" min {found.min:.2f} max {found.max:.2f},"
            f" 95 % interval of the mean {found.ci95[0]:.3f} to {found.ci95[1]:.3f}"
        )


def check_recipe(directory: Path) -> None:
    """Raise UsageError for a run of a recipe that has changed since: it would count as today's."""
    config = describe(directory).config
    if config is None:
        raise UsageError(f"{directory} has no config.json: remove it, or take another --store")
    if not trains_as_today(config.recipe):
        raise UsageError(
            f"{directory} was trained by another form of {config.recipe.name}",
            "take another --store",
        )


def record(document: dict[str, Any], ensemble: int) -> None:
    """Append the result of a run, or of an ensemble of so many, to results/accuracy.jsonl."""
    command = (
        f"python -m tests.bench study --recipe {document['recipe']} --first {document['seed']}"
    )
    line = {
        "recipe": document["recipe"],
        "recipe_sha256": recipe_hash(document["settings"]),
        "seed": document["seed"],
        "ensemble": ensemble,
        "command": f"{command} --ensemble {ensemble} --runs 1",
        "parameters": document["parameters"],
        "correct": document["test"]["correct"],
        "epochs": document["epochs"],
        "device": document["device"],
        "precision": document["precision"],
        "train_seconds": round(document["train_seconds"], 3),
        "machine": machine(),
    }
    append("accuracy", line)


def temperature(recipe_name: str, seeds: range, data_dir: Path) -> None:
    """Print the temperature of each seed, fitted on the last 10,000 training images, held out."""
    recipe = get_recipe(recipe_name)
    device, precision = torch_device("cpu"), choose_precision("auto", "cpu").value
    whole = load_split("mnist", "train", data_dir, NullReporter())
    part = Split(whole.images[:50_000], whole.labels[:50_000])
    images, labels = whole.images[50_000:], whole.labels[50_000:]
    for seed in seeds:
        state, _ = train_once(recipe, part, device, precision, seed)
        logits = compute_logits(state.result, images, recipe, device, precision)
        fitted = fit_temperature(logits, labels)
        error = calibration_error(confidence_gaps(logits, labels, fitted), len(labels))
        print(f"{recipe_name} seed {seed}: temperature {fitted:.3f}, calibration error {error:.4f}")
