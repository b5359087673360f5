"""Loss and accuracy of runs as they learned."""

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.text import Text

from mnistctl.draw.chart import HEIGHT, LEAST_HEIGHT, Series, chart
from mnistctl.draw.style import LINES, SMALL, drawn, new_figure
from mnistctl.text import escaped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = Sequence[tuple[float, float]]
X_LABEL = "epochs"
LEGEND_INCHES = 0.6
"""Height of a run's three lines in the legend."""


class Run(NamedTuple):
    """A run's points (epochs done, value); accuracies in 0..1."""

    name: str
    batch_loss: Points
    epoch_loss: Points
    validation_accuracy: Points
    test_accuracy: Points


def curves_figure(runs: Sequence[Run], title: str) -> "Figure":
    """Loss, and beneath it accuracy where it was measured after epochs; a colour for each run."""
    measured = any(len(points) > 1 for run in runs for points in _accuracies(run))
    legend = LEGEND_INCHES * len(runs)
    height = max(6.6, 2 * legend) if measured else max(4.2, legend)
    figure = new_figure(8.0, height, title)
    panels = figure.subplots(2 if measured else 1, 1, sharex=True, squeeze=False)[:, 0]
    for run, colour in zip(runs, cycle(LINES)):
        name = drawn(run.name)
        final = "" if measured else _final(run)
        _line(
            panels[0],
            run.batch_loss,
            colour,
            f"{name}, batch{final}",
            linewidth=0.8,
            alpha=0.55,
        )
        _line(panels[0], run.epoch_loss, colour, "mean of epoch", marker="o")
        if measured:
            validation, test = map(_percent, _accuracies(run))
            _line(panels[1], validation, colour, f"{name}, validation", marker="o")
            _line(panels[1], test, colour, f"{name}, test", linestyle="--", marker="D")
    panels[0].set_ylabel("loss")
    if measured:
        panels[1].set_ylabel("accuracy, %")
        panels[1].ticklabel_format(axis="y", useOffset=False)
        panels[1].margins(y=0.15)
    panels[-1].set_xlabel(X_LABEL)
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(left=0)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=SMALL)
    return figure


def curves_panel(runs: Sequence[Run], console: Console) -> RenderableType:
    """The same with characters."""
    loss = [Series(run.name, run.batch_loss or run.epoch_loss) for run in runs]
    drawn = [series for series in loss if series.points]
    accuracy = [
        Series(f"{run.name}, {part}", _percent(points))
        for run in runs
        for part, points in zip(("validation", "test"), _accuracies(run), strict=True)
        if points
    ]
    several = any(len(series.points) > 1 for series in accuracy)
    charts = [("loss", drawn), ("accuracy, %", accuracy if several else [])]
    # All of it on one screen, so that it can be redrawn in place.
    used = 2 + sum(2 + len(series) for _, series in charts if series) + len(accuracy)
    room = (console.height - used) // (2 if several else 1) if console.is_terminal else HEIGHT
    height = max(LEAST_HEIGHT, min(HEIGHT, room))
    parts: list[RenderableType] = [
        chart(title, series, X_LABEL, console, height) for title, series in charts if series
    ]
    parts += [Text(f"{escaped(s.name)}: {s.points[-1][1]:.2f} %") for s in accuracy]
    return Group(*parts)


def _accuracies(run: Run) -> tuple[Points, Points]:
    return run.validation_accuracy, run.test_accuracy


def _final(run: Run) -> str:
    return f"\ntest {100 * run.test_accuracy[-1][1]:.2f} %" if run.test_accuracy else ""


def _percent(points: Points) -> Points:
    return [(x, 100 * y) for x, y in points]


def _line(axes: "Axes", points: Points, colour: str, label: str, **style: object) -> None:
    if points:
        x, y = zip(*sorted(points), strict=True)
        axes.plot(x, y, color=colour, label=label, **style)  # type: ignore[arg-type]
