"""Loss and accuracy of runs over their epochs, also while they are being trained."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.text import Text

from mnistctl.draw.chart import HEIGHT, LEAST_HEIGHT, Series, chart
from mnistctl.draw.style import LINES, SMALL, new_figure, open_frame
from mnistctl.draw.types import Figure
from mnistctl.errors import CheckpointError
from mnistctl.store.metrics import read_metrics
from mnistctl.store.runs import MEMBERS_NAME, RunInfo, describe, list_runs
from mnistctl.text import brief, percent
from mnistctl.visualize import sources
from mnistctl.visualize.registry import kind

Points = Sequence[tuple[float, float]]
LEGEND_INCHES = 0.42
"""Height of a run's two lines in the legend."""
LEGEND_LETTERS = 30
"""Of a run's name."""
POLL_SECONDS = 0.5
MARKERS = "s^vx"
"""Of further runs of the same colours."""
PATIENCE = 3.0
"""Seconds that a run may be between being made and being trained, or between two trainings."""
LOOKS: dict[str, dict[str, Any]] = {
    "batch loss": {"linewidth": 0.8, "alpha": 0.55},
    "mean of epoch": {"marker": "o"},
    "validation": {"marker": "o"},
    "test": {"marker": "D", "linestyle": "--"},
}


@kind("curves", "", "--follow", "-c fast-1 -c fast-2 --output curves.png")
def curves(
    runs: sources.Runs,
    follow: Annotated[
        bool, typer.Option("--follow", help="Redraw until the run is no longer being trained.")
    ] = False,
) -> "CurvesView | Iterator[CurvesView]":
    """Loss and accuracy of runs over the epochs.

    Give --checkpoint once for each run; of an ensemble every member is shown.
    """
    directories = runs.directories()
    return followed_curves(directories) if follow else logged_curves(directories)


@dataclass(frozen=True)
class Curves:
    """A run's curves: points (epochs done, value), accuracies in 0..1."""

    name: str
    directory: Path
    state: str
    epochs: int | None
    """That it is to train; None where its configuration is damaged."""
    batch_loss: Points
    epoch_loss: Points
    validation_accuracy: Points
    test_accuracy: Points
    """After epochs with `--test-every-epoch`; of a finished run always, at the epoch kept."""
    accuracy: float | None
    """Of a finished run in its test."""

    @property
    def progress(self) -> str:
        """How far it is."""
        done = max((x for x, _ in [*self.batch_loss, *self.epoch_loss]), default=0.0)
        epochs = f"epoch {round(done, 2):g}" + (f" of {self.epochs}" if self.epochs else "")
        if self.state != "finished" or self.accuracy is None:
            return f"{self.state}, {epochs}"
        return f"finished, test {percent(self.accuracy)}"

    @property
    def losses(self) -> list[tuple[str, Points]]:
        """Those that were logged, by name."""
        both = (("batch loss", self.batch_loss), ("mean of epoch", self.epoch_loss))
        return [own for own in both if own[1]]

    @property
    def accuracies(self) -> list[tuple[str, Points]]:
        """Those that were measured, in percent, by name."""
        both = (("validation", self.validation_accuracy), ("test", self.test_accuracy))
        return [(name, [(x, 100 * y) for x, y in points]) for name, points in both if points]

    @property
    def lines(self) -> list[str]:
        """All losses in the order in which they were logged."""
        batches = [(x, 0, f"epoch {x:.2f} loss {y:.4f}") for x, y in self.batch_loss]
        epochs = [(x, 1, f"epoch {x:.0f} done, mean loss {y:.4f}") for x, y in self.epoch_loss]
        return [f"{self.name} {text}" for _, _, text in sorted([*batches, *epochs])]


