"""One writer for each run: an operating-system lock that ends with the process, even killed."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

LOCK_NAME = ".lock"
PATIENCE = 1.0
"""Seconds for which a writer tries: whoever looks at a run holds its lock for a moment."""

PAUSE = 0.02
LOOKS = 5 if os.name == "nt" else 1
"""Without shared locks, as on Windows, two that look at the same moment are in each other's way."""

if os.name == "nt":
    import msvcrt

    def _try_lock(descriptor: int, shared: bool) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(descriptor: int, shared: bool) -> bool:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks: nobody can be told from nobody
            return True
        return True


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[bool]:
    """Hold the lock of a run's directory; yields False when another process holds it.

    Raises OSError when the directory can't be written.
    """
    descriptor = _open(directory, os.O_RDWR | os.O_CREAT)
    try:
        give_up = time.monotonic() + PATIENCE
        while not (free := _try_lock(descriptor, shared=False)) and time.monotonic() < give_up:
            time.sleep(PAUSE)
        yield free
    finally:
        os.close(descriptor)


def is_locked(directory: Path) -> bool:
    """True while another process trains in `directory`."""
    try:
        descriptor = _open(directory, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    except OSError:  # no lock file, or a store that can't be written: no writer either
        return False
    try:
        for left in reversed(range(LOOKS)):
            if _try_lock(descriptor, shared=True):
                return False
            time.sleep(PAUSE if left else 0)
        return True
    finally:
        os.close(descriptor)


def _open(directory: Path, flags: int) -> int:
    # A link could make this create or lock a file elsewhere.
    no_follow = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(directory / LOCK_NAME, flags | no_follow, 0o666)
