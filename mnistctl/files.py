"""Files: read so that nothing hangs or floods memory, written so that nothing is left half.

Reading: what is opened is a regular file of bounded size, or refused. Writing: a crash, a kill or
a full disk leaves the old bytes or the new ones.
"""

import contextlib
import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from mnistctl.errors import MnistctlError

_TEMPORARY = re.compile(r"\.mnistctl-[0-9a-f]{12}\.tmp")
A_PIPE = "it is a pipe, not a file"
_NOT_REGULAR = (
    (stat.S_ISDIR, "it is a directory"),
    (stat.S_ISFIFO, A_PIPE),
    (stat.S_ISSOCK, "it is a socket, not a file"),
    (stat.S_ISCHR, "it is a device, not a file"),
    (stat.S_ISBLK, "it is a device, not a file"),
)
REPLACE_SECONDS = 1.0 if os.name == "nt" else 0.0
"""For how long `replace` tries."""
_READING: int = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

if os.name == "nt":
    _full_sync = None
else:
    import fcntl

    _full_sync = getattr(fcntl, "F_FULLFSYNC", None)


def open_regular(path: Path, max_bytes: int) -> BinaryIO:
    """Open a file to read it, without waiting for anybody as opening a pipe does.

    What is checked is what was opened, whatever `path` names by then. Raises OSError, its text a
    clause for people: also for what is no regular file, and for one of more than `max_bytes`.
    """
    try:
        descriptor = os.open(path, _READING)
    except ValueError as error:
        raise OSError(errno.EINVAL, "its name holds a null byte") from error
    status = os.fstat(descriptor)
    problem = next((text for test, text in _NOT_REGULAR if test(status.st_mode)), None)
    if problem is None and status.st_size > max_bytes:
        problem = _too_large(max_bytes)
    if problem is not None:
        os.close(descriptor)
        raise OSError(errno.EINVAL, problem)
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The content of a file. Raises what `open_regular` raises."""
    with open_regular(path, max_bytes) as file:
        content: bytes | None = file.read(os.fstat(file.fileno()).st_size + 1)
        if content is None:  # a file of /proc, which may have to be waited for
            raise OSError(errno.EAGAIN, "it has nothing to read")
        # More than the size said, or a file of /proc again: they say they have none.
        while len(content) <= max_bytes and (more := file.read(1 << 16)):
            content += more
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, _too_large(max_bytes))
    return content


def _too_large(max_bytes: int) -> str:
    return f"it is larger than {max_bytes >> 20} MiB"


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
        replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def replace(temporary: Path, path: Path) -> None:
    """`os.replace`, which Windows refuses while another process looks at `path`."""
    give_up = time.monotonic() + REPLACE_SECONDS
    while True:
        try:
            os.replace(temporary, path)
            return
        except PermissionError:
            if time.monotonic() >= give_up:
                raise
            time.sleep(0.02)


def temporary_beside(path: Path) -> Path:
    """A name in the directory of `path` that no file has, and that only this program makes."""
    return path.with_name(f".mnistctl-{secrets.token_hex(6)}.tmp")


def is_temporary(name: str) -> bool:
    """Whether `temporary_beside` made a file's name."""
    return _TEMPORARY.fullmatch(name) is not None


def try_place(path: Path) -> None:
    """Raise the OSError that writing `path` would meet, before there is anything to write."""
    with contextlib.suppress(FileNotFoundError):  # a name too long is found here, too
        if stat.S_ISDIR(os.stat(path).st_mode):
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


def sweep_temporary(directory: Path, min_age: float = 0.0) -> None:
    """Delete temporary files of this program that an earlier crash left in `directory`.

    Only those untouched for `min_age` seconds: 0 where no other process can be writing, because
    the caller holds the directory's lock. Links and directories stay, whatever their name.
    """
    for stale in directory.iterdir():
        with contextlib.suppress(OSError):
            status = stale.lstat() if is_temporary(stale.name) else None
            if status is None or not stat.S_ISREG(status.st_mode):
                continue
            if time.time() - status.st_mtime >= min_age:
                stale.unlink()


def reason(error: OSError) -> str:
    """The system's own words for an error, without errno and path."""
    return error.strerror or str(error)


@contextlib.contextmanager
def explained(
    what: str, kind: type[MnistctlError] = MnistctlError, hint: str = ""
) -> Iterator[None]:
    """Raise an OSError of the block as one of `kind`: `what` failed, the reason, and a way on."""
    try:
        yield
    except OSError as error:
        raise kind(f"{what}: {reason(error)}", hint) from error
