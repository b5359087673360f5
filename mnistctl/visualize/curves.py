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

from mnistctl.data.registry import DATASETS
from mnistctl.draw.chart import HEIGHT, LEAST_HEIGHT, Series, chart
from mnistctl.draw.style import LINES, SMALL, new_figure, open_frame
from mnistctl.draw.text import percent
from mnistctl.draw.types import Axes, Figure
from mnistctl.errors import CheckpointError
from mnistctl.store.metrics import read_metrics
from mnistctl.store.runs import MEMBERS_NAME, RunInfo, describe, list_runs
from mnistctl.visualize.registry import kind
from mnistctl.visualize.sources import RunsSource

Points = Sequence[tuple[float, float]]
X_LABEL = "epochs"
LEGEND_INCHES = 0.42
"""Height of a run's two lines in the legend."""
POLL_SECONDS = 0.5
PATIENCE = 3.0
"""Seconds that a run may be between being made and being trained, or between two trainings."""


@kind("curves", "", "--follow", "-c fast-1 -c fast-2 --output curves.png")
def curves(
    runs: RunsSource,
    follow: Annotated[
        bool, typer.Option("--follow", help="Redraw until the run is no longer being trained.")
    ] = False,
) -> "CurvesView | Iterator[CurvesView]":
    """Loss and accuracy of one run or several over their epochs, by default of the latest.

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

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return vars(self) | {"directory": str(self.directory)}

    @property
    def progress(self) -> str:
        """How far it is."""
        done = max((x for x, _ in [*self.batch_loss, *self.epoch_loss]), default=0.0)
        epochs = f"epoch {done:.3g}" + (f" of {self.epochs}" if self.epochs else "")
        return self.state if self.state == "finished" else f"{self.state}, {epochs}"

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
        return {"runs": [run.to_dict() for run in self.runs]}

    @property
    def _measured(self) -> bool:
        """Whether some accuracy was measured more than once."""
        accuracies = [[run.validation_accuracy, run.test_accuracy] for run in self.runs]
        return any(len(points) > 1 for own in accuracies for points in own)

    def figure(self) -> Figure:
        """Loss, and beneath it accuracy where it was measured after epochs; a colour for a run."""
        legend = LEGEND_INCHES * len(self.runs)
        height = max(6.6, 2 * legend) if self._measured else max(4.2, legend)
        figure = new_figure(8.0, height, self.title)
        panels = figure.subplots(2 if self._measured else 1, 1, sharex=True, squeeze=False)[:, 0]
        for run, colour in zip(self.runs, cycle(LINES)):
            thin = {"linewidth": 0.8, "alpha": 0.55}
            _line(panels[0], run.batch_loss, colour, f"{run.name}: batch loss", **thin)
            _line(panels[0], run.epoch_loss, colour, f"{run.name}: mean of epoch", marker="o")
            if self._measured:
                tested = {"linestyle": "--", "marker": "D"}
                validated, test = _percent(run.validation_accuracy), _percent(run.test_accuracy)
                _line(panels[1], validated, colour, f"{run.name}: validation", marker="o")
                _line(panels[1], test, colour, f"{run.name}: test", **tested)
        panels[0].set_ylabel("loss")
        if self._measured:
            panels[1].set_ylabel("accuracy, %")
            panels[1].ticklabel_format(axis="y", useOffset=False)
            panels[1].margins(y=0.15)
        panels[-1].set_xlabel(X_LABEL)
        for axes in panels:
            open_frame(axes)
            axes.set_xlim(left=0)
            place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
            axes.legend(frameon=False, fontsize=SMALL, **place)
        return figure

    def panel(self, console: Console) -> RenderableType:
        """The same in characters, on one screen, so that it can be redrawn in place."""
        loss = [Series(run.name, run.batch_loss or run.epoch_loss) for run in self.runs]
        accuracy = [
            Series(f"{run.name}, {part}", _percent(points))
            for run in self.runs
            for part, points in (
                ("validation", run.validation_accuracy),
                ("test", run.test_accuracy),
            )
            if points
        ]
        charts = [
            ("loss", [own for own in loss if own.points]),
            ("accuracy, %", accuracy if self._measured else []),
        ]
        used = 3 + sum(2 + len(series) for _, series in charts if series) + len(accuracy)
        room = (console.height - used) // (2 if self._measured else 1)
        height = max(LEAST_HEIGHT, min(HEIGHT, room)) if console.is_terminal else HEIGHT
        parts: list[RenderableType] = [
            chart(title, series, X_LABEL, console, height) for title, series in charts if series
        ]
        parts += [
            Text(f"{own.name} accuracy {percent(own.points[-1][1] / 100)}") for own in accuracy
        ]
        return Group(*parts or [Text("nothing is logged yet")])


def _percent(points: Points) -> Points:
    return [(x, 100 * y) for x, y in points]


def _line(axes: Axes, points: Points, colour: str, label: str, **look: Any) -> None:
    if points:
        axes.plot(*zip(*sorted(points), strict=True), color=colour, label=label, **look)


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
    printed: dict[str, int] = {}
    last_running = time.monotonic()
    while True:
        busy = any(describe(directory).state == "running" for directory in directories)
        runs = _read(directories)
        news = [line for run in runs for line in run.lines[printed.get(run.name, 0) :]]
        printed = {run.name: len(run.lines) for run in runs}
        yield CurvesView(runs, news)
        states = {run.state for run in runs}
        if not busy and states <= {"finished", "damaged"}:
            break
        if busy or "running" in states:
            last_running = time.monotonic()
        elif time.monotonic() - last_running > PATIENCE:
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
    steps = _steps_per_epoch(run, records)
    batches = [r for r in records if "step" in r and "loss" in r]
    epochs = [r for r in records if "step" not in r]

    def column(key: str) -> list[tuple[float, float]]:
        return [(float(r["epoch"]), r[key]) for r in epochs if _is_number(r.get(key))]

    test = column("test_accuracy")
    if run.state == "finished" and run.result is not None:
        kept = run.result.validation
        last = float(kept.epoch if kept else run.result.epochs)
        test = [point for point in test if point[0] != last]
        test.append((last, run.result.test.accuracy))
    above = run.directory.parent
    return Curves(
        name=f"{above.parent.name}/{run.name}" if above.name == MEMBERS_NAME else run.name,
        directory=run.directory,
        state=run.state,
        epochs=run.config.recipe.epochs if run.config else None,
        batch_loss=[(r["epoch"] - 1 + r["step"] / steps, r["loss"]) for r in batches],
        epoch_loss=column("train_loss"),
        validation_accuracy=column("validation_accuracy"),
        test_accuracy=test,
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < math.inf


def _steps_per_epoch(run: RunInfo, records: list[dict[str, Any]]) -> int:
    if run.config is not None and run.config.dataset in DATASETS:
        images = DATASETS[run.config.dataset].sizes["train"] - run.config.validation
        return math.ceil(images / run.config.recipe.batch_size)
    return max((r["step"] for r in records if "step" in r), default=1) or 1
