"""Runs and checkpoints made without training, for tests of the store."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mnistctl.recipes import RECIPES
from mnistctl.store import runs
from mnistctl.store.checkpoint import Checkpoint
from mnistctl.store.config import RunConfig
from mnistctl.store.result import RunResult, Score, ValidationScore
from mnistctl.store.rotation import save_last

CONFIG = RunConfig(
    recipe=RECIPES["mlp"],
    dataset="mnist",
    dataset_sha256="0" * 64,
    classes=tuple("0123456789"),
    seed=0,
    validation=0,
    device="cpu",
    precision="fp32",
    threads=1,
    world_size=1,
    log_every=20,
    checkpoint_every=0,
    test_every_epoch=False,
    started=runs.utc_now(),
    command="mnistctl train",
    versions={"torch": "2.10.0"},
)


def saved(step: int = 0, **changes: Any) -> Checkpoint:
    """What a run saves, with one weight instead of a network's."""
    weights = {"w": torch.arange(6.0).reshape(2, 3)}
    training = {"epochs_done": 0, "step": step, "model": weights}
    return replace(Checkpoint(weights, CONFIG, "x", {}, training), **changes)


def save_run(directory: Path, step: int = 0) -> Path:
    """A run's directory that was stopped at `step` of its first epoch."""
    directory.mkdir()
    runs.write_json(directory, runs.CONFIG_NAME, CONFIG.to_dict())
    save_last(directory, saved(step))
    return directory


def finish(directory: Path, validation: float | None = None) -> None:
    """Give a run its result, with the given validation accuracy."""
    result = RunResult(
        epochs=CONFIG.recipe.epochs,
        checkpoint=runs.LAST_NAME,
        parameters=6,
        train_seconds=1.0,
        images_per_second=1.0,
        test=Score(loss=0.1, accuracy=0.9, correct=9, total=10),
        validation=None if validation is None else ValidationScore(0.1, validation, 10, 1),
    )
    runs.write_json(directory, runs.RESULT_NAME, result.to_dict())
