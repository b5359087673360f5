"""Names, states and the lock of runs; last.pt and previous.pt."""

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from runs_made import CONFIG, RESULT, checkpoint_at, finish, save_run

from mnistctl.errors import CheckpointError, UsageError
from mnistctl.store import checkpoint, runs
from mnistctl.store.config import RunConfig
from mnistctl.store.lock import LOCK_NAME, is_locked, locked
from mnistctl.store.result import MemberScore, RunResult, ValidationScore
from mnistctl.store.rotation import load_newest, save_last, saved_config

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


@pytest.mark.parametrize("what", ["run", "file", "link", "directory"])
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
        (taken / "mine").touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="exists already") as caught:
        runs.create_run(tmp_path, CONFIG, "x")
    assert ("--resume x" in caught.value.hint) == (what == "run")
    assert "another --name" in caught.value.hint
    assert sorted(tmp_path.rglob("*")) == before


def test_staging_directories_of_a_crash_are_swept_when_old(tmp_path: Path) -> None:
    for name in ("fresh", "stale"):
        (tmp_path / f".{name}.tmp").mkdir()
        (tmp_path / f".{name}.tmp" / "config.json").touch()
    old = time.time() - 2 * runs.STALE_SECONDS
    os.utime(tmp_path / ".stale.tmp", (old, old))
    runs.create_run(tmp_path, CONFIG, "x")
    assert sorted(os.listdir(tmp_path)) == [".fresh.tmp", "x"]
    assert [run.name for run in runs.list_runs(tmp_path)] == ["x"]


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
    longer = replace(CONFIG, recipe=replace(CONFIG.recipe, epochs=9))
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
        '{"epochs": ' + "9" * 5_000 + "}",
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


WRONG_RESULTS: dict[str, dict[str, Any]] = {
    "a field too few": {"test": None},
    "a field too many": {"more": 1},
    "a word for a number": {"train_seconds": "1"},
    "a yes for a number": {"epochs": True},
    "half an epoch": {"epochs": 1.5},
    "no number": {"train_seconds": float("nan")},
    "no end": {"images_per_second": float("inf")},
    "beyond a float": {"train_seconds": 10**400},
    "a list for a score": {"test": [1, 2]},
    "a score of other fields": {"test": {"loss": 0.1, "accuracy": 0.9}},
    "a score that is no number": {"test": vars(RESULT.test) | {"accuracy": float("nan")}},
    "a score beyond a float": {"test": vars(RESULT.test) | {"loss": 10**400}},
    "a validation that is a number": {"validation": 0.9},
    "a member that is a number": {"members": [3]},
    "a member of other fields": {"members": [{"seed": 1}]},
    "members that are a number": {"members": 3},
    "a path that is a list": {"checkpoint": ["last.pt"]},
}


@pytest.mark.parametrize("change", WRONG_RESULTS.values(), ids=WRONG_RESULTS)
def test_a_result_of_another_shape_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    document = RESULT.to_dict() | change
    with pytest.raises((KeyError, TypeError, ValueError)):
        RunResult.from_dict(document)
    directory = save_run(tmp_path / "x")
    finish(directory)
    assert runs.describe(directory).state == "finished"
    (directory / "result.json").write_text(json.dumps(document))
    run = runs.describe(directory)
    assert (run.state, run.result) == ("interrupted", None)


def test_a_result_reads_back_as_it_was_written() -> None:
    whole = replace(
        RESULT,
        validation=ValidationScore(loss=0.2, accuracy=0.5, total=10, epoch=2),
        members=(MemberScore(seed=3, accuracy=0.8), MemberScore(seed=4, accuracy=0.9)),
    )
    for result in (RESULT, whole):
        assert RunResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result


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


def test_looking_does_not_keep_a_writer_out(tmp_path: Path) -> None:
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
        save_last(tmp_path, checkpoint_at(step=step))
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


def test_a_kill_between_link_and_rename_is_made_good(tmp_path: Path) -> None:
    save_last(tmp_path, checkpoint_at(step=1))
    os.link(tmp_path / "last.pt", tmp_path / "previous.pt")
    save_last(tmp_path, checkpoint_at(step=2))
    assert step_of(checkpoint.load(tmp_path / "previous.pt")) == 1
    assert sorted(os.listdir(tmp_path)) == ["last.pt", "previous.pt"]


def test_a_damaged_last_never_replaces_a_good_previous(tmp_path: Path) -> None:
    save_last(tmp_path, checkpoint_at(step=1))
    save_last(tmp_path, checkpoint_at(step=2))
    (tmp_path / "last.pt").write_bytes((tmp_path / "last.pt").read_bytes()[:-100])
    newest = load_newest(tmp_path)
    assert newest.path.name == "previous.pt"
    assert "last.pt is damaged" in newest.problems[0]
    save_last(tmp_path, checkpoint_at(step=2), keep_previous=not newest.problems)
    assert step_of(checkpoint.load(tmp_path / "previous.pt")) == 1
    (tmp_path / "last.pt").unlink()
    (tmp_path / "previous.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"previous\.pt is empty"):
        load_newest(tmp_path)


def test_a_checkpoint_of_another_run_is_not_continued(tmp_path: Path) -> None:
    save_last(tmp_path, checkpoint_at(step=1))
    other = replace(CONFIG, seed=7)
    with pytest.raises(CheckpointError, match="another run: its seed differs"):
        load_newest(tmp_path, other)
    longer = replace(CONFIG, recipe=replace(CONFIG.recipe, epochs=50))
    assert load_newest(tmp_path, longer).checkpoint


def test_hard_linked_previous_is_no_alias_of_the_new_last(tmp_path: Path) -> None:
    save_last(tmp_path, checkpoint_at(step=1))
    save_last(tmp_path, checkpoint_at(step=2))
    assert not os.path.samefile(tmp_path / "last.pt", tmp_path / "previous.pt")
    last, previous = (checkpoint.load(tmp_path / name) for name in ("last.pt", "previous.pt"))
    assert torch.equal(last.weights["w"], previous.weights["w"])
