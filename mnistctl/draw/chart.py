"""Curves and clouds of points drawn with characters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.style import Style
from rich.text import Text

from mnistctl.draw.terminal import has_blocks
from mnistctl.text import escaped

COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#F0E442")
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

    Every series has a mark and a colour of its own; later ones lie on top.
    """
    marks = MARKS if has_blocks(console) else ASCII_MARKS
    columns = max(10, console.width - LABEL_WIDTH - 2)
    points = np.array([point for own in series for point in own.points], float)
    (left, low), (right, high) = points.min(0), points.max(0)
    left = min(left, 0.0)
    cells = [[(" ", "")] * columns for _ in range(height)]
    for number, own in enumerate(series):
        mark, colour = marks[number % len(marks)], COLOURS[number % len(COLOURS)]
        for x, y in own.points:
            column = _place(x, left, right, columns)
            cells[height - 1 - _place(y, low, high, height)][column] = (mark, colour)
    text = Text(f"{title}\n", no_wrap=True, overflow="crop")
    for row, line in enumerate(cells):
        value = high - (high - low) * row / (height - 1)
        label = f"{value:.4g}" if row % 4 == 0 or row == height - 1 else ""
        text.append(f"{label:>{LABEL_WIDTH}} {'│' if has_blocks(console) else '|'}")
        for mark, colour in line:
            text.append(mark, Style(color=colour) if colour else None)
        text.append("\n")
    first, last = f"{left:.3g}", f"{right:.3g}"
    ends = f"{first}{x_label:^{columns - len(first + last)}}{last}"
    text.append(" " * (LABEL_WIDTH + 2) + ends + "\n")
    for number, own in enumerate(series):
        style = Style(color=COLOURS[number % len(COLOURS)])
        text.append(" " * (LABEL_WIDTH + 2) + marks[number % len(marks)], style)
        text.append(f" {escaped(own.name)}\n")
    text.rstrip()
    return text


def scatter(
    points: NDArray[np.floating],
    labels: NDArray[np.integer],
    marked: NDArray[np.bool_],
    console: Console,
) -> Text:
    """Points (n, 2): each cell shows the commonest of its labels 0..9, or a cross if one is marked.

    `labels` and `marked` are (n,).
    """
    width = max(10, min(console.width, 120))
    height = width // 3
    low, high = points.min(0), points.max(0)
    span = np.where(high > low, high - low, 1.0)
    share = (points - low) / span
    columns = np.minimum((share[:, 0] * width).astype(int), width - 1)
    rows = np.minimum(((1 - share[:, 1]) * height).astype(int), height - 1)
    counts = np.zeros((height, width, 10), int)
    np.add.at(counts, (rows, columns, labels), 1)
    crossed = np.zeros((height, width), bool)
    crossed[rows[marked], columns[marked]] = True
    cross = "×" if has_blocks(console) else "x"
    text = Text(no_wrap=True, overflow="crop")
    for count_row, cross_row in zip(counts, crossed, strict=True):
        for cell, is_crossed in zip(count_row, cross_row, strict=True):
            if is_crossed:
                text.append(cross, Style(bold=True, reverse=True))
            elif cell.any():
                digit = int(cell.argmax())
                text.append(str(digit), Style(color=CLASS_COLOURS[digit]))
            else:
                text.append(" ")
        text.append("\n")
    return text


# The figure's colours of the classes, with those too dark for a dark terminal made lighter.
CLASS_COLOURS = (
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


def _place(value: float, low: float, high: float, cells: int) -> int:
    share = (value - low) / (high - low) if high > low else 0.5
    return min(cells - 1, max(0, round(share * (cells - 1))))
