"""Writing files so that a crash, a kill or a full disk never leaves half of one."""

import contextlib
import errno
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

TEMPORARY_SUFFIX = ".tmp"

if os.name == "nt":
    _full_sync = None
else:
    import fcntl

    _full_sync = getattr(fcntl, "F_FULLFSYNC", None)


def write_atomic(path: Path, data: bytes, before: Callable[[], None] | None = None) -> None:
    """Replace `path` by `data` in one step; the old file stands until the new one is on disk.

    `before` is called in between: when `data` is safe and `path` is still the old file.
    Raises OSError (disk full, read-only, quota); then `path` is as it was.
    """
    with replacing(path, before) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: Path, before: Callable[[], None] | None = None) -> Iterator[BinaryIO]:
    """A binary file to fill, which becomes `path` when the block ends without an exception.

    Temporary file in the same directory, flush, fsync, `os.replace`, fsync of the directory:
    after a crash at any point `path` holds the old bytes or the new ones, all of them.
    """
    temporary = temporary_beside(path)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            sync_file(file.fileno())
        if before is not None:
            before()
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def temporary_beside(path: Path) -> Path:
    """A name in the directory of `path` that no file has, and that `sweep_temporary` knows."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}")


def try_place(path: Path) -> None:
    """Raise the OSError that writing `path` would meet, before there is anything to write."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    temporary = temporary_beside(path)
    with open(temporary, "xb"):
        pass
    temporary.unlink()


def sync_file(descriptor: int) -> None:
    """Bring an open file's bytes to the disk itself, past the drive's cache on macOS, too."""
    if _full_sync is not None:
        # Where the file system has no full sync, plain fsync is all there is.
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, _full_sync)
            return
    os.fsync(descriptor)


def sync_directory(directory: Path) -> None:
    """Make renames in `directory` durable, where the platform can (Windows can't open one)."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and user-space file systems know no fsync of directories.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
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
