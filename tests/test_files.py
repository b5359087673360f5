"""A file is replaced whole or not at all, and in the order that survives a power cut."""

import errno
import os
from pathlib import Path

import pytest

from mnistctl.files import replacing, sweep_temporary, sync_directory, write_atomic


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


def test_sweeping_takes_temporary_files_alone(tmp_path: Path) -> None:
    for name in (".last.pt.0123456789ab.tmp", "last.pt", ".lock", "notes.tmp"):
        (tmp_path / name).touch()
    sweep_temporary(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".lock", "last.pt", "notes.tmp"]
