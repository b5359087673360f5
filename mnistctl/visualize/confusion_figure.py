"""The confusion matrix: counts, and the worst confusions by name."""

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mnistctl.draw.style import SMALL, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Counts = Sequence[Sequence[int]]
COLOUR_MAP = "cividis_r"


def confusion_figure(
    confusion: Counts, per_class: Sequence[float], pairs: Sequence[str], title: str
) -> "Figure":
    """Labels down, predictions across; colour tells how many images were read wrongly.

    `confusion[label][prediction]` counts images, `per_class` are accuracies 0..1, `pairs` names the
    worst confusions.
    """
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(7.4, 6.6, title)
    axes = figure.subplots()
    counts = np.array(confusion)
    wrong = counts - np.diag(counts.diagonal())
    largest = max(1, int(wrong.max()))
    blank = np.ma.masked_equal(wrong, 0)
    image = axes.imshow(blank, cmap=COLOUR_MAP, vmin=0, vmax=largest)
    bar = figure.colorbar(image, ax=axes, label="images read wrongly", shrink=0.8, pad=0.02)
    bar.locator = MaxNLocator(integer=True)
    for digit in range(10):
        corner = (digit - 0.5, digit - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, facecolor="#E8E8E8", edgecolor="none"))
    for label, row in enumerate(counts):
        for prediction, count in enumerate(row):
            dark = label != prediction and count > 0.5 * largest
            colour = "white" if dark else "black" if count else "#B8B8B8"
            axes.text(prediction, label, str(count), ha="center", va="center", color=colour)
    axes.set_xticks(range(10))
    axes.set_yticks(range(10))
    axes.set_ylabel("label")
    axes.set_xlabel(f"prediction\n\n{_worst(pairs, 64)}")
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(10), [f"{100 * share:.1f} %" for share in per_class], fontsize=SMALL)
    right.set_ylabel("accuracy of the label", fontsize=SMALL)
    right.tick_params(length=0)
    return figure


def _worst(pairs: Sequence[str], width: int) -> str:
    """The worst confusions in lines of at most `width` letters, broken between pairs alone."""
    if not pairs:
        return "nothing was read wrongly"
    whole = [pair.replace(" ", "\0") for pair in pairs]
    return fill(f"most often: {', '.join(whole)}", width).replace("\0", " ")


def confusion_panel(
    confusion: Counts, per_class: Sequence[float], pairs: Sequence[str], console: Console
) -> RenderableType:
    """The matrix as a table, and the worst confusions in words."""
    worst = Text(_worst(pairs, console.width))
    return Group(confusion_table(confusion, per_class, console), worst)


def confusion_table(
    confusion: Counts, per_class: Sequence[float], console: Console
) -> RenderableType:
    """The matrix, with each digit's accuracy (0..1) where the console has room for it."""
    cell = max(len(str(count)) for row in confusion for count in row) + 1
    roomy = console.width >= 1 + 10 * cell + 10
    table = Table(box=None, padding=(0, 0, 0, 1), pad_edge=False, collapse_padding=True)
    table.add_column("", style="bold", no_wrap=True)
    for digit in range(10):
        table.add_column(str(digit), justify="right", header_style="bold", no_wrap=True)
    if roomy:
        table.add_column("accuracy", justify="right", no_wrap=True)
    dot = Text(".", "dim")
    for label, row in enumerate(confusion):
        cells = [
            Text(str(count), "bold" if k == label else "") if count or k == label else dot
            for k, count in enumerate(row)
        ]
        table.add_row(str(label), *cells, *([f"{100 * per_class[label]:.2f} %"] if roomy else []))
    return Group(Text("label (rows) against prediction (columns)"), table)
