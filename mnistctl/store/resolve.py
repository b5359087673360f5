"""From what a person types to a checkpoint: path, run, prefix, `latest`, `best`, `shipped`."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from mnistctl.errors import CheckpointError
from mnistctl.store.checkpoint import Checkpoint, load
from mnistctl.store.config import resume_line
from mnistctl.store.find import REAL_PATH, match_run, means_name, typed_path
from mnistctl.store.rotation import is_ensemble, load_best, load_newest
from mnistctl.store.runs import (
    BEST_NAME,
    CHECKPOINT_NAMES,
    LAST_NAME,
    RESERVED_NAMES,
    RunInfo,
    describe,
    is_run,
    list_runs,
)

SHIPPED = Path(__file__).parent.parent / "weights" / "shipped.pt"


@dataclass(frozen=True)
class ResolvedCheckpoint:
    """A verified checkpoint and how it was found."""

    path: Path
    checkpoint: Checkpoint
    name: str
    """In a figure: its run's, or its file's."""
    label: str
    """In a sentence, e.g. `run cnn-small-1 (latest)`."""
    warnings: tuple[str, ...] = ()


def resolve(argument: str | None, store: Path) -> ResolvedCheckpoint:
    """Load the checkpoint that `argument` means; None means the latest complete run, else shipped.

    A bare word is a run of the store before it is a file or directory of that name.
    Raises CheckpointError with the candidates when nothing, or more than one thing, fits.
    """
    if argument == "shipped" or (argument is None and not _finished(store)):
        return replace(_of_file(SHIPPED), name="shipped weights", label="shipped weights")
    if argument is None or argument == "latest":
        return _latest(store)
    if argument == "best":
        return _of_run(_best(store).directory, " (best validation accuracy)")
    path = typed_path(argument)
    if means_name(argument, store) and is_run(store / argument):
        return _of_run(match_run(path.name, store, RESERVED_NAMES).directory)
    if os.path.isdir(path):
        return _of_run(path)
    if os.path.exists(path) or path.suffix in (".pt", ".pth") or len(path.parts) > 1:
        return _of_file(path)
    return _of_run(match_run(path.name, store, RESERVED_NAMES).directory)


def _finished(store: Path) -> list[RunInfo]:
    return [run for run in list_runs(store) if run.state == "finished"]


def _latest(store: Path) -> ResolvedCheckpoint:
    """The newest finished run that can be read, with a warning for each that can't."""
    problems: list[CheckpointError] = []
    for run in reversed(_finished(store)):
        try:
            found = _of_run(run.directory, " (latest)")
        except CheckpointError as error:
            problems.append(error)
            continue
        passed_over = tuple(f"{problem.message}; an older run is taken" for problem in problems)
        return replace(found, warnings=passed_over + found.warnings)
    if problems:
        raise problems[0]
    raise CheckpointError(
        f"no finished run in the store {store}", "train one first: mnistctl train"
    )


def _best(store: Path) -> RunInfo:
    """The finished run of highest validation accuracy: never chosen on the test set."""
    scored = [
        (run.result.validation.accuracy, run)
        for run in _finished(store)
        if run.result and run.result.validation
    ]
    if not scored:
        raise CheckpointError(
            "no finished run holds out validation images, and nothing is chosen on the test set",
            "train with --validation 5000, or name a run",
        )
    return max(scored, key=lambda pair: pair[0])[1]


def _of_file(path: Path) -> ResolvedCheckpoint:
    name = path.name
    if path.suffix == ".safetensors":
        raise CheckpointError(
            f"{path}: of a safetensors file the network is not known",
            "give the run, or an ONNX file",
        )
    if name in CHECKPOINT_NAMES:  # as those of every run are called
        name = f"{path.resolve().parent.name}/{name}"
    return ResolvedCheckpoint(path, load(path), name, str(path))


def _of_run(directory: Path, how: str = "") -> ResolvedCheckpoint:
    """A run's model: the one that was tested, until then best.pt where there is one, or last.pt."""
    if directory.is_symlink():
        raise CheckpointError(f"run {directory} is a symbolic link: refused", REAL_PATH)
    name = directory.resolve().name
    label = f"run {name}{how}"
    if is_ensemble(directory):
        found = _of_ensemble(directory)
        members = found.checkpoint.config.ensemble if found.checkpoint.config else 1
        return replace(found, name=name, label=f"{label}, {members} members")
    run = describe(directory)
    tested = run.result.checkpoint if run.result else None
    if tested == BEST_NAME or (tested is None and (directory / BEST_NAME).exists()):
        try:
            best = load_best(directory, run.config)
        except CheckpointError as error:
            raise CheckpointError(error.message, f"mend it: {resume_line(directory)}") from error
        return ResolvedCheckpoint(directory / BEST_NAME, best, name, label)
    newest = load_newest(directory)
    if newest.checkpoint is None:
        if not is_run(directory):
            raise CheckpointError(f"{directory} is not a run's directory", "see mnistctl runs")
        busy = run.state == "running"
        hint = "it is being trained: wait for its first" if busy else resume_line(directory)
        raise CheckpointError(f"{directory} holds no checkpoint yet", hint)
    notes = tuple(f"{problem}; using {newest.path.name} instead" for problem in newest.problems)
    return ResolvedCheckpoint(newest.path, newest.checkpoint, name, label, notes)


def _of_ensemble(directory: Path) -> ResolvedCheckpoint:
    resume = resume_line(directory)
    if not (directory / LAST_NAME).exists():
        busy = describe(directory).state == "running"
        raise CheckpointError(
            f"{directory}: its members are not all trained and assembled",
            "they are being trained: wait for the end" if busy else f"finish it: {resume}",
        )
    try:
        return _of_file(directory / LAST_NAME)
    except CheckpointError as error:
        raise CheckpointError(error.message, f"assemble it again: {resume}") from error
