"""Runs: one directory each, under a name that no other run has."""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from mnistctl.errors import CheckpointError, UsageError
from mnistctl.files import (
    explained,
    is_temporary,
    read_regular,
    reason,
    sweep_temporary,
    sync_directory,
    temporary_beside,
    write_atomic,
)
from mnistctl.store.config import RunConfig
from mnistctl.store.lock import is_locked, locked
from mnistctl.store.metrics import ROOM_HINT
from mnistctl.store.result import RunResult
from mnistctl.text import parse_json, to_json

CONFIG_NAME, RESULT_NAME = "config.json", "result.json"
LAST_NAME, PREVIOUS_NAME, BEST_NAME = "last.pt", "previous.pt", "best.pt"
CHECKPOINT_NAMES = (LAST_NAME, PREVIOUS_NAME, BEST_NAME)
MEMBERS_NAME = "members"
"""Within the directory of an ensemble: the store of its members' runs."""
STAGING_NAME = ".staging"
"""Marks, within a directory, that this program made it and that no run is in it yet."""
RESERVED_NAMES = ("latest", "best", "shipped")
MAX_JSON_BYTES = 1 << 20
STALE_SECONDS = 3600.0
"""A run's directory that has not got its name by then was left by a crash."""

T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_WINDOWS_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class RunInfo:
    """What a listing shows of a run."""

    name: str
    directory: Path
    state: str
    """finished, running, interrupted or damaged."""
    config: RunConfig | None
    result: RunResult | None
    """Of a finished run; while one is extended, result.json has that of fewer epochs."""
    modified: float
    """Time of the last change, seconds since 1970."""


def check_name(name: str) -> str:
    """`name` if it can name a run on every system. Raises UsageError.

    Refused: separators, `..`, reserved words, what looks like a file, Windows devices.
    """
    fits = (
        _NAME.fullmatch(name)
        and ".." not in name
        and not name.lower().endswith((".", ".pt", ".pth", ".onnx"))
    )
    if not fits or name in RESERVED_NAMES or _WINDOWS_DEVICE.fullmatch(name):
        raise UsageError(
            f"'{name}' can't name a run",
            "use letters, digits, '.', '_', '-', at most 100, beginning with a letter or digit"
            f" (and not {', '.join(RESERVED_NAMES)}, *.pt, *.onnx or a device of Windows)",
        )
    return name


def create_run(store: Path, config: RunConfig, name: str | None = None) -> Path:
    """Make a new run directory in `store`: `name`, or the recipe's name with the next number.

    The directory gets its name when its config.json is in it, so that no crash leaves a name
    taken by nothing. Of two processes asking for one name, one gets it.
    Raises UsageError when the name is taken or unusable, CheckpointError when the store is.
    """
    if name is not None:
        check_name(name)
    staging = temporary_beside(store / CONFIG_NAME)
    try:
        store.mkdir(parents=True, exist_ok=True)
        _sweep_staging(store)
        staging.mkdir()
        (staging / STAGING_NAME).touch(exist_ok=False)
        write_atomic(staging / CONFIG_NAME, _json_bytes(config.to_dict()))
        directory = _take_next_name(staging, config.recipe.name) if name is None else store / name
        if name is not None and not _take_name(staging, directory):
            check_free(directory)
        with contextlib.suppress(OSError):  # else the run's first writer does it
            (directory / STAGING_NAME).unlink()
        sync_directory(store)
    except OSError as error:
        check_store(store)
        raise CheckpointError(
            f"can't create a run in the store {store}: {reason(error)}",
            "make room, or choose another with --store DIR",
        ) from error
    finally:
        _remove_staging(staging)
    return directory


def check_store(store: Path) -> None:
    """Raise CheckpointError where no directory can be made for runs, a file being there."""
    if os.path.lexists(store) and not os.path.isdir(store):
        raise CheckpointError(
            f"the store {store} is a file, not a directory", "choose another with --store DIR"
        )


def _take_next_name(staging: Path, recipe: str) -> Path:
    pattern = re.compile(re.escape(recipe) + r"-(\d{1,9})")
    taken = [int(m[1]) for entry in os.listdir(staging.parent) if (m := pattern.fullmatch(entry))]
    for number in count(max(taken, default=0) + 1):
        directory = staging.with_name(f"{recipe}-{number}")
        if _take_name(staging, directory):
            return directory
    raise AssertionError("count() never ends")


def _take_name(staging: Path, directory: Path) -> bool:
    """Rename exclusively: the system refuses to put it over a directory with anything in it.

    Asked before, so that an empty directory of the user's stays, too.
    """
    if os.path.lexists(directory):
        return False
    try:
        staging.rename(directory)
    except OSError:
        if os.path.lexists(directory):
            return False
        raise
    return True


