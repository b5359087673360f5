"""Runs and checkpoints made without training, for tests of the store."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mnistctl.data.images import DIGITS
from mnistctl.recipes import RECIPES
from mnistctl.store import runs
from mnistctl.store.archive import seal
from mnistctl.store.checkpoint import FORMAT, VERSION, Checkpoint, load, save
from mnistctl.store.config import RunConfig
from mnistctl.store.result import RunResult, Score, ValidationScore
from mnistctl.store.rotation import save_last

CONFIG = RunConfig(
    recipe=RECIPES["mlp"],
    dataset="mnist",
    dataset_sha256="0" * 64,
    classes=DIGITS,
    seed=0,
    validation=0,
    device="cpu",
    precision="fp32",
    threads=1,
    world_size=1,
    log_every=20,
    checkpoint_every=0,
    test_every_epoch=False,
    started="2026-01-01T00:00:00+00:00",
    command="mnistctl train",
    versions={"torch": "2.10.0"},
)
RESULT = RunResult(
    epochs=CONFIG.recipe.epochs,
    checkpoint=runs.LAST_NAME,
    parameters=109_386,
    train_seconds=1.0,
    images_per_second=1.0,
    test=Score(loss=0.1, accuracy=0.9, correct=9, total=10),
)


def saved(step: int = 0, **changes: Any) -> Checkpoint:
    """What a run saves, with one weight instead of a network's."""
    weights = {"w": torch.arange(6.0).reshape(2, 3)}
    training = {"epochs_done": 0, "step": step, "model": weights}
    return replace(Checkpoint(weights, CONFIG, "x", {}, training), **changes)


def document_at(step: int = 0) -> dict[str, Any]:
    """What the file of `saved(step)` holds."""
    made = saved(step)
    return {
        "format": FORMAT,
        "version": VERSION,
        "run": made.run,
        "config": CONFIG.to_dict(),
        "metrics": {},
        "weights": made.weights,
        "training": made.training,
    }


def sealed(document: Any) -> bytes:
    """The bytes of a checkpoint file that holds `document`, whatever it is."""
    buffer = io.BytesIO()
    torch.save(document, buffer)
    return seal(buffer.getvalue())


def save_run(directory: Path, step: int = 0) -> Path:
    """A run's directory that was stopped at `step` of its first epoch."""
    directory.mkdir()
    runs.write_json(directory, runs.CONFIG_NAME, CONFIG.to_dict())
    save_last(directory, saved(step))
    return directory


def finish(directory: Path, validation: float | None = None, test: float = 0.9) -> None:
    """Give a run its result, with the given accuracies."""
    held = load(directory / runs.LAST_NAME)
    training = (held.training or {"model": held.weights}) | {
        "epochs_done": RESULT.epochs,
        "step": 0,
    }
    save(directory / runs.LAST_NAME, replace(held, training=training))
    document = RESULT.to_dict()
    document["test"]["accuracy"] = test
    if validation is not None:
        scored = ValidationScore(loss=0.1, accuracy=validation, total=10, epoch=1)
        document |= {"validation": vars(scored), "checkpoint": runs.BEST_NAME}
        metrics = {"validation_accuracy": validation, "validation_loss": 0.1, "epoch": 1}
        save(directory / runs.BEST_NAME, replace(held, training=None, metrics=metrics))
    runs.write_json(directory, runs.RESULT_NAME, document)
