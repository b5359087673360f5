"""A run's checkpoints: last.pt, the one before it as previous.pt, and the best by validation."""

import dataclasses
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mnistctl.errors import CheckpointError
from mnistctl.files import replace, sync_file, temporary_beside
from mnistctl.store.checkpoint import Checkpoint, inspect, load, save
from mnistctl.store.config import RunConfig
from mnistctl.store.runs import BEST_NAME, LAST_NAME, MEMBERS_NAME, PREVIOUS_NAME, RunInfo


@dataclass(frozen=True)
class Newest:
    """The newest valid checkpoint of a run, and what was wrong with newer ones."""

    checkpoint: Checkpoint | None
    """None when the run stopped before it saved anything."""
    path: Path
    problems: list[str]


def save_last(directory: Path, checkpoint: Checkpoint, keep_previous: bool = True) -> None:
    """Save `checkpoint` as last.pt and keep the one before as previous.pt.

    `keep_previous` is false while last.pt is known to be damaged: previous.pt is then worth more.
    At every moment last.pt is whole, the old one or the new one.
    Raises CheckpointError when the disk won't take it; the last good one then stands.
    """
    last = directory / LAST_NAME
    keep = keep_previous and last.exists()
    save(last, checkpoint, (lambda: _keep_as_previous(last)) if keep else None)


def _keep_as_previous(last: Path) -> None:
    spare = temporary_beside(last)
    try:
        os.link(last, spare)
    except OSError:  # a file system without hard links
        shutil.copyfile(last, spare)
        with open(spare, "rb+") as file:
            sync_file(file.fileno())
    replace(spare, last.with_name(PREVIOUS_NAME))
    # Two links to one file: POSIX renames nothing and leaves both. A kill after this line and
    # before the new last.pt makes the next save come here so.
    spare.unlink(missing_ok=True)


def load_newest(
    directory: Path,
    config: RunConfig | None = None,
    read: Callable[[Path], Checkpoint] = load,
) -> Newest:
    """The newest valid training checkpoint of a run; a damaged last.pt falls back to previous.pt.

    With `config`, a checkpoint of a run of another configuration counts as damaged. `read` is
    `load`, or `inspect` where tensors are not needed.
    Raises CheckpointError when there are checkpoints, and none is valid.
    """
    problems: list[str] = []
    for path in (directory / LAST_NAME, directory / PREVIOUS_NAME):
        if not path.exists():
            continue
        try:
            found = read(path)
            _check_training(path, found, config)
            return Newest(found, path, problems)
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
        newest = load_newest(run.directory, run.config, inspect).checkpoint
        return int(newest.training["epochs_done"]) if newest and newest.training else 0
    if not (run.directory / LAST_NAME).exists():
        return 0
    config = inspect(run.directory / LAST_NAME).config
    return config.recipe.epochs if config else 0


@dataclass(frozen=True)
class Verified:
    """A run as its checkpoints show it."""

    run: RunInfo
    """`damaged` and without a result where a checkpoint that it needs is damaged or lost."""
    epochs_done: int
    """Whole epochs that its newest valid checkpoint holds."""
    problem: str = ""
    """Why it is damaged."""
    hint: str = ""
    """The way on where `train --resume` can't mend it."""


def verified(run: RunInfo) -> Verified:
    """`run` with its checkpoints read."""
    damaged = dataclasses.replace(run, state="damaged", result=None)
    try:
        epochs_done = epochs_saved(run)
    except CheckpointError as error:
        return Verified(damaged, 0, error.message, error.hint)
    if run.config is None:
        return Verified(damaged, epochs_done, "its config.json is missing or damaged")
    if run.result is None or is_intact(run):
        return Verified(run, epochs_done)
    return Verified(damaged, epochs_done, f"its {run.result.checkpoint} is missing or damaged")


def is_intact(run: RunInfo) -> bool:
    """Whether a finished run still has the network that its result is of."""
    if run.result is None:
        return False
    try:
        if run.result.checkpoint == BEST_NAME:
            load_best(run.directory, run.config, inspect)
            return True
        return epochs_saved(run) == run.result.epochs
    except CheckpointError:
        return False


def is_ensemble(directory: Path) -> bool:
    """Whether a run is an ensemble: its members' runs in a directory, their weights in last.pt."""
    return (directory / MEMBERS_NAME).is_dir()


def load_best(
    directory: Path, config: RunConfig | None, read: Callable[[Path], Checkpoint] = load
) -> Checkpoint:
    """A run's best.pt, `metrics` being the record of its epoch.

    `config` and `read` are those of `load_newest`.
    Raises CheckpointError when it is missing or damaged.
    """
    path = directory / BEST_NAME
    best = read(path)
    if not isinstance(best.metrics.get("validation_accuracy"), float):
        raise CheckpointError(f"{path} holds no validation accuracy")
    _check_same_run(path, best, config)
    return best


def saved_config(directory: Path) -> RunConfig | None:
    """The configuration in a run's newest valid checkpoint: for a run whose config.json is lost."""
    try:
        if is_ensemble(directory):
            return load(directory / LAST_NAME).config
        newest = load_newest(directory).checkpoint
    except CheckpointError:
        return None
    return newest.config if newest else None


def _check_training(path: Path, found: Checkpoint, config: RunConfig | None) -> None:
    training = found.training or {}
    if not all(type(training.get(key)) is int for key in ("epochs_done", "step")):
        raise CheckpointError(f"{path} has no training state")
    _check_same_run(path, found, config)


def _check_same_run(path: Path, found: Checkpoint, config: RunConfig | None) -> None:
    if config is None:
        return
    own = found.config.identity() if found.config else {}
    wanted = config.identity()
    other = [key for key in wanted if own.get(key) != wanted[key]]
    if other:
        raise CheckpointError(f"{path} is of another run: its {' and '.join(other)} differs")
