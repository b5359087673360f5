"""Removing runs: whole or not at all, and nothing that is not theirs."""

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from mnistctl.errors import CheckpointError, did_you_mean
from mnistctl.files import explained, is_temporary, sync_directory
from mnistctl.store.find import means_name, typed_path
from mnistctl.store.lock import LOCK_NAME
from mnistctl.store.metrics import METRICS_NAME
from mnistctl.store.runs import (
    CHECKPOINT_NAMES,
    CONFIG_NAME,
    MEMBERS_NAME,
    RESULT_NAME,
    STAGING_NAME,
    being_trained,
    describe,
    is_run,
    list_runs,
    run_directories,
    writing,
)

OWN_NAMES = {
    *CHECKPOINT_NAMES,
    *(CONFIG_NAME, RESULT_NAME, METRICS_NAME, LOCK_NAME, STAGING_NAME),
    *(".DS_Store", "Thumbs.db", "desktop.ini"),  # what looking at a directory leaves in it
}
_EVENTS = re.compile(r"events\.out\.tfevents\..*")
"""TensorBoard's files."""
RENAMES_WHAT_IS_OPEN = os.name != "nt"
"""Whether a directory can be renamed while a file in it, its lock, is open."""
_ASIDE = re.compile(r"\.removed-[0-9a-f]{12}")


def check_removable(name: str, store: Path) -> Path:
    """The directory of the run called `name`, its full name or its directory.

    Raises CheckpointError for anything but a run that nobody trains and whose directory holds
    only what this program wrote.
    """
    path = typed_path(name)
    directory = store / path if means_name(name, store) else path
    if os.path.islink(directory):
        raise CheckpointError(f"run {directory} is a symbolic link: refused", "remove the link")
    if not path.name or ".." in path.parts or not is_run(directory):
        guess = did_you_mean(name, [own.name for own in run_directories(store)])
        raise CheckpointError(
            f"no run called '{name}' in the store {store}{guess}", "see mnistctl runs"
        )
    members = list_runs(directory / MEMBERS_NAME)
    if any(run.state == "running" for run in (describe(directory), *members)):
        raise being_trained(directory)
    if foreign := [str(entry) for entry in _foreign(directory)]:
        raise CheckpointError(
            f"{directory} holds what is not the run's: {', '.join(foreign[:4])}",
            "move it away, or remove the directory yourself",
        )
    return directory


def remove_run(directory: Path) -> None:
    """Delete a run that `check_removable` let pass; killed on the way, all of it is left or none.

    It is moved aside first. What killed removals left in the store goes, too.
    Raises CheckpointError while the run is being trained and when it can't be removed.
    """
    store = directory.parent
    aside = store / f".removed-{secrets.token_hex(6)}"
    with explained(f"can't remove {directory}", CheckpointError):
        with writing(directory):
            if RENAMES_WHAT_IS_OPEN:
                directory.rename(aside)
        if not RENAMES_WHAT_IS_OPEN:
            directory.rename(aside)
        sync_directory(store)
    for entry in os.listdir(store):
        left = store / entry
        aside_before = _ASIDE.fullmatch(entry) and left.is_dir() and not left.is_symlink()
        if aside_before and not any(_foreign(left)):
            shutil.rmtree(left, ignore_errors=True)
    if aside.exists():
        raise CheckpointError(f"run '{directory.name}' is removed, but {aside} can't be deleted")


def size_of(directory: Path) -> int:
    """Bytes of all files below `directory`; links are not followed."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):  # a temporary file of a training, gone since
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def _foreign(directory: Path) -> Iterator[Path]:
    """What a run's directory holds besides its own files and those of its members."""
    for entry in directory.iterdir():
        if entry.name == MEMBERS_NAME and entry.is_dir() and not entry.is_symlink():
            for member in entry.iterdir():
                if member.is_dir() and not member.is_symlink():
                    yield from _foreign(member)
                else:
                    yield member
        elif (entry.is_dir() and not entry.is_symlink()) or not (
            entry.name in OWN_NAMES or _EVENTS.fullmatch(entry.name) or is_temporary(entry.name)
        ):
            yield entry
