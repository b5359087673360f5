"""Tables of text: in colour on a terminal, plain and without trailing spaces elsewhere."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mnistctl.cli.output import Output, is_terminal

GAP = "  "


@dataclass(frozen=True)
class Column:
    """A heading and a cell for each row."""

    heading: str
    cells: Sequence[str]
    right: bool = False
    """Numbers end at the column's right edge."""
    expendable: bool = False
    """Left out where the terminal is too narrow."""
    styles: Mapping[str, str] = field(default_factory=dict)
    """Rich's styles of some cells, by their text."""

    @property
    def width(self) -> int:
        """Characters of the widest cell or the heading."""
        return max(map(len, [self.heading, *self.cells]))

    def padded(self, cell: str) -> str:
        """`cell` as wide as the column."""
        return cell.rjust(self.width) if self.right else cell.ljust(self.width)


def show_table(output: Output, columns: Sequence[Column]) -> None:
    """Print `columns` as a table; those without any content are left out."""
    shown = [column for column in columns if any(column.cells)]
    on_terminal = is_terminal(sys.stdout)
    if on_terminal:
        shown = _that_fit(shown, output.console().width)
    headings = [column.heading for column in shown]
    for row in (headings, *zip(*(column.cells for column in shown), strict=True)):
        parts = [column.padded(cell) for column, cell in zip(shown, row, strict=True)]
        if not on_terminal:
            output.line(GAP.join(parts).rstrip())
            continue
        from rich.text import Text

        line = Text(no_wrap=True, overflow="ellipsis")
        for column, cell, part in zip(shown, row, parts, strict=True):
            style = "bold" if row is headings else column.styles.get(cell, "")
            line.append(part, style).append(GAP)
        line.rstrip()
        output.console().print(line)


def _that_fit(columns: list[Column], width: int) -> list[Column]:
    """`columns` without expendable ones, the last first, until they fit in `width` characters."""
    while sum(column.width + len(GAP) for column in columns) - len(GAP) > width:
        expendable = [column for column in columns if column.expendable]
        if not expendable:
            break
        columns = [column for column in columns if column is not expendable[-1]]
    return columns
