"""Names, states and the lock of runs; last.pt and previous.pt."""

import json
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from runs_made import CONFIG, finish, save_run, saved

from mnistctl.errors import CheckpointError, UsageError
from mnistctl.store import checkpoint, runs
from mnistctl.store.config import RunConfig
from mnistctl.store.lock import LOCK_NAME, is_locked, locked
from mnistctl.store.rotation import load_best, load_newest, save_last, saved_config

GOOD_NAMES = ("a", "cnn-small-1", "2026.11.21_x", "A" * 100, "console", "lpt")
BAD_NAMES = (
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a\\b",
    "/x",
    "a..b",
    "-x",
    ".x",
    "x.",
    "A" * 101,
    "a b",
    "ä",
) + ("latest", "best", "shipped", "x.pt", "x.pth", "x\n", "x\0", "CON", "nul.txt", "Com1", "~")


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_good_names(name: str, tmp_path: Path) -> None:
    assert runs.create_run(tmp_path, CONFIG, name) == tmp_path / name


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names(name: str, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with pytest.raises(UsageError, match="can't name a run"):
        runs.create_run(store, CONFIG, name)
    assert not store.exists()


def test_a_run_gets_its_name_with_its_configuration(tmp_path: Path) -> None:
    directory = runs.create_run(tmp_path, CONFIG, "x")
    assert os.listdir(tmp_path) == ["x"]
    assert RunConfig.from_dict(json.loads((directory / "config.json").read_text())) == CONFIG


def test_numbers_go_on_and_names_are_unique_under_threads(tmp_path: Path) -> None:
    made: list[str] = []

    def create() -> None:
        made.extend(runs.create_run(tmp_path, CONFIG).name for _ in range(5))

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == sorted(f"mlp-{n}" for n in range(1, 31))
    assert sorted(os.listdir(tmp_path)) == sorted(made)


def test_a_new_run_has_a_higher_number_than_those_before_it(tmp_path: Path) -> None:
    for _ in range(3):
        runs.create_run(tmp_path, CONFIG)
    for number in (1, 2):
        shutil.rmtree(tmp_path / f"mlp-{number}")
    assert runs.create_run(tmp_path, CONFIG).name == "mlp-4"


@pytest.mark.parametrize("what", ["run", "file", "link", "directory", "empty directory"])
def test_a_taken_name_is_left_alone(what: str, tmp_path: Path) -> None:
    taken = tmp_path / "x"
    if what == "run":
        save_run(taken)
    elif what == "file":
        taken.write_text("mine")
    elif what == "link":
        (tmp_path / "elsewhere").mkdir()
        taken.symlink_to(tmp_path / "elsewhere")
    else:
        taken.mkdir()
        if what == "directory":
            (taken / "mine").touch()
    inode = taken.lstat().st_ino
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="exists already") as caught:
        runs.create_run(tmp_path, CONFIG, "x")
    assert ("--resume x" in caught.value.hint) == (what == "run")
    assert "another --name" in caught.value.hint
    assert sorted(tmp_path.rglob("*")) == before
    assert taken.lstat().st_ino == inode


OWN = ".mnistctl-0123456789ab.tmp"


def aged(directory: Path) -> Path:
    old = time.time() - 2 * runs.STALE_SECONDS
    os.utime(directory, (old, old))
    return directory


def staged(directory: Path) -> Path:
    """What a process leaves that is killed before its run has a name."""
    directory.mkdir()
    for name in (runs.STAGING_NAME, "config.json", OWN):
        (directory / name).touch()
    return directory


def test_what_a_crash_left_in_staging_is_swept_when_old(tmp_path: Path) -> None:
    staged(tmp_path / ".mnistctl-00000000000f.tmp")
    aged(staged(tmp_path / OWN))
    (tmp_path / ".mnistctl-00000000000e.tmp").mkdir()
    aged(tmp_path / ".mnistctl-00000000000e.tmp")
    runs.create_run(tmp_path, CONFIG, "x")
    assert sorted(os.listdir(tmp_path)) == [".mnistctl-00000000000f.tmp", "x"]
    assert [run.name for run in runs.list_runs(tmp_path)] == ["x"]


