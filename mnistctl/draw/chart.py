"""Curves and clouds of points drawn with characters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.style import Style
from rich.text import Text

from mnistctl.draw.terminal import WRONG, has_blocks
from mnistctl.draw.types import Values
from mnistctl.text import escaped

COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#F0E442")
# The figure's colours of the classes, with those too dark for a dark terminal made lighter.
CLASS_COLOURS: tuple[str, ...] = (
    "#3A9BDC",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#CC79A7",
    "#F0E442",
    "#B0B0B0",
    "#8A8A8A",
    "#C04A80",
)
MARKS, ASCII_MARKS = "●○▲△■□", "*o+x#@"
HEIGHT, LEAST_HEIGHT = 12, 4
LABEL_WIDTH = 7


@dataclass(frozen=True)
class Series:
    """Named points (x, y)."""

    name: str
    points: Sequence[tuple[float, float]]


def chart(
    title: str, series: Sequence[Series], x_label: str, console: Console, height: int = HEIGHT
) -> Text:
    """The points of all series as marks over one pair of axes, with a legend.

    Every series has a mark and a colour of its own; later ones lie on top. The axes carry round
    numbers, each at the line or column nearest to it.
    """
    import numpy as np

    blocks = has_blocks(console)
    marks = MARKS if blocks else ASCII_MARKS
    columns = max(10, console.width - LABEL_WIDTH - 2)
    points = np.array([point for own in series for point in own.points], float)
    (left, low), (right, high) = points.min(0), points.max(0)
    left = min(left, 0.0)
    cells = [[(" ", "")] * columns for _ in range(height)]
    for number, own in enumerate(series):
        mark, colour = _look(number, marks)
        for x, y in own.points:
            column = _place(x, left, right, columns)
            cells[height - 1 - _place(y, low, high, height)][column] = (mark, colour)
    labels = {height - 1 - _place(y, low, high, height): y for y in round_ticks(low, high, 4)}
    text = Text(f"{title} over {x_label}\n", no_wrap=True, overflow="crop")
    for row, line in enumerate(cells):
        label = f"{labels[row]:.6g}" if row in labels else ""
        text.append(f"{label:>{LABEL_WIDTH}} {'│' if blocks else '|'}")
        for mark, colour in line:
            text.append(mark, Style(color=colour) if colour else None)
        text.append("\n")
    indent, axis = " " * (LABEL_WIDTH + 2), [" "] * columns
    for x in round_ticks(left, right, 5):
        written = f"{x:.6g}"
        start = min(_place(x, left, right, columns), columns - len(written))
        axis[start : start + len(written)] = written
    text.append(f"{indent}{''.join(axis)}\n")
    for number, own in enumerate(series):
        mark, colour = _look(number, marks)
        text.append(indent + mark, Style(color=colour))
        text.append(f" {escaped(own.name)}\n")
    text.rstrip()
    return text


def _look(number: int, marks: str) -> tuple[str, str]:
    """Mark and colour of a series, no pair twice before there are as many as there can be."""
    turn, place = divmod(number, len(COLOURS))
    return marks[(place + turn) % len(marks)], COLOURS[place]


def round_ticks(low: float, high: float, number: int) -> list[float]:
    """About `number` multiples of 1, 2 or 5 times a power of ten from `low` to `high`."""
    if not high > low:
        return [low]
    rough = (high - low) / number
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(own * power for own in (1, 2, 5, 10) if own * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    # Multiplied, not added up: 3 * 0.1 rounded is 0.3.
    return [round(k * step, 12) for k in range(first, last + 1)]


def scatter(
    points: Values,
    labels: Any,
    marks: Sequence[str],
    crossed: Any,
    console: Console,
    height: int,
) -> Text:
    """Points (n, 2): each cell shows its commonest label's mark, or a cross where most are crossed.

    `labels` int (n,) are indexes of `marks`, a character each; `crossed` is bool (n,).
    """
    import numpy as np

    width = max(10, min(console.width, 120))
    low, high = points.min(0), points.max(0)
    span = np.where(high > low, high - low, 1.0)
    share = (points - low) / span
    columns = np.minimum((share[:, 0] * width).astype(int), width - 1)
    rows = np.minimum(((1 - share[:, 1]) * height).astype(int), height - 1)
    counts = np.zeros((height, width, len(marks)), int)
    np.add.at(counts, (rows, columns, labels), 1)
    crosses = np.zeros((height, width), int)
    np.add.at(crosses, (rows[crossed], columns[crossed]), 1)
    cross = "×" if has_blocks(console) else "x"
    text = Text(no_wrap=True, overflow="crop")
    for count_row, cross_row in zip(counts, crosses, strict=True):
        for cell, num_crossed in zip(count_row, cross_row, strict=True):
            if 2 * num_crossed > cell.sum():
                text.append(cross, Style(bold=True, reverse=True, color=WRONG))
            elif cell.any():
                label = int(cell.argmax())
                colour = CLASS_COLOURS[label % len(CLASS_COLOURS)]
                text.append(marks[label], Style(color=colour))
            else:
                text.append(" ")
        text.append("\n")
    text.right_crop(1)
    return text


def _place(value: float, low: float, high: float, cells: int) -> int:
    share = (value - low) / (high - low) if high > low else 0.5
    return min(cells - 1, max(0, round(share * (cells - 1))))
