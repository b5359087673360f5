"""`result.json` is what a run ended with, of its shape or not believed; `best` goes by it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runs_made import RESULT, finish, save_run

from mnistctl.store import runs
from mnistctl.store.resolve import resolve
from mnistctl.store.result import MemberScore, RunResult, ValidationScore

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


def test_a_result_holds_no_settings() -> None:
    """They are in config.json alone, and can't contradict it."""
    assert RESULT.to_dict().keys() == {
        "epochs",
        "checkpoint",
        "parameters",
        "train_seconds",
        "images_per_second",
        "test",
        "validation",
        "members",
        "tf32",
    }


def test_the_best_run_has_the_highest_validation_accuracy(tmp_path: Path) -> None:
    """Whatever the test set says."""
    for name, validation, test in (("a", 0.8, 0.99), ("b", 0.9, 0.7), ("c", 0.7, 0.95)):
        finish(save_run(tmp_path / name), validation, test)
    assert resolve("best", tmp_path).path.parent.name == "b"
