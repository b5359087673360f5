"""Reporters: bars on a terminal, plain lines elsewhere, warnings alone when asked for quiet."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from mnistctl.cli.streams import is_command, is_terminal, show_line
from mnistctl.events import EpochReport, Reporter, StepReport, TrainingPlan
from mnistctl.text import counted, escaped

REDRAW_SECONDS = 0.1
LINE_SECONDS = 5.0
BAR_WIDTH = 24
PACE_SECONDS = 10.0
"""The time left is estimated from the steps of the last so many seconds."""


class WarningReporter(Reporter):
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

    def begin(self, task: str, total: int, unit: str) -> None:
        """Remember the task; short ones show nothing."""
        self._task, self._unit, self._total = task, unit, total or 0
        self._next_line = time.monotonic() + LINE_SECONDS

    def advance(self, done: int) -> None:
        """A line every few seconds; in training `step` has them."""
        if time.monotonic() >= self._next_line:
            total = f" of {self._total:,}" if self._total else ""
            self.say(f"{self._task}: {done:,}{total} {self._unit}")
            self._next_line = time.monotonic() + LINE_SECONDS

    def training(self, plan: TrainingPlan) -> None:
        """A line that says what is about to happen."""
        self._plan = plan
        self._next_line = float("inf")
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
    """Rich bars on a terminal, redrawn at most ten times a second, by the training's own thread.

    A task that is over sooner shows none.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._plan: TrainingPlan | None = None
        self._bars: Progress | None = None
        self._begun = 0.0, 0
        self._note = self._unit = ""
        self._next_draw = 0.0

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._console.print(text, soft_wrap=is_command(text))

    def warn(self, text: str) -> None:
        """A highlighted line above the bars."""
        self._console.print(f"warning: {text}", style="yellow", soft_wrap=is_command(text))

    def begin(self, task: str, total: int, unit: str) -> None:
        """One bar."""
        self._open("count")
        assert self._bars is not None
        self._plan, self._unit = None, unit
        self._bars.add_task(escaped(task), total=total, count="")

    def advance(self, done: int) -> None:
        """Move the bars."""
        now = time.monotonic()
        if self._bars is None or now < self._next_draw:
            return
        if self._plan is None:
            task = self._bars.tasks[0]
            count = f"{done:,}/{task.total:,.0f} {self._unit}"
            self._bars.update(task.id, completed=done, count=count)
        else:
            self._move_training(self._plan, done)
        self._draw(now)

    def end(self) -> None:
        """Take the bars away; what was said above them stays."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def training(self, plan: TrainingPlan) -> None:
        """Two bars: the whole run with the time left, and the epoch with its loss."""
        self._open("count", "note")
        assert self._bars is not None
        self._plan = plan
        total = plan.epochs * plan.steps_per_epoch
        self._bars.add_task("run", total=total, count="", note="")
        self._bars.add_task("epoch", total=plan.steps_per_epoch, count="", note="")
        self._note = "starting"
        done = (plan.first_epoch - 1) * plan.steps_per_epoch + plan.first_step
        self._begun = time.monotonic(), done
        self._move_training(plan, done)
        self._draw(time.monotonic())
        self._note = ""

    def step(self, report: StepReport) -> None:
        """Show the loss from the next drawing on."""
        self._note = f"loss {report.loss:.4f}  {report.images_per_second:,.0f} images/s"

    def epoch(self, report: EpochReport) -> None:
        """The epoch's summary line, above the bars."""
        assert self._plan is not None
        self.say(epoch_line(report, self._plan.epochs))

    def _open(self, *fields: str) -> None:
        """Begin bars with `fields` of each task behind its name and bar."""
        self.end()
        texts = (TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in fields)
        # What a command prints meanwhile stands above the bars, if both go to one screen.
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            # Rich's own colours, red and pink, look like failure.
            BarColumn(BAR_WIDTH, complete_style="cyan", finished_style="green", pulse_style="cyan"),
            *texts,
            console=self._console,
            auto_refresh=False,
            transient=True,
            speed_estimate_period=PACE_SECONDS,
            get_time=time.monotonic,
            redirect_stdout=is_terminal(sys.stdout),
        )
        self._next_draw = time.monotonic() + REDRAW_SECONDS

    def _move_training(self, plan: TrainingPlan, done: int) -> None:
        assert self._bars is not None
        whole, part = self._bars.task_ids
        # The last step of an epoch still belongs to it, but not where a run is resumed.
        epoch = max(plan.first_epoch - 1, (done - 1) // plan.steps_per_epoch)
        step = done - epoch * plan.steps_per_epoch
        self._bars.update(whole, completed=done)
        left = self._bars.tasks[0].time_remaining
        if left is None and done > self._begun[1]:  # steps take longer than the pace looks back
            first, before = self._begun
            total = plan.epochs * plan.steps_per_epoch
            left = (time.monotonic() - first) / (done - before) * (total - done)
        note = "" if left is None else f"{clock(left)} left"
        count = f"epoch {epoch + 1}/{plan.epochs}"
        self._bars.update(whole, count=count, note=note)
        width = len(str(plan.steps_per_epoch))
        count = f"step {step:>{width}}/{plan.steps_per_epoch}"
        self._bars.update(part, completed=step, count=count, note=self._note)

    def _draw(self, now: float) -> None:
        assert self._bars is not None
        self._bars.start()
        self._bars.refresh()
        self._next_draw = now + REDRAW_SECONDS


def clock(seconds: float) -> str:
    """75 -> `1:15`, 3675 -> `1:01:15`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def plan_line(plan: TrainingPlan) -> str:
    """What a run is about to do, in one line."""
    return (
        f"{counted(plan.epochs, 'epoch')} of {counted(plan.steps_per_epoch, 'step')},"
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
