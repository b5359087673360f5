"""Reporters: bars on a terminal, plain lines elsewhere, warnings alone when asked for quiet."""

import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from mnistctl.cli.output import show_line
from mnistctl.events import EpochReport, NullReporter, StepReport, TrainingPlan
from mnistctl.text import escaped

REDRAW_SECONDS = 0.1
LINE_SECONDS = 5.0


class WarningReporter(NullReporter):
    """Shows warnings on stderr and nothing else."""

    def warn(self, text: str) -> None:
        """A line on stderr."""
        show_line(f"warning: {text}", sys.stderr)


class LineReporter(WarningReporter):
    """One plain line for each event, for logs and pipes: no control characters."""

    def __init__(self) -> None:
        self._plan: TrainingPlan | None = None
        self._task, self._unit, self._total = "", "", 0
        self._next_line = 0.0

    def say(self, text: str) -> None:
        """A line on stderr."""
        show_line(text, sys.stderr)

    def begin(self, task: str, total: int | None, unit: str) -> None:
        """Remember the task; short ones show nothing."""
        self._task, self._unit, self._total = task, unit, total or 0
        self._next_line = time.monotonic() + LINE_SECONDS

    def advance(self, done: int) -> None:
        """A line every few seconds."""
        if time.monotonic() >= self._next_line:
            total = f" of {self._total:,}" if self._total else ""
            self.say(f"{self._task}: {done:,}{total} {self._unit}")
            self._next_line = time.monotonic() + LINE_SECONDS

    def training(self, plan: TrainingPlan) -> None:
        """A line that says what is about to happen."""
        self._plan = plan
        self.say(plan_line(plan))

    def step(self, report: StepReport) -> None:
        """A line each time the loss was read back."""
        assert self._plan is not None
        self.say(
            f"epoch {report.epoch}/{self._plan.epochs} step {report.step}/"
            f"{self._plan.steps_per_epoch} loss {report.loss:.4f}"
            f" {report.images_per_second:,.0f} images/s"
        )

    def epoch(self, report: EpochReport) -> None:
        """The epoch's summary line."""
        assert self._plan is not None
        self.say(epoch_line(report, self._plan.epochs))


class BarReporter(WarningReporter):
    """Rich bars on a terminal, redrawn at most ten times a second, by the training's own thread."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._plan: TrainingPlan | None = None
        self._bars: Progress | None = None
        self._whole = self._part = TaskID(0)
        self._drawn = 0.0

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._console.print(text)

    def warn(self, text: str) -> None:
        """A highlighted line above the bars."""
        self._console.print(f"warning: {text}", style="yellow")

    def begin(self, task: str, total: int | None, unit: str) -> None:
        """One bar."""
        self._open(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
        )
        assert self._bars is not None
        self._whole = self._bars.add_task(escaped(f"{task} ({unit})"), total=total)

    def advance(self, done: int) -> None:
        """Move the bar."""
        if self._bars is not None:
            self._bars.update(self._whole, completed=done)
            self._draw()

    def end(self) -> None:
        """Take the bars away; what was said above them stays."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def training(self, plan: TrainingPlan) -> None:
        """Two bars: the whole run with the time left, and the epoch with its loss."""
        self._plan = plan
        self._open(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[count]}", markup=False),
            TextColumn("{task.fields[note]}", markup=False),
            TimeRemainingColumn(compact=True),
        )
        assert self._bars is not None
        done = (plan.first_epoch - 1) * plan.steps_per_epoch + plan.first_step
        total = plan.epochs * plan.steps_per_epoch
        self._whole = self._bars.add_task("run  ", total=total, completed=done, count="", note="")
        self._part = self._bars.add_task("epoch", total=plan.steps_per_epoch, count="", note="")
        self._show(plan.first_epoch, plan.first_step, "loss      ")

    def step(self, report: StepReport) -> None:
        """Move both bars and show the loss."""
        note = f"loss {report.loss:.4f}  {report.images_per_second:,.0f} images/s"
        self._show(report.epoch, report.step, note)

    def epoch(self, report: EpochReport) -> None:
        """The epoch's summary line, above the bars."""
        assert self._plan is not None
        self.say(epoch_line(report, self._plan.epochs))

    def _open(
        self, *columns: TextColumn | BarColumn | MofNCompleteColumn | TimeRemainingColumn
    ) -> None:
        self.end()
        self._bars = Progress(*columns, console=self._console, auto_refresh=False, transient=True)
        self._bars.start()

    def _show(self, epoch: int, step: int, note: str) -> None:
        if self._bars is None or self._plan is None:
            return
        steps = self._plan.steps_per_epoch
        self._bars.update(
            self._whole,
            completed=(epoch - 1) * steps + step,
            count=f"epoch {epoch}/{self._plan.epochs}",
        )
        self._bars.update(self._part, completed=step, count=f"step {step}/{steps}", note=note)
        self._draw()

    def _draw(self) -> None:
        now = time.monotonic()
        if self._bars is not None and now - self._drawn >= REDRAW_SECONDS:
            self._bars.refresh()
            self._drawn = now


def plan_line(plan: TrainingPlan) -> str:
    """What a run is about to do, in one line."""
    return (
        f"{plan.epochs} epochs of {plan.steps_per_epoch} steps,"
        f" {plan.images_per_epoch:,} images each"
    )


def epoch_line(report: EpochReport, epochs: int) -> str:
    """An epoch's summary: losses, accuracies where measured, seconds."""
    parts = [f"train loss {report.train_loss:.4f}"]
    if report.validation_loss is not None and report.validation_accuracy is not None:
        parts.append(
            f"validation loss {report.validation_loss:.4f},"
            f" accuracy {100 * report.validation_accuracy:.2f} %"
        )
    if report.test_loss is not None and report.test_accuracy is not None:
        parts.append(
            f"test (reported only) loss {report.test_loss:.4f},"
            f" accuracy {100 * report.test_accuracy:.2f} %"
        )
    return f"Epoch {report.epoch}/{epochs}: {'; '.join(parts)}; {report.seconds:.1f} s"
