"""Removing runs: all or nothing, and nothing that is not theirs."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs_made import save_run

from mnistctl.errors import CheckpointError
from mnistctl.store import removal
from mnistctl.store.lock import locked
from mnistctl.store.removal import check_removable, remove_run, size_of
from mnistctl.store.runs import MEMBERS_NAME, list_runs


@pytest.fixture
def run(tmp_path: Path) -> Path:
    store = tmp_path / "store"
    store.mkdir()
    return save_run(store / "x")


@pytest.mark.parametrize("while_open", [True, False])
def test_a_run_is_removed(run: Path, while_open: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "RENAMES_WHAT_IS_OPEN", while_open)
    (run / "events.out.tfevents.1.host.2.0").touch()
    save_run(run.parent / "y")
    remove_run(check_removable("x", run.parent))
    assert os.listdir(run.parent) == ["y"]


def test_a_kill_leaves_all_or_none(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moved aside, a run is gone for every listing; the next removal takes the rest away."""
    monkeypatch.setattr(shutil, "rmtree", lambda *args, **options: None)
    with pytest.raises(CheckpointError, match="can't be deleted"):
        remove_run(run)
    monkeypatch.undo()
    assert list_runs(run.parent) == []
    assert len(os.listdir(run.parent)) == 1
    save_run(run)
    remove_run(run)
    assert os.listdir(run.parent) == []


def test_what_only_looks_like_a_leftover_stays(run: Path) -> None:
    for name in (".removed", ".removed-0123456789ab.mine", ".removed-0123456789AB"):
        (run.parent / name).mkdir()
    elsewhere = run.parent.parent / "elsewhere"
    elsewhere.mkdir()
    (run.parent / ".removed-0123456789ab").symlink_to(elsewhere)
    (run.parent / ".removed-0123456789ac").touch()
    (run.parent / ".removed-0123456789ad" / "last.pt").mkdir(parents=True)
    remove_run(run)
    assert len(os.listdir(run.parent)) == 6
    assert elsewhere.exists()


@pytest.mark.parametrize("member", [False, True])
def test_a_run_being_trained_is_refused(run: Path, member: bool) -> None:
    busy = run
    if member:
        (run / MEMBERS_NAME).mkdir()
        busy = save_run(run / MEMBERS_NAME / "seed-0")
    with locked(busy), pytest.raises(CheckpointError, match="being trained"):
        check_removable("x", run.parent)
    assert run.exists()


def test_a_directory_under_a_name_of_the_runs_is_the_users(run: Path) -> None:
    (run / "best.pt").mkdir()
    (run / "best.pt" / "mine").touch()
    with pytest.raises(CheckpointError, match=r"holds what is not the run's: .*best\.pt"):
        check_removable("x", run.parent)


@pytest.mark.parametrize("name", ["notes.txt", "members/seed-0/notes.txt", "members/notes.txt"])
def test_a_run_with_files_of_the_user_is_refused(run: Path, name: str) -> None:
    (run / MEMBERS_NAME).mkdir()
    save_run(run / MEMBERS_NAME / "seed-0")
    (run / name).touch()
    with pytest.raises(CheckpointError, match=r"holds what is not the run's: .*notes\.txt"):
        check_removable("x", run.parent)


def test_a_link_is_refused(run: Path) -> None:
    (run.parent / "link").symlink_to(run)
    with pytest.raises(CheckpointError, match="symbolic link"):
        check_removable("link", run.parent)


def test_size_is_that_of_all_files(run: Path) -> None:
    before = size_of(run)
    (run / MEMBERS_NAME).mkdir()
    (run / MEMBERS_NAME / "x").write_bytes(bytes(100))
    (run / "link").symlink_to(run / "last.pt")
    link = (run / "link").lstat().st_size
    assert size_of(run) == before + 100 + link


def test_a_file_that_goes_meanwhile_has_no_size(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = size_of(run)
    walk = os.walk

    def walked(top: Path) -> Iterator[tuple[str, list[str], list[str]]]:
        yield from ((*rest, [*names, "gone.tmp"]) for *rest, names in walk(top))

    monkeypatch.setattr(os, "walk", walked)
    assert size_of(run) == before
