"""The list of faults keeps step with the program; `python -m tests.mutants` tries them."""

import ast
import json
from collections import Counter
from pathlib import Path

import pytest

from tests.mutants import __main__ as command
from tests.mutants.faults import ROOT, Fault, NotApplicable, all_faults, chosen, mirror
from tests.mutants.run import Result

FAULTS = all_faults()
AREAS = {
    *("training", "inference", "store", "data", "imaging", "cli", "visualize", "draw"),
    *("serve", "export"),
}
MADE_UP = Fault("store", "store/runs.py", "a", "b", "it hurts", ("store/test_runs.py",))


@pytest.mark.parametrize("area", sorted(AREAS))
def test_every_fault_is_one_place_of_a_module_that_still_compiles(area: str) -> None:
    for fault in (own for own in FAULTS if own.area == area):
        source = (ROOT / "mnistctl" / fault.file).read_text(encoding="utf-8")
        ast.parse(fault.applied(source))


def test_there_are_many_faults_and_no_two_alike() -> None:
    assert len(FAULTS) >= 120
    assert {fault.area for fault in FAULTS} == AREAS
    assert min(Counter(fault.area for fault in FAULTS).values()) >= 5
    assert len({(fault.file, fault.text, fault.replacement) for fault in FAULTS}) == len(FAULTS)


def test_every_test_named_is_there() -> None:
    for test in {test for fault in FAULTS for test in fault.tests}:
        path, _, name = test.partition("::")
        assert (ROOT / "tests" / path).exists(), test
        assert name in (ROOT / "tests" / path).read_text(encoding="utf-8") if name else True, test


def test_a_fault_is_told_from_one_that_is_there_no_more() -> None:
    assert MADE_UP.applied("x = a") == "x = b"
    for source in ("x = c", "a = a"):
        with pytest.raises(NotApplicable, match=r"store/runs\.py: its text is there"):
            MADE_UP.applied(source)


def test_modules_are_chosen_by_area_directory_or_file() -> None:
    assert chosen(FAULTS, []) == FAULTS
    assert {fault.area for fault in chosen(FAULTS, ["cli", "draw"])} >= {"cli", "draw"}
    lock = {fault.file for fault in chosen(FAULTS, ["mnistctl/store/lock.py"])}
    assert lock == {"store/lock.py"}
    assert chosen(FAULTS, ["store/loc"]) == []


def test_the_tests_of_a_module_are_those_under_its_name() -> None:
    assert mirror("store/runs.py", ROOT) == ("store/test_runs.py",)
    assert mirror("store/lock.py", ROOT) == ("store",)


class FakeCopy:
    """Notices by the tests' names."""

    tried = 0

    def __init__(self, directory: Path) -> None: ...

    def try_fault(self, fault: Fault, likely: str) -> Result:
        FakeCopy.tried += 1
        if fault.text == "gone":
            raise NotApplicable("gone")
        status = "noticed" if "noticed" in fault.why else "unnoticed"
        return Result(status, "store/test_runs.py::test_x" if status == "noticed" else "", 1.0)

    def unsound(self, tests: object) -> set[str]:
        return set()


@pytest.mark.parametrize(
    ("why", "text", "explained", "code"),
    [
        ("noticed", "a", "", 0),
        ("not", "a", "", 1),
        ("not", "a", "it can't matter", 0),
        ("noticed", "gone", "", 1),
    ],
)
def test_the_exit_code_says_whether_all_is_well(
    why: str, text: str, explained: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = Fault(
        "store", "store/runs.py", text, "b", why, ("store/test_runs.py",), explained=explained
    )
    monkeypatch.setattr(command, "all_faults", lambda: [fault])
    monkeypatch.setattr(command, "Copy", FakeCopy)
    monkeypatch.setattr("sys.argv", ["mutants", "--results", "r.jsonl"])
    FakeCopy.tried = 0
    assert command.main() == code
    assert command.main() == code
    assert FakeCopy.tried == 1  # the second time it was known
    records = [json.loads(line) for line in Path("r.jsonl").read_text().splitlines()]
    assert {record["file"] for record in records} == {"store/runs.py"}
