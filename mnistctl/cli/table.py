"""Tables of text: in colour on a terminal, plain and without trailing spaces elsewhere."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mnistctl.cli.output import Output
from mnistctl.cli.streams import is_terminal
from mnistctl.text import escaped

GAP = "  "
FOLDED_WIDTH = 24


@dataclass(frozen=True)
class Column:
    """A heading and a cell for each row."""

    heading: str
    cells: Sequence[str]
    right: bool = False
    """Numbers end at the column's right edge."""
    expendable: bool = False
    """Left out where the terminal is too narrow."""
    folds: bool = False
    """Broken into lines where the terminal is too narrow."""
    styles: Mapping[str, str] = field(default_factory=dict)
    """Rich's styles of some cells, by their text."""

    @property
    def width(self) -> int:
        """Characters of the widest cell or the heading."""
        return max(map(_columns_of, [self.heading, *self.cells]))

    @property
    def least_width(self) -> int:
        """Characters that it can do with."""
        return min(self.width, FOLDED_WIDTH) if self.folds else self.width

    def padded(self, cell: str) -> str:
        """`cell` as wide as the column."""
        space = " " * (self.width - _columns_of(cell))
        return space + cell if self.right else cell + space


def _columns_of(text: str) -> int:
    """Columns of a terminal that `text` takes: wide characters take two."""
    from rich.cells import cell_len

    return cell_len(text)


def show_table(output: Output, columns: Sequence[Column]) -> None:
    """Print `columns` as a table; those without any content are left out."""
    shown = [
        # Before anything is measured: what a terminal would obey is shown as what it is.
        replace(column, heading=escaped(column.heading), cells=[*map(escaped, column.cells)])
        for column in columns
        if any(column.cells)
    ]
    if is_terminal(sys.stdout):
        _show_on_terminal(output, shown)
        return
    for row in ([column.heading for column in shown], *_rows(shown)):
        cells = (column.padded(cell) for column, cell in zip(shown, row, strict=True))
        output.line(GAP.join(cells).rstrip())


def _rows(columns: Sequence[Column]) -> Iterator[tuple[str, ...]]:
    return zip(*(column.cells for column in columns), strict=True)


def _show_on_terminal(output: Output, columns: list[Column]) -> None:
    from rich.table import Table
    from rich.text import Text

    console = output.console()
    columns = _that_fit(columns, console.width)
    fits = _least_width(columns) <= console.width
    table = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0))
    for column in columns:
        justify: Literal["right", "left"] = "right" if column.right else "left"
        table.add_column(
            Text(column.heading),
            justify=justify,
            min_width=column.least_width if fits else None,
            no_wrap=fits and not column.folds,
            overflow="fold",
        )
    for row in _rows(columns):
        table.add_row(
            *(Text(c, column.styles.get(c, "")) for column, c in zip(columns, row, strict=True))
        )
    console.print(table)


def _least_width(columns: Sequence[Column]) -> int:
    return sum(column.least_width + len(GAP) for column in columns)


def _that_fit(columns: list[Column], width: int) -> list[Column]:
    """`columns` without expendable ones, the last first, until they fit in `width` characters.

    If they never do, they are all broken into lines: nothing is cut off.
    """
    while _least_width(columns) > width:
        expendable = [column for column in columns if column.expendable]
        if not expendable:
            break
        columns = [column for column in columns if column is not expendable[-1]]
    return columns