def test_nothing_of_the_users_is_swept(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    aged(staged(store / ".my-work.tmp"))
    aged(staged(store / ".0123456789ab.tmp"))
    (store / OWN).mkdir()
    (store / OWN / "config.json").touch()  # of its name, without its mark
    aged(store / OWN)
    elsewhere = aged(staged(tmp_path / "elsewhere"))
    (store / ".mnistctl-00000000000e.tmp").symlink_to(elsewhere)
    mixed = staged(store / ".mnistctl-00000000000f.tmp")
    (mixed / "mine").write_text("precious")
    aged(mixed)
    before = {path for path in tmp_path.rglob("*") if path.parent != mixed}
    run = runs.create_run(store, CONFIG, "x")
    with runs.writing(run):
        pass
    after = {p for p in tmp_path.rglob("*") if run not in (p, p.parent) and p.parent != mixed}
    assert after == before
    assert os.listdir(mixed) == ["mine"]


def test_a_clock_that_went_back_sweeps_nothing(tmp_path: Path) -> None:
    later = time.time() + 10 * runs.STALE_SECONDS
    os.utime(staged(tmp_path / OWN), (later, later))
    runs.create_run(tmp_path, CONFIG, "x")
    assert sorted(os.listdir(tmp_path)) == [OWN, "x"]


def test_the_mark_of_a_kill_after_the_rename_goes_with_the_first_writer(tmp_path: Path) -> None:
    directory = runs.create_run(tmp_path, CONFIG, "x")
    assert os.listdir(directory) == ["config.json"]
    (directory / runs.STAGING_NAME).touch()
    with runs.writing(directory):
        assert not (directory / runs.STAGING_NAME).exists()


@pytest.mark.parametrize("store", ["file", "file/below", "/proc/nowhere"])
def test_a_store_that_can_not_be(store: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="store") as caught:
        runs.create_run(tmp_path / store, CONFIG)
    assert "--store" in caught.value.hint


def test_states(tmp_path: Path) -> None:
    for name in ("none-yet", "stopped", "done", "extended", "broken"):
        save_run(tmp_path / name)
    for name in ("none-yet",):
        (tmp_path / name / "last.pt").unlink()
    finish(tmp_path / "done")
    finish(tmp_path / "extended")
    longer = replace(CONFIG, recipe=replace(CONFIG.recipe, epochs=20))
    runs.write_json(tmp_path / "extended", "config.json", longer.to_dict())
    (tmp_path / "broken" / "config.json").write_text('{"recipe"')
    (tmp_path / "no-run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "done")
    states = {run.name: run.state for run in runs.list_runs(tmp_path)}
    assert states == {
        "none-yet": "interrupted",
        "stopped": "interrupted",
        "done": "finished",
        "extended": "interrupted",
        "broken": "damaged",
    }
    with runs.writing(tmp_path / "done"):
        assert runs.describe(tmp_path / "done").state == "running"
    assert runs.describe(tmp_path / "done").state == "finished"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 99_999,
        '{"epochs": 1, "test": 3}',
        '{"epochs": 1e999}',
        "\xff",
        "null",
    ],
)
def test_damaged_json_is_no_result_and_no_configuration(text: str, tmp_path: Path) -> None:
    directory = save_run(tmp_path / "x")
    (directory / "result.json").write_text(text)
    assert runs.describe(directory).state == "interrupted"
    (directory / "config.json").write_text(text)
    assert runs.describe(directory).state == "damaged"
    assert saved_config(directory) == CONFIG


@pytest.mark.parametrize("name", ["config.json", "result.json"])
@pytest.mark.parametrize("number", ["1" + "0" * 400, "1" * 5000, "NaN", "-Infinity", "1e999"])
def test_numbers_beyond_json_are_damage(number: str, name: str, tmp_path: Path) -> None:
    directory = save_run(tmp_path / "x")
    finish(directory)
    document = json.loads((directory / name).read_text()) | {"seed": 0}
    if name == "result.json":
        document["test"]["accuracy"] = "HERE"
    else:
        document["threads"] = "HERE"
    (directory / name).write_text(json.dumps(document).replace('"HERE"', number))
    state = "damaged" if name == "config.json" else "interrupted"
    assert runs.describe(directory).state == state


@pytest.mark.parametrize("name", ["config.json", "result.json"])
def test_a_pipe_or_a_huge_file_is_no_document(name: str, tmp_path: Path) -> None:
    directory = save_run(tmp_path / "x")
    for make in (os.mkfifo, lambda path: path.write_bytes(b" " * (runs.MAX_JSON_BYTES + 1))):
        (directory / name).unlink(missing_ok=True)
        make(directory / name)
        assert runs.read_json(directory, name) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", "0"), ("threads", 1.5), ("log_every", 0), ("versions", [1]), ("device", None)],
)
def test_a_configuration_of_other_kinds_is_damaged(key: str, value: object, tmp_path: Path) -> None:
    document = CONFIG.to_dict() | {key: value}
    with pytest.raises((TypeError, ValueError)):
        RunConfig.from_dict(document)


@pytest.mark.parametrize(
    ("key", "value"),
    [("epochs", "3"), ("network", 7), ("learning_rate", float("nan")), ("batch_size", 0)],
)
def test_a_recipe_that_can_not_train_is_damaged(key: str, value: object) -> None:
    document = CONFIG.to_dict()
    document["recipe"][key] = value
    with pytest.raises((TypeError, ValueError)):
        RunConfig.from_dict(document)


def test_one_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mnistctl.store.lock.PATIENCE", 0.05)
    assert not is_locked(tmp_path)
    with locked(tmp_path) as first:
        assert first
        assert is_locked(tmp_path)
        second = runs.writing(tmp_path)
        with pytest.raises(CheckpointError, match="trained by another process"):
            second.__enter__()
    assert not is_locked(tmp_path)