@dataclass(frozen=True)
class CurvesView:
    """The curves of one run or of several."""

    runs: list[Curves]
    news: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        return f"curves of {', '.join(f'{run.name} ({run.progress})' for run in self.runs)}"

    def to_dict(self) -> dict[str, Any]:
        return {"runs": [vars(run) | {"directory": str(run.directory)} for run in self.runs]}

    @property
    def _charts(self) -> list[str]:
        """What is drawn: the loss, and the accuracy where it was measured more than once."""
        measured = any(len(points) > 1 for run in self.runs for _, points in run.accuracies)
        return ["loss", "accuracy, %"] if measured else ["loss"]

    def figure(self) -> Figure:
        """A panel for each chart, a colour for each run."""
        number, legend = len(self._charts), LEGEND_INCHES * len(self.runs)
        figure = new_figure(8.0, max(2.4 * number + 1.8, number * legend), self.title)
        panels = figure.subplots(number, 1, sharex=True, squeeze=False)[:, 0]
        for number, (run, colour) in enumerate(zip(self.runs, cycle(LINES))):
            turn = number // len(LINES)
            again = {"marker": MARKERS[turn % len(MARKERS)]} if turn else {}
            for axes, lines in zip(panels, (run.losses, run.accuracies), strict=False):
                for name, points in lines:
                    x, y = zip(*sorted(points), strict=True)
                    label = f"{brief(run.name, LEGEND_LETTERS)}: {name}"
                    axes.plot(x, y, color=colour, label=label, **LOOKS[name] | again)
        for axes, name in zip(panels, self._charts, strict=True):
            axes.set_ylabel(name)
            axes.ticklabel_format(axis="y", useOffset=False)
            axes.margins(y=0.1)
            open_frame(axes)
            axes.set_xlim(left=0)
            beside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
            axes.legend(frameon=False, fontsize=SMALL, **beside)
        panels[-1].set_xlabel("epochs")
        return figure

    def panel(self, console: Console) -> RenderableType:
        """The same in characters, on one screen, so that it can be redrawn in place."""
        loss = [Series(run.name, run.losses[0][1]) for run in self.runs if run.losses]
        accuracy = [
            Series(f"{run.name}, {name}", points)
            for run in self.runs
            for name, points in run.accuracies
        ]
        charts = [own for own in zip(self._charts, (loss, accuracy), strict=False) if own[1]]
        used = 3 + sum(2 + len(series) for _, series in charts) + len(accuracy)
        height = HEIGHT
        if console.is_terminal:
            room = (console.height - used) // max(1, len(charts))
            height = max(LEAST_HEIGHT, min(HEIGHT, room))
        parts: list[RenderableType] = [
            chart(title, series, "epochs", console, height) for title, series in charts
        ]
        parts += [
            Text(f"{own.name} accuracy {percent(own.points[-1][1] / 100)}") for own in accuracy
        ]
        return Group(*parts)


def logged_curves(directories: list[Path]) -> CurvesView:
    """What the runs have logged. Raises CheckpointError where one has logged nothing."""
    view = CurvesView(_read(directories))
    for run in view.runs:
        if not run.batch_loss and not run.epoch_loss:
            raise CheckpointError(
                f"run '{run.name}' has no metrics: nothing was logged in {run.directory}",
                "runs that have: mnistctl runs",
            )
    return view


def followed_curves(directories: list[Path]) -> Iterator[CurvesView]:
    """The curves every half second until nothing is being trained any more, then once again.

    An ensemble is being trained also between two of its members. Raises CheckpointError at the end
    for a run without metrics.
    """
    printed: dict[Path, int] = {}
    last_running = time.monotonic()
    while True:
        busy = any(describe(directory).state == "running" for directory in directories)
        runs = _read(directories)
        news = [line for run in runs for line in run.lines[printed.get(run.directory, 0) :]]
        printed = {run.directory: len(run.lines) for run in runs}
        yield CurvesView(runs, news)
        states = {run.state for run in runs}
        if busy or "running" in states:
            last_running = time.monotonic()
        elif states <= {"finished", "damaged"} or time.monotonic() - last_running > PATIENCE:
            break
        time.sleep(POLL_SECONDS)
    yield logged_curves(directories)


def _read(directories: list[Path]) -> list[Curves]:
    """Of each run, or in place of an ensemble of its members that were begun until now."""
    found = []
    for directory in directories:
        members = list_runs(directory / MEMBERS_NAME)
        found += sorted(run.directory for run in members) or [directory]
    return [_curves(describe(directory)) for directory in found]


def _curves(run: RunInfo) -> Curves:
    records = [r for r in read_metrics(run.directory) if _is_number(r.get("loss", 0.0))]
    steps = _steps_per_epoch(records)
    epochs = [r for r in records if "step" not in r]

    def column(key: str) -> list[tuple[float, float]]:
        return [(float(r["epoch"]), r[key]) for r in epochs if _is_number(r.get(key))]

    test = column("test_accuracy")
    accuracy = None
    if run.state == "finished" and run.result is not None:
        accuracy = run.result.test.accuracy
        kept = run.result.validation
        last = float(kept.epoch if kept else run.result.epochs)
        test = [point for point in test if point[0] != last]
        test = sorted([*test, (last, accuracy)])
    above = run.directory.parent
    return Curves(
        name=f"{above.parent.name}/{run.name}" if above.name == MEMBERS_NAME else run.name,
        directory=run.directory,
        state=run.state,
        epochs=run.config.recipe.epochs if run.config else None,
        batch_loss=[
            (r["epoch"] - 1 + r["step"] / steps, r["loss"])
            for r in records
            if "step" in r and "loss" in r
        ],
        epoch_loss=column("train_loss"),
        validation_accuracy=column("validation_accuracy"),
        test_accuracy=test,
        accuracy=accuracy,
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < math.inf


def _steps_per_epoch(records: list[dict[str, Any]]) -> int:
    return max((r.get("steps", r["step"]) for r in records if "step" in r), default=1) or 1
