"""One writer for each run: an operating-system lock that ends with the process, even killed."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

LOCK_NAME = ".lock"

if os.name == "nt":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[bool]:
    """Hold the lock of a run's directory; yields False when another process holds it."""
    with open(directory / LOCK_NAME, "ab") as file:
        try:
            _try_lock(file)
        except OSError:
            yield False
            return
        yield True


def is_locked(directory: Path) -> bool:
    """True while another process trains in `directory`."""
    if not (directory / LOCK_NAME).exists():
        return False
    try:
        with locked(directory) as free:
            return not free
    except OSError:  # a store that can't be written has no writer either
        return False