def check_free(directory: Path) -> None:
    """Raise UsageError where the directory of a new run is there already."""
    name, store = directory.name, directory.parent
    if not os.path.lexists(directory):
        return
    if directory.is_symlink() or not is_run(directory):
        raise UsageError(f"'{name}' exists already in {store}", "choose another --name")
    raise UsageError(
        f"run '{name}' exists already in {store}",
        f"continue it with --resume {name}, or choose another --name",
    )


def _sweep_staging(store: Path) -> None:
    """Remove what killed processes left in `store`; what is young may belong to one that lives."""
    for entry in store.iterdir():
        with contextlib.suppress(OSError):
            if is_temporary(entry.name) and time.time() - entry.lstat().st_mtime > STALE_SECONDS:
                _remove_staging(entry)


def _remove_staging(directory: Path) -> None:
    """Remove the directory of a run that got no name: its own files, then what is left empty.

    Whatever else is in it was made by somebody else, and stays.
    """
    with contextlib.suppress(OSError):
        if directory.is_symlink():
            return
        if (directory / STAGING_NAME).is_file():
            sweep_temporary(directory)
            (directory / CONFIG_NAME).unlink(missing_ok=True)
            (directory / STAGING_NAME).unlink()
        directory.rmdir()


@contextlib.contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Hold `directory` as its only writer, with the leftovers of earlier crashes swept.

    Raises CheckpointError while another process trains there, or when it can't be written.
    """
    with contextlib.ExitStack() as stack:
        with explained(f"can't write to {directory}", CheckpointError):
            free = stack.enter_context(locked(directory))
        if not free:
            raise being_trained(directory)
        with contextlib.suppress(OSError):
            sweep_temporary(directory)
            (directory / STAGING_NAME).unlink(missing_ok=True)
        yield


def being_trained(directory: Path) -> CheckpointError:
    """The error for a run that another process writes."""
    return CheckpointError(
        f"run '{directory.name}' is being trained by another process",
        "wait for it, or start another run",
    )


def write_json(directory: Path, name: str, document: dict[str, Any]) -> None:
    """Write `document` as `name` in a run's directory, atomically.

    Raises CheckpointError when the disk won't take it.
    """
    with explained(f"can't write {directory / name}", CheckpointError, ROOM_HINT):
        write_atomic(directory / name, _json_bytes(document))


def _json_bytes(document: dict[str, Any]) -> bytes:
    return (to_json(document, indent=2) + "\n").encode()


def read_json(directory: Path, name: str) -> dict[str, Any] | None:
    """The document `name` of a run; None when it is missing or damaged."""
    try:
        document = parse_json(read_regular(directory / name, MAX_JSON_BYTES))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def is_run(directory: Path) -> bool:
    """True when a directory holds a run, be it a damaged one."""
    return any(os.path.exists(directory / name) for name in (CONFIG_NAME, LAST_NAME, PREVIOUS_NAME))


def run_directories(store: Path) -> list[Path]:
    """The directory of each run of a store. Symbolic links and plain files are passed over.

    Raises CheckpointError when the store can't be read.
    """
    with explained(f"can't read the store {store}", CheckpointError):
        if not store.is_dir():
            if os.path.lexists(store):
                hint = "name another: --store DIR"
                raise CheckpointError(f"the store {store} is no directory", hint)
            return []
        with os.scandir(store) as found:
            entries = [Path(e) for e in found if e.is_dir(follow_symlinks=False)]
    return [path for path in entries if path.name[0] != "." and is_run(path)]


def list_runs(store: Path) -> list[RunInfo]:
    """All runs of a store, oldest first. Raises CheckpointError when the store can't be read."""
    runs = [describe(path) for path in run_directories(store)]
    return sorted(runs, key=lambda run: (run.modified, run.name))


def describe(directory: Path) -> RunInfo:
    """State, configuration and result of the run in `directory`, by its JSON files alone."""
    modified = 0.0
    for name in (CONFIG_NAME, LAST_NAME, RESULT_NAME):
        with contextlib.suppress(OSError):
            modified = max(modified, (directory / name).stat().st_mtime)
    config = _parsed(directory, CONFIG_NAME, RunConfig.from_dict)
    if config is None:
        return RunInfo(directory.name, directory, "damaged", None, None, modified)
    if is_locked(directory):
        return RunInfo(directory.name, directory, "running", config, None, modified)
    result = _parsed(directory, RESULT_NAME, RunResult.from_dict)
    if result is None or result.epochs != config.recipe.epochs:
        return RunInfo(directory.name, directory, "interrupted", config, None, modified)
    return RunInfo(directory.name, directory, "finished", config, result, modified)


def _parsed(directory: Path, name: str, parse: Callable[[dict[str, Any]], T]) -> T | None:
    """What a run's JSON file holds; None when it is missing or damaged."""
    try:
        return parse(read_json(directory, name) or {})
    except (KeyError, TypeError, ValueError):
        return None


def utc_now() -> str:
    """The time now, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
