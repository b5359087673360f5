"""A file is replaced whole or not at all, in the order that survives a power cut; or read."""

import errno
import gc
import os
from pathlib import Path

import pytest

from mnistctl import files
from mnistctl.files import (
    read_regular,
    reason,
    replacing,
    sweep_temporary,
    sync_directory,
    temporary_beside,
    write_atomic,
)


def test_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a"]


def test_an_exception_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_atomic(path, b"one")

    def interrupted() -> None:
        with replacing(path) as file:
            file.write(b"half of tw")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["a"]


def test_bytes_are_durable_before_the_rename_and_the_rename_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, order = tmp_path / "a", []
    fsync, replace = os.fsync, os.replace

    def noting_fsync(descriptor: int) -> None:
        order.append("fsync directory" if os.path.isdir(f"/dev/fd/{descriptor}") else "fsync file")
        fsync(descriptor)

    def noting_replace(old: Path, new: Path) -> None:
        order.append("replace")
        replace(old, new)

    monkeypatch.setattr("mnistctl.files._full_sync", None)
    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "replace", noting_replace)
    write_atomic(path, b"one", before=lambda: order.append("before"))
    assert order == ["fsync file", "before", "replace", "fsync directory"]


def test_a_file_that_is_looked_at_is_replaced_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, which refuses meanwhile."""
    path, replace, refused = tmp_path / "x", os.replace, iter([True, True, False])

    def busy(source: Path, target: Path) -> None:
        if next(refused, True):
            raise PermissionError(13, "used by another process")
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", busy)
    monkeypatch.setattr(files, "REPLACE_SECONDS", 60.0)
    files.write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    monkeypatch.setattr(files, "REPLACE_SECONDS", 0.0)
    with pytest.raises(PermissionError):
        files.write_atomic(path, b"newer")
    assert [(own.name, own.read_bytes()) for own in tmp_path.iterdir()] == [("x", b"new")]


def test_file_systems_without_fsync_of_directories(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(number: int) -> None:
        def fsync(descriptor: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fsync)

    failing(errno.EINVAL)
    sync_directory(tmp_path)
    failing(errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        sync_directory(tmp_path)


def test_sweeping_takes_its_own_temporary_files_alone(tmp_path: Path) -> None:
    own = temporary_beside(tmp_path / "last.pt")
    users = [
        ".my-work.tmp",
        "notes.tmp",
        ".last.pt.0123456789ab.tmp",
        ".mnistctl-0123456789AB.tmp",
        ".mnistctl-0123456789ab.tmp.txt",
        ".mnistctl-012345678.tmp",
    ]
    for name in (own.name, *users):
        (tmp_path / name).touch()
    (tmp_path / ".mnistctl-000000000001.tmp").symlink_to(tmp_path / "notes.tmp")
    (tmp_path / ".mnistctl-000000000002.tmp").mkdir()
    before = set(os.listdir(tmp_path))
    sweep_temporary(tmp_path, min_age=60)
    assert set(os.listdir(tmp_path)) == before
    sweep_temporary(tmp_path)
    assert set(os.listdir(tmp_path)) == before - {own.name}


def test_temporary_names_fit_beside_the_longest_name(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    write_atomic(path, b"one")
    assert path.read_bytes() == b"one"


def unreadable(path: Path, max_bytes: int = 1 << 20) -> str:
    try:
        read_regular(path, max_bytes)
    except OSError as error:
        return reason(error)
    raise AssertionError("it was read")


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    assert unreadable(tmp_path / "pipe") == "it is a pipe, not a file"
    assert unreadable(tmp_path / "device") == "it is a device, not a file"
    assert unreadable(tmp_path) == "it is a directory"
    assert unreadable(tmp_path / "a\0b") == "its name holds a null byte"
    assert unreadable(tmp_path / ("x" * 300)) == "File name too long"
    assert unreadable(tmp_path / "none") == "No such file or directory"


def test_the_size_of_what_is_read_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(1 << 20))
    assert len(read_regular(path, 1 << 20)) == 1 << 20
    path.write_bytes(bytes((1 << 20) + 1))
    assert unreadable(path) == "it is larger than 1 MiB"


@pytest.mark.skipif(not Path("/proc/kallsyms").exists(), reason="needs /proc")
def test_a_file_that_lies_about_its_size(tmp_path: Path) -> None:
    assert unreadable(Path("/proc/kallsyms"), 1000) == "it is larger than 0 MiB"


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    gc.collect()  # what others have left open
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        unreadable(tmp_path / "pipe")
    assert len(os.listdir("/dev/fd")) <= before
