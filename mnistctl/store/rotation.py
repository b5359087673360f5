"""A run's checkpoints: last.pt, the one before it as previous.pt, and the best by validation."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnistctl.errors import CheckpointError
from mnistctl.files import sync_file, temporary_beside
from mnistctl.store import checkpoint
from mnistctl.store.config import RunConfig
from mnistctl.store.runs import BEST_NAME, LAST_NAME, MEMBERS_NAME, PREVIOUS_NAME, RunInfo


@dataclass(frozen=True)
class Newest:
    """The newest valid checkpoint of a run, and what was wrong with newer ones."""

    payload: dict[str, Any] | None
    """None when the run stopped before it saved anything."""
    path: Path
    problems: list[str]


def save_last(directory: Path, payload: dict[str, Any], keep_previous: bool = True) -> None:
    """Save `payload` as last.pt and keep the one before as previous.pt.

    `keep_previous` is false while last.pt is known to be damaged: previous.pt is then worth more.
    At every moment last.pt is whole, the old one or the new one.
    Raises CheckpointError when the disk won't take it; the last good one then stands.
    """
    last = directory / LAST_NAME
    keep = keep_previous and last.exists()
    checkpoint.save(last, payload, (lambda: _keep_as_previous(last)) if keep else None)


def _keep_as_previous(last: Path) -> None:
    spare = temporary_beside(last)
    try:
        os.link(last, spare)
    except OSError:  # a file system without hard links
        shutil.copyfile(last, spare)
        with open(spare, "rb+") as file:
            sync_file(file.fileno())
    os.replace(spare, last.with_name(PREVIOUS_NAME))
    # Two links to one file: POSIX renames nothing and leaves both. A kill after this line and
    # before the new last.pt makes the next save come here so.
    spare.unlink(missing_ok=True)


def load_newest(directory: Path, config: RunConfig | None = None) -> Newest:
    """The newest valid training checkpoint of a run; a damaged last.pt falls back to previous.pt.

    With `config`, a checkpoint of a run of another configuration counts as damaged.
    Raises CheckpointError when there are checkpoints, and none is valid.
    """
    problems: list[str] = []
    for path in (directory / LAST_NAME, directory / PREVIOUS_NAME):
        if not path.exists():
            continue
        try:
            payload = checkpoint.load(path)
            _check_training(path, payload, config)
            return Newest(payload, path, problems)
        except CheckpointError as error:
            problems.append(error.message)
    if problems:
        raise CheckpointError(
            f"run '{directory.name}' is damaged: {'; '.join(problems)}",
            "start it anew under another --name",
        )
    return Newest(None, directory / LAST_NAME, problems)


def epochs_saved(run: RunInfo) -> int:
    """Whole epochs that the run's newest valid checkpoint holds; of an ensemble all, or none yet.

    Raises CheckpointError when there are checkpoints, and none is valid.
    """
    if not is_ensemble(run.directory):
        payload = load_newest(run.directory, run.config).payload
        return int(payload["training"]["epochs_done"]) if payload else 0
    if not (run.directory / LAST_NAME).exists():
        return 0
    return int(checkpoint.load(run.directory / LAST_NAME)["recipe"]["epochs"])


def is_ensemble(directory: Path) -> bool:
    """Whether a run is an ensemble: its members' runs in a directory, their weights in last.pt."""
    return (directory / MEMBERS_NAME).is_dir()


def load_best(directory: Path, config: RunConfig | None) -> dict[str, Any]:
    """The payload of a run's best.pt, `metrics` being the record of its epoch.

    With `config`, a checkpoint of a run of another configuration counts as damaged.
    Raises CheckpointError when it is missing or damaged.
    """
    payload = checkpoint.load(directory / BEST_NAME)
    if not isinstance(payload["metrics"].get("validation_accuracy"), float):
        raise CheckpointError(f"{directory / BEST_NAME} holds no validation accuracy")
    _check_same_run(directory / BEST_NAME, payload, config)
    return payload


def saved_config(directory: Path) -> RunConfig | None:
    """The configuration in a run's newest valid checkpoint: for a run whose config.json is lost."""
    try:
        if is_ensemble(directory):
            return RunConfig.from_dict(checkpoint.load(directory / LAST_NAME)["config"])
        payload = load_newest(directory).payload
        return RunConfig.from_dict(payload["config"]) if payload else None
    except (CheckpointError, KeyError, TypeError, ValueError):
        return None


def _check_training(path: Path, payload: dict[str, Any], config: RunConfig | None) -> None:
    training = payload.get("training", {})
    if not all(type(training.get(key)) is int for key in ("epochs_done", "step")):
        raise CheckpointError(f"{path} has no training state")
    _check_same_run(path, payload, config)


def _check_same_run(path: Path, payload: dict[str, Any], config: RunConfig | None) -> None:
    if config is None:
        return
    try:
        own = RunConfig.from_dict(payload["config"]).identity()
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} lacks its configuration: {error}") from error
    wanted = config.identity()
    other = [key for key in wanted if own[key] != wanted[key]]
    if other:
        raise CheckpointError(f"{path} is of another run: its {' and '.join(other)} differs")
