"""What a person may type for a checkpoint or a run, and what each refusal says."""

import json
import os
import shlex
from pathlib import Path

import pytest
from runs_made import finish, save_run, saved

from mnistctl.errors import CheckpointError
from mnistctl.store import checkpoint
from mnistctl.store import resolve as resolve_module
from mnistctl.store.find import find_run, match_run
from mnistctl.store.resolve import resolve


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs first-1 (finished), first-2 (finished, best), second (interrupted), oldest first."""
    monkeypatch.setattr(resolve_module, "SHIPPED", tmp_path / "shipped.pt")
    directory = tmp_path / "runs"
    directory.mkdir()
    for age, (name, step) in enumerate([("first-1", 1), ("first-2", 2), ("second", 3)]):
        run = save_run(directory / name, step)
        if name != "second":
            finish(run, validation=0.9 if name == "first-2" else None)
        for file in run.iterdir():
            os.utime(file, (1e9 + age, 1e9 + age))
    best = saved(metrics={"epoch": 1, "validation_accuracy": 0.9})
    checkpoint.save(directory / "first-2" / "best.pt", best)
    return directory


def found(argument: str | None, store: Path) -> str:
    return str(resolve(argument, store).path.relative_to(store))


def test_every_way_to_say_it(store: Path) -> None:
    assert found(None, store) == "first-2/best.pt"
    assert found("latest", store) == "first-2/best.pt"
    assert found("best", store) == "first-2/best.pt"
    assert found("first-1", store) == "first-1/last.pt"
    assert found("sec", store) == "second/last.pt"
    assert found("first-1/", store) == found("./first-1", store) == "first-1/last.pt"
    assert found(str(store / "first-1"), store) == "first-1/last.pt"
    assert found(str(store / "first-2" / "last.pt"), store) == "first-2/last.pt"


def test_names_in_pictures_tell_apart(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve("first-1", store).name == "first-1"
    assert resolve(str(store / "first-2"), store).name == "first-2"
    assert resolve(str(store / "first-2" / "last.pt"), store).name == "first-2/last.pt"
    monkeypatch.chdir(store / "first-1")
    assert resolve("last.pt", store).name == "first-1/last.pt"
    (store / "first-1" / "last.pt").rename("mine.pt")
    assert resolve("mine.pt", store).name == "mine.pt"


def test_a_run_comes_before_a_directory_of_its_name(
    store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "second").mkdir()
    monkeypatch.chdir(tmp_path)
    assert found("second", store) == "second/last.pt"


def test_shipped_is_the_last_resort(store: Path, tmp_path: Path) -> None:
    checkpoint.save(resolve_module.SHIPPED, saved())
    assert resolve(None, store).path.parent == store / "first-2"
    assert resolve(None, tmp_path / "no-store").label == "shipped weights"
    assert resolve("shipped", store).path == resolve_module.SHIPPED
    assert resolve("shipped", store).name == "shipped weights"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("first", "several runs: first-1, first-2"),
        ("third", "no run called 'third'"),
        ("third.pt", "does not exist"),
        ("no/such", "does not exist"),
        ("link", "symbolic link"),
        ("", "can't name"),
        ("a\0b", "can't name"),
    ],
)
def test_refusals(argument: str, message: str, store: Path) -> None:
    (store / "link").symlink_to(store / "first-1")
    with pytest.raises(CheckpointError, match=message):
        resolve(argument, store)


def test_candidates_are_named(store: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        match_run("third", store, ())
    assert caught.value.hint == "runs: first-1, first-2, second"


def test_empty_store(tmp_path: Path) -> None:
    for argument in ("latest", "best"):
        with pytest.raises(CheckpointError, match="no finished run"):
            resolve(argument, tmp_path / "runs")
    with pytest.raises(CheckpointError, match="no run in the store"):
        find_run("latest", tmp_path / "runs")


def test_nothing_is_chosen_on_the_test_set(store: Path) -> None:
    (store / "first-2" / "result.json").unlink()
    with pytest.raises(CheckpointError, match="nothing is chosen on the test set"):
        resolve("best", store)


def test_a_damaged_last_is_replaced_by_previous_with_a_word(store: Path) -> None:
    run = store / "first-1"
    (run / "previous.pt").write_bytes((run / "last.pt").read_bytes())
    (run / "last.pt").write_bytes(b"PK\x03\x04")
    result = resolve("first-1", store)
    assert result.path.name == "previous.pt"
    assert "last.pt is damaged" in result.warnings[0]
    assert "using previous.pt instead" in result.warnings[0]


def test_a_damaged_best_is_never_replaced_by_another_network(store: Path) -> None:
    (store / "first-2" / "best.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError, match=r"best\.pt is damaged"):
        resolve("first-2", store)


def test_the_network_that_was_tested_is_the_runs(store: Path) -> None:
    """Where best.pt was lost before the test, it is the last one."""
    run = store / "first-2"
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps(result | {"checkpoint": "last.pt"}))
    (run / "best.pt").write_bytes(b"PK\x03\x04")
    assert resolve("first-2", store).path.name == "last.pt"


def test_runs_to_continue(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert find_run("latest", store).name == "second"
    assert find_run("sec", elsewhere / ".." / "runs").name == "second"
    assert find_run(str(store / "second"), elsewhere).directory == store / "second"
    monkeypatch.chdir(tmp_path)
    assert find_run("runs/second", elsewhere).directory == Path("runs/second")


@pytest.mark.parametrize(
    "argument", ["../runs/third", "..", "/", "runs/link", "runs", "./nothing/x"]
)
def test_what_can_not_be_continued(
    argument: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (store / "link").symlink_to(store / "second")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below" if argument.startswith("..") else tmp_path)
    with pytest.raises(CheckpointError):
        find_run(argument, store)


def test_a_hostile_run_is_passed_over_by_latest(store: Path) -> None:
    for name in ("best.pt", "last.pt", "previous.pt"):
        (store / "first-2" / name).write_bytes(b"PK\x03\x04 and more")
    for argument in (None, "latest"):
        taken = resolve(argument, store)
        assert taken.path.parent.name == "first-1"
        assert "best.pt is damaged" in taken.warnings[0]
        assert "an older run is taken" in taken.warnings[0]
    (store / "first-1" / "last.pt").unlink()
    with pytest.raises(CheckpointError, match=r"first-2/best\.pt is damaged"):
        resolve("latest", store)
    assert {run.name for run in resolve_module.list_runs(store)} == {"first-1", "first-2", "second"}


@pytest.mark.parametrize("argument", ["x" * 300, "x" * 300 + ".pt", "a/" + "x" * 300, "x" * 5000])
def test_names_too_long_for_any_file(argument: str, store: Path) -> None:
    with pytest.raises(CheckpointError):
        resolve(argument, store)
    with pytest.raises(CheckpointError):
        find_run(argument, store)


def test_the_command_in_a_hint_is_quoted_for_the_shell(tmp_path: Path) -> None:
    store = tmp_path / "my runs; rm x"
    store.mkdir()
    (save_run(store / "x") / "members").mkdir()
    (store / "x" / "last.pt").unlink()
    with pytest.raises(CheckpointError) as caught:
        resolve("x", store)
    command = caught.value.hint.removeprefix("finish it: ")
    assert shlex.split(command) == ["mnistctl", "train", "--resume", "x", "--store", str(store)]
