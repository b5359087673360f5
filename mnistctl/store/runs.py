"""Runs: one directory each, under a name that no other run has."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from mnistctl.errors import CheckpointError, UsageError
from mnistctl.files import reason, sweep_temporary, sync_directory, write_atomic
from mnistctl.store import checkpoint
from mnistctl.store.config import RunConfig
from mnistctl.store.lock import is_locked, locked

CONFIG_NAME, RESULT_NAME = "config.json", "result.json"
LAST_NAME, PREVIOUS_NAME, BEST_NAME = "last.pt", "previous.pt", "best.pt"
RESERVED_NAMES = ("latest", "best", "shipped")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class RunInfo:
    """What a listing shows of a run."""

    name: str
    directory: Path
    state: str
    """finished, running, interrupted or damaged."""
    config: RunConfig | None
    result: dict[str, Any] | None
    modified: float
    """Time of the last change, seconds since 1970."""


def check_name(name: str) -> str:
    """`name` if it can name a run. Raises UsageError (separators, `..`, reserved words)."""
    if not _NAME.fullmatch(name) or ".." in name or name in RESERVED_NAMES:
        raise UsageError(
            f"'{name}' can't name a run",
            "use letters, digits, '.', '_', '-', at most 100, beginning with a letter or digit"
            f" (and not {', '.join(RESERVED_NAMES)})",
        )
    return name


def create_run(store: Path, recipe: str, name: str | None = None) -> Path:
    """Make a new run directory in `store`: `name`, or the recipe's name with the next number.

    Creation is exclusive: of two processes asking for one name, one gets it.
    Raises UsageError when the name is taken or unusable, CheckpointError when the store is.
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
        if name is None:
            return _next_free(store, recipe)
        directory = store / check_name(name)
        directory.mkdir()
    except FileExistsError as error:
        if name is None or not store.is_dir():
            raise CheckpointError(
                f"the store {store} is a file, not a directory", "choose another with --store DIR"
            ) from error
        raise UsageError(
            f"run '{name}' exists already in {store}",
            f"continue it with --resume {name}, or choose another --name",
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"can't create a run in the store {store}: {reason(error)}",
            "choose another with --store DIR",
        ) from error
    return directory


def _next_free(store: Path, recipe: str) -> Path:
    pattern = re.compile(re.escape(recipe) + r"-(\d+)")
    taken = [int(m[1]) for entry in os.listdir(store) if (m := pattern.fullmatch(entry))]
    for number in count(max(taken, default=0) + 1):
        directory = store / f"{recipe}-{number}"
        with contextlib.suppress(FileExistsError):
            directory.mkdir()
            return directory
    raise AssertionError("count() never ends")


@contextlib.contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Hold `directory` as its only writer, with the leftovers of earlier crashes swept.

    Raises CheckpointError while another process trains there, or when it can't be written.
    """
    try:
        with locked(directory) as free:
            if not free:
                raise CheckpointError(
                    f"run '{directory.name}' is being trained by another process",
                    "wait for it, or start another run",
                )
            sweep_temporary(directory)
            yield
    except PermissionError as error:
        raise CheckpointError(f"can't write to {directory}: {reason(error)}") from error


def write_json(directory: Path, name: str, document: dict[str, Any]) -> None:
    """Write `document` as `name` in a run's directory, atomically.

    Raises CheckpointError when the disk won't take it.
    """
    try:
        text = json.dumps(document, indent=2) + "\n"
        write_atomic(directory / name, text.encode())
    except OSError as error:
        raise CheckpointError(f"can't write {directory / name}: {reason(error)}") from error


def read_json(directory: Path, name: str) -> dict[str, Any] | None:
    """The document `name` of a run; None when it is missing or damaged."""
    try:
        document = json.loads((directory / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def save_last(directory: Path, payload: dict[str, Any]) -> Path:
    """Save `payload` as last.pt and keep the one before as previous.pt.

    Raises CheckpointError when the disk won't take it; the last good one then stands.
    """
    last = directory / LAST_NAME
    fresh = directory / f".{LAST_NAME}.next.tmp"
    checkpoint.save(fresh, payload)
    try:
        if last.exists():
            os.replace(last, directory / PREVIOUS_NAME)
        os.replace(fresh, last)
        sync_directory(directory)
    except OSError as error:
        raise CheckpointError(f"can't save {last}: {reason(error)}") from error
    return last


@dataclass(frozen=True)
class Newest:
    """The newest valid checkpoint of a run, and what was wrong with newer ones."""

    payload: dict[str, Any] | None
    """None when the run stopped before it saved anything."""
    path: Path
    problems: list[str]


def load_newest(directory: Path) -> Newest:
    """The newest valid training checkpoint of a run; a damaged last.pt falls back to previous.pt.

    Raises CheckpointError when there are checkpoints, and none is valid.
    """
    problems: list[str] = []
    for path in (directory / LAST_NAME, directory / PREVIOUS_NAME):
        if not path.exists():
            continue
        try:
            payload = checkpoint.load(path)
            if isinstance(payload.get("training"), dict):
                return Newest(payload, path, problems)
            problems.append(f"{path} has no training state")
        except CheckpointError as error:
            problems.append(error.message)
    if problems:
        raise CheckpointError(
            f"run '{directory.name}' is damaged: {'; '.join(problems)}",
            "start it anew under another --name",
        )
    return Newest(None, directory / LAST_NAME, problems)


def list_runs(store: Path) -> list[RunInfo]:
    """All runs of a store, oldest first. Symbolic links and plain files are passed over."""
    if not store.is_dir():
        return []
    entries = [Path(entry) for entry in os.scandir(store) if entry.is_dir(follow_symlinks=False)]
    runs = [describe(path) for path in entries if (path / CONFIG_NAME).exists()]
    return sorted(runs, key=lambda run: run.modified)


def describe(directory: Path) -> RunInfo:
    """State, configuration and result of the run in `directory`, by its JSON files alone."""
    document, result = read_json(directory, CONFIG_NAME), read_json(directory, RESULT_NAME)
    files = [directory / name for name in (CONFIG_NAME, LAST_NAME, RESULT_NAME)]
    modified = max((file.stat().st_mtime for file in files if file.exists()), default=0.0)
    try:
        config = RunConfig.from_dict(document or {})
    except (KeyError, TypeError, ValueError):
        return RunInfo(directory.name, directory, "damaged", None, None, modified)
    state = "interrupted"
    # A finished run that is being extended has a result of fewer epochs than its configuration.
    if result is not None and result.get("epochs") == config.recipe.epochs:
        state = "finished"
    if is_locked(directory):
        state = "running"
    return RunInfo(directory.name, directory, state, config, result, modified)


def utc_now() -> str:
    """The time now, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
