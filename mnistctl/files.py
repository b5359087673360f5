"""Writing files so that a crash, a kill or a full disk never leaves half of one."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

TEMPORARY_SUFFIX = ".tmp"


def write_atomic(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step; the old file stands until the new one is on disk.

    Raises OSError (disk full, read-only, quota); then `path` is as it was.
    """
    with replacing(path) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A binary file to fill, which becomes `path` when the block ends without an exception.

    Temporary file in the same directory, flush, fsync, `os.replace`, fsync of the directory:
    after a crash at any point `path` holds the old bytes or the new ones, all of them.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make renames in `directory` durable, where the platform can (Windows can't open one)."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep_temporary(directory: Path) -> None:
    """Delete temporary files that an earlier crash left in `directory`.

    Only where no other process can be writing; callers hold the directory's lock.
    """
    for stale in directory.glob(f".*{TEMPORARY_SUFFIX}"):
        with contextlib.suppress(OSError):
            stale.unlink()


def reason(error: OSError) -> str:
    """The system's own words for an error, without errno and path."""
    return error.strerror or str(error)