def test_who_looks_is_not_taken_for_a_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no shared locks, two that look at once are in each other's way."""
    (tmp_path / LOCK_NAME).touch()
    answers = iter([False, False, True])
    monkeypatch.setattr("mnistctl.store.lock._try_lock", lambda *own, **kind: next(answers))
    monkeypatch.setattr("mnistctl.store.lock.LOOKS", 5)
    assert not is_locked(tmp_path)
    assert not list(answers)


def test_looking_does_not_keep_a_writer_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mnistctl.store.lock.PATIENCE", 20.0)  # a busy machine may pause a thread
    (tmp_path / LOCK_NAME).touch()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            is_locked(tmp_path)

    watchers = [threading.Thread(target=look) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(20):
            with locked(tmp_path) as free:
                assert free
    finally:
        stop.set()
        for watcher in watchers:
            watcher.join()


def test_the_lock_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (tmp_path / LOCK_NAME).symlink_to(outside)
    with pytest.raises(CheckpointError, match="can't write"):
        runs.writing(tmp_path).__enter__()
    assert not outside.exists()


def step_of(found: checkpoint.Checkpoint) -> int:
    assert found.training
    return int(found.training["step"])


def test_previous_is_the_one_before(tmp_path: Path) -> None:
    for step in range(4):
        save_last(tmp_path, saved(step=step))
        newest = load_newest(tmp_path)
        assert newest.checkpoint
        assert step_of(newest.checkpoint) == step
        if step:
            assert step_of(checkpoint.load(tmp_path / "previous.pt")) == step - 1
    assert sorted(os.listdir(tmp_path)) == ["last.pt", "previous.pt"]


def test_previous_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", no_link)
    test_previous_is_the_one_before(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks files up in /proc")
def test_a_copied_previous_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    synced, named = set(), []
    fsync, replace_file = os.fsync, os.replace

    def noted_sync(descriptor: int) -> None:
        synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        named.append((Path(target).name, str(source) in synced))
        replace_file(source, target)

    monkeypatch.setattr(os, "link", no_link)
    save_last(tmp_path, saved(step=1))
    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted_replace)
    save_last(tmp_path, saved(step=2))
    assert named == [("previous.pt", True), ("last.pt", True)]


def test_a_kill_between_link_and_rename_is_made_good(tmp_path: Path) -> None:
    save_last(tmp_path, saved(step=1))
    os.link(tmp_path / "last.pt", tmp_path / "previous.pt")
    save_last(tmp_path, saved(step=2))
    assert step_of(checkpoint.load(tmp_path / "previous.pt")) == 1
    assert sorted(os.listdir(tmp_path)) == ["last.pt", "previous.pt"]


def test_a_damaged_last_never_replaces_a_good_previous(tmp_path: Path) -> None:
    save_last(tmp_path, saved(step=1))
    save_last(tmp_path, saved(step=2))
    (tmp_path / "last.pt").write_bytes((tmp_path / "last.pt").read_bytes()[:-100])
    newest = load_newest(tmp_path)
    assert newest.path.name == "previous.pt"
    assert "last.pt is damaged" in newest.problems[0]
    save_last(tmp_path, saved(step=2), keep_previous=not newest.problems)
    assert step_of(checkpoint.load(tmp_path / "previous.pt")) == 1
    (tmp_path / "last.pt").unlink()
    (tmp_path / "previous.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"previous\.pt is empty"):
        load_newest(tmp_path)


@pytest.mark.parametrize("change", [{"seed": 7}, {"validation": 5}, {"dataset_sha256": "1" * 64}])
def test_a_checkpoint_of_another_run_is_not_continued(
    change: dict[str, Any], tmp_path: Path
) -> None:
    save_last(tmp_path, saved(step=1))
    best = saved(metrics={"epoch": 1, "validation_accuracy": 0.9})
    checkpoint.save(tmp_path / "best.pt", best)
    other = replace(CONFIG, **change)
    (key,) = change
    for load in (load_newest, load_best):
        assert load(tmp_path, CONFIG)
        with pytest.raises(CheckpointError, match=f"another run: its {key} differs"):
            load(tmp_path, other)
    longer = replace(CONFIG, recipe=replace(CONFIG.recipe, epochs=50))
    assert load_newest(tmp_path, longer).checkpoint


def test_hard_linked_previous_is_no_alias_of_the_new_last(tmp_path: Path) -> None:
    save_last(tmp_path, saved(step=1))
    save_last(tmp_path, saved(step=2))
    assert not os.path.samefile(tmp_path / "last.pt", tmp_path / "previous.pt")
    last, previous = (checkpoint.load(tmp_path / name) for name in ("last.pt", "previous.pt"))
    assert torch.equal(last.weights["w"], previous.weights["w"])
