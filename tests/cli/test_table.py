"""Tables: what a narrow terminal leaves out first, and where numbers stand."""

import io
import re

import pytest
from rich.console import Console

from mnistctl.cli import table
from mnistctl.cli.output import Output
from mnistctl.cli.table import Column, show_table

COLUMNS = [
    Column("run", ["fast-1", "fast-10"]),
    Column("data set", ["mnist", "fashion"], expendable=True),
    Column("accuracy", ["99.12 %", "9.10 %"], right=True),
    Column("time", ["3 s", "10 min"], right=True, expendable=True),
]


def headings(width: int) -> list[str]:
    return [column.heading for column in table._that_fit(COLUMNS, width)]


def test_the_last_expendable_column_goes_first() -> None:
    assert headings(80) == ["run", "data set", "accuracy", "time"]
    assert headings(35) == ["run", "data set", "accuracy"]
    assert headings(25) == ["run", "accuracy"]
    assert headings(5) == ["run", "accuracy"]


@pytest.mark.parametrize("width", [12, 20, 30, 40, 60])
def test_nothing_is_cut_off(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two names that differ at their ends are told apart at any width."""
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, width=width, color_system=None)
    monkeypatch.setattr(Output, "console", lambda self: console)
    monkeypatch.setattr(table, "is_terminal", lambda stream: True)
    names = ["/home/user/pictures/my-digits-v1", "/home/user/pictures/my-digits-v2"]
    columns = [Column("key", ["dataset"]), *(Column("r", [name], folds=True) for name in names)]
    show_table(Output(), columns)
    shown = terminal.getvalue()
    assert max(map(len, shown.splitlines())) <= width
    joined = re.sub(r"\s", "", shown)
    for letter in "dataset" + "".join(names):
        joined = joined.replace(letter, "", 1)
    assert sorted(joined) == sorted("keyrr")


def test_numbers_end_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(Output(), COLUMNS)
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading == "run      data set  accuracy    time"
    assert first == "fast-1   mnist      99.12 %     3 s"
    assert second == "fast-10  fashion     9.10 %  10 min"
