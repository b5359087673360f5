"""Tables: what a narrow terminal leaves out first, and where numbers stand."""

import pytest

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


def test_numbers_end_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(Output(), COLUMNS)
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading == "run      data set  accuracy    time"
    assert first == "fast-1   mnist      99.12 %     3 s"
    assert second == "fast-10  fashion     9.10 %  10 min"
