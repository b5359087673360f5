"""Two networks on one split: where they disagree, and whether one is really better."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mnistctl.draw.grid import ImageGrid
from mnistctl.draw.style import BLUE, GREY, VERMILLION, bare, new_figure
from mnistctl.draw.types import Axes, Figure
from mnistctl.text import counted, percent
from mnistctl.visualize import sources
from mnistctl.visualize.answers import Answers, ask
from mnistctl.visualize.registry import kind

DEFAULT_COUNT = 24
LEAST_P = 1e-12
CELLS = (("both_correct", "only_a"), ("only_b", "both_misclassified"))
"""Rows: A correct, A misclassified; columns: the same of B."""
COLOURS = {"only_a": BLUE, "only_b": VERMILLION}


@kind("compare", "-c best -c shipped", "-c fast-1 -c standard-1 --output compare.png")
def compare(
    models: sources.Pair,
    data: sources.Split,
    count: Annotated[int | None, sources.count_option("Images to show [default: 24].")] = None,
) -> "CompareView":
    """Where two models disagree, and McNemar's test."""
    a, b = ask(models.load_all(), data)
    return CompareView(a, b, count)


@dataclass(frozen=True)
class CompareView:
    """Two networks' answers to the same images; `count` disagreements are shown, None: 24."""

    a: Answers
    b: Answers
    count: int | None = None

    @cached_property
    def counts(self) -> dict[str, int]:
        """Images that both classify correctly, only one, or neither."""
        a, b = self.a.correct, self.b.correct
        cells = (("both_correct", a & b), ("only_a", a & ~b), ("only_b", ~a & b))
        return {name: int(own.sum()) for name, own in (*cells, ("both_misclassified", ~a & ~b))}

    @cached_property
    def p_value(self) -> float:
        """McNemar's, 0..1."""
        from mnistctl.engine.inference.significance import mcnemar

        return mcnemar(self.counts["only_a"], self.counts["only_b"])

    @property
    def better(self) -> str | None:
        """`a` or `b` where the difference is significant at 0.05."""
        from mnistctl.engine.inference.significance import LEVEL

        if self.p_value >= LEVEL:
            return None
        return "a" if self.counts["only_a"] > self.counts["only_b"] else "b"

    @cached_property
    def disagreements(self) -> list[dict[str, int]]:
        """The images that the two predict as different classes."""
        a, b, labels = self.a.predictions, self.b.predictions, self.a.data.labels
        names = ("index", "label", "prediction_a", "prediction_b")
        return [
            dict(zip(names, (i, int(labels[i]), int(a[i]), int(b[i])), strict=True))
            for i in (a != b).nonzero()[:, 0].tolist()
        ]

    @property
    def title(self) -> str:
        named = ", ".join(
            f"{letter} = {own.model.predictor.name} ({percent(own.scores.accuracy)})"
            for letter, own in (("A", self.a), ("B", self.b))
        )
        number = counted(len(self.disagreements), "disagreement")
        return f"{named}, on {self.a.dataset} {self.a.split}: {number}"

    @property
    def conclusion(self) -> str:
        """What the paired test says, in words."""
        p = f"p = {self.p_value:.2g}" if self.p_value >= LEAST_P else f"p < {LEAST_P:g}"
        if self.better is None:
            return f"The difference in accuracy is not significant (McNemar, {p})"
        better, other = ("A", "B") if self.better == "a" else ("B", "A")
        return f"{better} is more accurate than {other}: significant (McNemar, {p})"

    def to_dict(self) -> dict[str, Any]:
        keys = ("checkpoint", "recipe", "accuracy", "correct")
        a, b = self.a.document(), self.b.document()
        return {
            **{key: a[key] for key in ("dataset", "classes", "split", "total")},
            "a": {key: a[key] for key in keys},
            "b": {key: b[key] for key in keys},
            **self.counts,
            "p_value": self.p_value,
            "better": self.better,
            "num_disagreements": len(self.disagreements),
            "disagreements": self.disagreements[: self.count or DEFAULT_COUNT],
        }

    def _grid(self) -> ImageGrid:
        names, shown = self.a.classes, self.disagreements[: self.count or DEFAULT_COUNT]
        captions = [
            f"label {names[own['label']]}\nA {names[own['prediction_a']]}"
            f"  B {names[own['prediction_b']]}\n#{own['index']}"
            for own in shown
        ]
        images = self.a.data.images[[own["index"] for own in shown]].numpy()
        empty = "both predict the same classes"
        return ImageGrid(images, captions, fit=self.count is None, empty=empty)

    def figure(self) -> Figure:
        """A two-by-two table above the images on which the networks differ."""
        grid = self._grid()
        width, height = grid.size
        figure = new_figure(max(7.6, width), 2.7 + height, self.title)
        above, below = figure.subplots(2, 1, height_ratios=(1.6, height))
        self._draw_table(above)
        grid.draw(below)
        return figure

    def _draw_table(self, axes: Axes) -> None:
        middle: dict[str, Any] = {"ha": "center", "va": "center"}
        bold = middle | {"fontsize": 15, "fontweight": "bold"}
        for row, names in enumerate(CELLS):
            for column, name in enumerate(names):
                colour = COLOURS.get(name, GREY)
                axes.text(column, row, f"{self.counts[name]:,}", color=colour, **bold)
        for place, how in enumerate(("correct", "misclassified")):
            axes.text(place, -0.75, f"B {how}", **middle)
            axes.text(-0.5, place, f"A {how}", **middle | {"ha": "right"})
        axes.axhline(0.5, 0.38, 0.66, color=GREY, linewidth=0.8)
        axes.axvline(0.5, 0.05, 0.68, color=GREY, linewidth=0.8)
        axes.set_xlim(-3, 4)
        axes.set_ylim(1.6, -1.1)
        bare(axes)
        axes.set_xlabel(self.conclusion, fontsize=9.5)

    def panel(self, console: Console) -> RenderableType:
        """The images, the table and the conclusion."""
        table = Table(box=None, pad_edge=False)
        for heading in ("", "B correct", "B misclassified"):
            table.add_column(heading, justify="right", overflow="fold")
        for heading, names in zip(("A correct", "A misclassified"), CELLS, strict=True):
            cells = [
                Text(f"{self.counts[name]:,}", style="bold" if name in COLOURS else "")
                for name in names
            ]
            table.add_row(heading, *cells)
        parts: list[RenderableType] = [table, Text(self.conclusion)]
        if self.disagreements:
            parts.insert(0, self._grid().panel(console, beneath=len(CELLS) + 2))
        return Group(*parts)
