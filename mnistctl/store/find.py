"""From what a person types to a run: its name, the beginning of it, its directory, `latest`."""

import os
from collections.abc import Sequence
from pathlib import Path

from mnistctl.errors import CheckpointError, did_you_mean
from mnistctl.store.runs import (
    CHECKPOINT_NAMES,
    RunInfo,
    describe,
    is_run,
    list_runs,
)

REAL_PATH = "give the real path"


def find_run(argument: str, store: Path) -> RunInfo:
    """The run of any state that `argument` means; a checkpoint stands for the run it lies in.

    A bare word is a run of the store before it is a directory of that name, `./WORD` afterwards.
    Raises CheckpointError that lists the candidates.
    """
    path = typed_path(argument)
    if path.name in CHECKPOINT_NAMES:
        path = path.parent
    if ".." in path.parts or not path.name:
        path = Path(os.path.abspath(path))
    if not path.name:
        raise CheckpointError(f"'{argument}' can't name a run", "give its name, and its --store")
    if argument == "latest":
        runs = list_runs(store)
        if not runs:
            raise CheckpointError(f"no run in the store {store}", "start one: mnistctl train")
        return runs[-1]
    if len(path.parts) == 1 and means_name(argument, store):
        return match_run(path.name, store, ("latest",))
    if os.path.islink(path):
        raise CheckpointError(f"run {path} is a symbolic link: refused", REAL_PATH)
    if not os.path.isdir(path) or not is_run(path):
        raise CheckpointError(f"{path} is not a run's directory", "see mnistctl runs")
    return describe(path)


def match_run(name: str, store: Path, words: Sequence[str]) -> RunInfo:
    """The run called `name`, or the only one whose name begins so.

    Raises CheckpointError that lists the candidates; `words` might have been meant, too.
    """
    runs = list_runs(store)
    matches = [run for run in runs if run.name == name]
    matches = matches or [run for run in runs if run.name.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(run.name for run in matches)
        raise CheckpointError(f"'{name}' matches several runs: {names}", "name one")
    if os.path.islink(store / name):
        raise CheckpointError(f"run '{name}' is a symbolic link: refused", REAL_PATH)
    guess = did_you_mean(name, [*(run.name for run in runs), *words])
    known = ", ".join(run.name for run in runs[-8:]) or "none yet"
    raise CheckpointError(
        f"no checkpoint file and no run called '{name}' in the store {store}{guess}",
        f"runs: {known}",
    )


def means_name(argument: str, store: Path) -> bool:
    """Whether `argument` is the name of a run of the store, not a directory elsewhere.

    A bare word is one, unless it is the directory of a run and no run of the store; `./WORD` is one
    only where that directory is no run's.
    """
    path = typed_path(argument)
    if len(path.parts) != 1 or not path.name or path.name == os.pardir:
        return False
    bare = os.path.basename(argument) == argument
    return not is_run(path) or (bare and is_run(store / path))


def typed_path(argument: str) -> Path:
    """`argument` as a path. Raises CheckpointError for what names nothing."""
    if not argument or "\0" in argument:
        raise CheckpointError(f"{argument!r} can't name a checkpoint", "give a file or a run")
    return Path(argument)
