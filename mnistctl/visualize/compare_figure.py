"""Two networks: who is right where, and the images on which they disagree."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mnistctl.draw.grid import GAP, LINE, draw_images, thumbnail, tiles
from mnistctl.draw.style import BLUE, GREY, VERMILLION, bare, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 8
INCHES = 0.95


def compare_figure(
    counts: Mapping[str, int],
    images: NDArray[np.uint8],
    captions: Sequence[str],
    conclusion: str,
    title: str,
) -> "Figure":
    """A two-by-two table above the images (n, 28, 28) on which the networks differ.

    `counts` has both_right, only_a, only_b and both_wrong.
    """
    rows = -(-len(images) // COLUMNS)
    below = max(0.9, rows * (1 + GAP + 3 * LINE) * INCHES)
    figure = new_figure(COLUMNS * (1 + GAP) * INCHES, 2.7 + below, title)
    table, grid = figure.subplots(2, 1, height_ratios=(1.6, below))
    cells = (("both_right", "only_a"), ("only_b", "both_wrong"))
    colours = {"both_right": GREY, "both_wrong": GREY, "only_a": BLUE, "only_b": VERMILLION}
    for row, names in enumerate(cells):
        for column, name in enumerate(names):
            table.text(
                column,
                row,
                f"{counts[name]:,}",
                ha="center",
                va="center",
                fontsize=15,
                color=colours[name],
                fontweight="bold",
            )
    for place, right in enumerate(("right", "wrong")):
        table.text(place, -0.75, f"B {right}", ha="center", va="center")
        table.text(-0.8, place, f"A {right}", ha="center", va="center")
    table.axhline(0.5, 0.38, 0.66, color=GREY, linewidth=0.8)
    table.axvline(0.5, 0.05, 0.68, color=GREY, linewidth=0.8)
    table.set_xlim(-3, 4)
    table.set_ylim(1.6, -1.1)
    bare(table)
    table.set_xlabel(conclusion, fontsize=9.5)
    draw_images(grid, list(images), captions, COLUMNS)
    if not len(images):
        grid.text(0.5, 0.5, "both answer alike everywhere", ha="center", transform=grid.transAxes)
    return figure


def compare_panel(
    counts: Mapping[str, int],
    images: NDArray[np.uint8],
    captions: Sequence[str],
    conclusion: str,
    console: Console,
) -> RenderableType:
    """The same as a table, a sentence and thumbnails."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "B right", "B wrong"):
        table.add_column(heading, justify="right", no_wrap=True)
    only_a, only_b = (Text(f"{counts[key]:,}", "bold") for key in ("only_a", "only_b"))
    table.add_row("A right", f"{counts['both_right']:,}", only_a)
    table.add_row("A wrong", only_b, f"{counts['both_wrong']:,}")
    if not len(images):
        return Group(table, Text(conclusion))
    return Group(
        table, Text(conclusion + "\n"), tiles([thumbnail(i) for i in images], captions, console)
    )
