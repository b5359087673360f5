"""From what is typed to a run."""

from pathlib import Path

import pytest
from runs_made import save_run

from mnistctl.errors import CheckpointError
from mnistctl.store.find import find_run

STORE = Path("runs")


@pytest.fixture(autouse=True)
def _runs() -> None:
    STORE.mkdir()
    for name in ("fast-1", "fast-2"):
        save_run(STORE / name)


@pytest.mark.parametrize(
    "argument",
    [
        *("fast-1", "fast-1/", "./fast-1", "runs/fast-1", "runs/fast-1/", "./runs/fast-1"),
        "runs/fast-1/last.pt",
    ],
)
def test_names_and_paths(argument: str) -> None:
    assert find_run(argument, STORE).directory == STORE / "fast-1"


def test_a_file_of_the_run_that_one_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("runs/fast-1")
    for argument in ("last.pt", "./last.pt", "."):
        assert find_run(argument, STORE).directory.name == "fast-1"


def test_a_directory_that_is_written_as_one_is_meant() -> None:
    """Not the store's run of that name."""
    save_run(Path("fast-1"))
    assert find_run("fast-1", STORE).directory == STORE / "fast-1"
    for argument in ("./fast-1", "fast-1/"):
        assert find_run(argument, STORE).directory == Path("fast-1")
    assert find_run("runs/../fast-1", STORE).directory == Path("fast-1").absolute()


def test_places_without_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    absolute = STORE.absolute() / "fast-1"
    assert find_run(str(absolute), STORE).directory == absolute
    monkeypatch.chdir("runs")
    assert find_run("fast-1", STORE).directory == Path("fast-1")
    monkeypatch.chdir("fast-1")
    assert find_run(".", STORE).name == "fast-1"


def test_latest_is_of_any_state() -> None:
    assert find_run("latest", STORE).name == "fast-2"


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("fats-1", "did you mean 'fast-1'?"),
        ("lates", "did you mean 'latest'?"),
        ("fast", "matches several runs: fast-1, fast-2"),
        ("runs/nothing", "not a run's directory"),
        ("../runs/fast-1", "runs/fast-1 is not a run's directory"),
        ("/", "can't name a run"),
        ("bst", "no run called 'bst' in the store runs"),
    ],
)
def test_refused(argument: str, message: str) -> None:
    with pytest.raises(CheckpointError) as error:
        find_run(argument, STORE)
    assert message in error.value.message
