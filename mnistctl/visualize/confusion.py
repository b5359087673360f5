"""Which classes are predicted as which."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mnistctl.draw import terminal
from mnistctl.draw.style import SMALL, new_figure
from mnistctl.draw.types import Figure
from mnistctl.visualize import sources
from mnistctl.visualize.answers import Answers, ask_one
from mnistctl.visualize.registry import kind

if TYPE_CHECKING:
    from mnistctl.engine.inference.scores import Scores

NUM_PAIRS = 5
MISTAKES, DIAGONAL = "OrRd", "#DCE6F0"
"""A sequential colour map, nearly white at zero, and the colour of right predictions."""
MAX_SIDE = 40.0
"""Inches of the figure: more classes than that shows are drawn smaller."""
LETTERS_PER_INCH = 11
"""Of the names at the axes."""
MAX_NUMBERED = 20
"""Classes up to which every cell of the figure has its number."""

FOLDED = "most often misclassified as"
"""The heading of the column that is broken into lines on narrow consoles."""


@kind("confusion", "", "-c best --output confusion.png", "--split train --json")
def confusion(model: sources.Model, data: sources.Split) -> "ConfusionView":
    """The confusion matrix of a network on a split."""
    return ConfusionView(ask_one(model, data))


@dataclass(frozen=True)
class ConfusionView:
    """The confusion matrix of a split."""

    answers: Answers

    @property
    def worst_pairs(self) -> list[dict[str, int]]:
        """The most frequent confusions, at most 5, the worst first."""
        pairs = [
            {"label": label, "prediction": prediction, "count": count}
            for label, row in enumerate(self.answers.scores.confusion)
            for prediction, count in enumerate(row)
            if label != prediction and count
        ]
        return sorted(pairs, key=lambda pair: -pair["count"])[:NUM_PAIRS]

    @property
    def title(self) -> str:
        return f"{self.answers.where}: {self.answers.accuracy}"

    def to_dict(self) -> dict[str, Any]:
        """The numbers are those of `evaluate` in the same precision."""
        return {
            **self.answers.document(),
            "per_class": self.answers.scores.per_class,
            "confusion": self.answers.scores.confusion,
            "worst_pairs": self.worst_pairs,
        }

    def worst(self, width: int) -> str:
        """The worst confusions in lines of at most `width` letters, broken between pairs alone."""
        names = self.answers.classes
        pairs = [
            f"{names[own['label']]} as {names[own['prediction']]} ({own['count']})"
            for own in self.worst_pairs
        ]
        if not pairs:
            return "no image is misclassified"
        joined = ", ".join(pair.replace(" ", "\0") for pair in pairs)
        lines = fill(f"most often misclassified: {joined}", width, break_on_hyphens=False)
        return lines.replace("\0", " ")

    def figure(self) -> Figure:
        """Labels down, predictions across; colour tells how many images are misclassified."""
        import numpy as np
        from matplotlib import colormaps
        from matplotlib.ticker import MaxNLocator

        counts, classes = np.array(self.answers.scores.confusion), self.answers.classes
        places, side = range(len(classes)), min(max(6.6, 0.27 * len(classes)), MAX_SIDE)
        figure = new_figure(side + 0.8, side, self.title)
        axes = figure.subplots()
        diagonal = np.eye(len(classes), dtype=bool)
        wrong = np.ma.masked_where(diagonal, counts)
        largest = max(1, int(counts[~diagonal].max()))
        colours = colormaps[MISTAKES].with_extremes(bad=DIAGONAL)
        image = axes.imshow(wrong, cmap=colours, vmin=0, vmax=largest)
        bar = figure.colorbar(image, ax=axes, label="misclassified images", shrink=0.8, pad=0.02)
        bar.locator = MaxNLocator(integer=True)
        if len(classes) <= MAX_NUMBERED:
            for (label, prediction), count in np.ndenumerate(counts):
                dark = label != prediction and count > 0.6 * largest
                colour = "white" if dark else "black" if count else "#B8B8B8"
                axes.text(prediction, label, str(count), ha="center", va="center", color=colour)
        crowded = max(map(cell_len, classes)) / LETTERS_PER_INCH > side / len(classes)
        axes.set_xticks(places, classes, rotation=90 if crowded else 0)
        axes.set_yticks(places, classes)
        axes.set_ylabel("label")
        axes.set_xlabel(f"prediction\n\n{self.worst(64)}")
        right = axes.secondary_yaxis("right")
        shares = [_share(own, 1) for own in self.answers.scores.per_class]
        right.set_yticks(places, shares, fontsize=SMALL)
        right.set_ylabel("accuracy of the class", fontsize=SMALL)
        right.tick_params(length=0)
        return figure

    def panel(self, console: Console) -> RenderableType:
        table = confusion_table(self.answers.scores, self.answers.classes, console)
        return Group(table, Text(self.worst(console.width)))


def _share(accuracy: float | None, digits: int) -> str:
    """`98.79 %`, or a dash for a class without images."""
    return "-" if accuracy is None else f"{100 * accuracy:.{digits}f} %"


def confusion_table(scores: "Scores", classes: Sequence[str], console: Console) -> RenderableType:
    """The matrix, with each class's accuracy where the console has room for it.

    Columns are headed by the classes' names, or where these are long by their indexes. Where even
    the matrix has no room: each class's accuracy and what it is most often misclassified as.
    """
    counts = scores.confusion
    cell = 1 + max(len(str(count)) for row in counts for count in row)
    short = max(map(cell_len, classes)) < cell
    if not short:
        cell = max(cell, 1 + len(str(len(classes) - 1)))
    names = list(classes) if short else [f"{k} {name}" for k, name in enumerate(classes)]
    label_width = max(map(cell_len, names))
    room = console.width - label_width - len(classes) * cell
    if room < 0:
        headings = ["accuracy", "images", FOLDED]
        label_width = min(label_width, console.width // 3)
    else:
        headings = list(classes) if short else [str(k) for k in range(len(classes))]
        headings += ["accuracy"] if room >= 10 else []
    table = Table(box=None, padding=(0, 0, 0, 1), pad_edge=False, collapse_padding=True)
    # A width of its own: of columns that don't fit, rich would shrink this one to nothing.
    table.add_column("", style="bold", width=label_width, overflow="fold")
    for heading in headings:
        folds = heading == FOLDED
        table.add_column(
            Text(heading), justify="right", header_style="bold", no_wrap=not folds, overflow="fold"
        )
    for label, row in enumerate(counts):
        accuracy = Text(_share(scores.per_class[label], 2))
        cells = [Text(str(count), _style(count, k == label)) for k, count in enumerate(row)]
        if room < 0:
            others = {k: count for k, count in enumerate(row) if k != label and count}
            worst = max(others, key=others.__getitem__, default=label)
            text = f"{classes[worst]} ({others[worst]})" if others else ""
            cells = [accuracy, Text(str(sum(row))), Text(text)]
        elif room >= 10:
            cells.append(accuracy)
        table.add_row(Text(names[label]), *cells)
    if room < 0:
        return table
    return Group(Text("label (rows) against prediction (columns)"), table)


def _style(count: int, right: bool) -> str:
    return "dim" if not count else f"bold {terminal.RIGHT}" if right else terminal.WRONG
