"""Bars and lines: the position at every step, the pace of the last moments, nothing left behind."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from mnistctl.cli.progress import BarReporter, LineReporter, clock
from mnistctl.engine.training.config import TrainRequest
from mnistctl.engine.training.run import train
from mnistctl.events import Reporter, StepReport, TrainingPlan

PLAN = TrainingPlan(epochs=3, steps_per_epoch=40, images_per_epoch=2_000)


class Screen:
    """Bars on a terminal of 80 columns, at a time of the test's choice."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("mnistctl.cli.progress.time.monotonic", lambda: self.now)
        self.file = io.StringIO()
        console = Console(file=self.file, force_terminal=True, width=80, color_system=None)
        self.reporter = BarReporter(console)

    def shown(self) -> list[str]:
        """The lines of text drawn since the last call, without cursor movements."""
        text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", self.file.getvalue()).replace("\r", "\n")
        self.file.seek(0)
        self.file.truncate()
        return [" ".join(line.split()) for line in text.split("\n") if line.strip()]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    return Screen(monkeypatch)


def test_bars_move_with_every_step(screen: Screen) -> None:
    screen.reporter.training(PLAN)
    whole, part = screen.shown()[-2:]
    assert whole.endswith("epoch 1/3")
    assert part.endswith("step 0/40 starting")
    for step in (1, 2, 3):
        screen.now += 1
        screen.reporter.advance(step)
        assert screen.shown()[-1].endswith(f"step {step}/40")
    screen.reporter.step(StepReport(1, 3, 0.25, 0.01, 12_345))
    screen.now += 1
    screen.reporter.advance(40)
    whole, part = screen.shown()[-2:]
    assert whole.endswith("epoch 1/3 0:07 left")
    assert part.endswith("step 40/40 loss 0.2500 12,345 images/s")
    screen.now += 1
    screen.reporter.advance(41)
    assert screen.shown()[-2].endswith("epoch 2/3 0:08 left")


def test_a_resumed_run_starts_where_it_is(screen: Screen) -> None:
    screen.reporter.training(TrainingPlan(3, 40, 2_000, first_epoch=2, first_step=5))
    whole, part = screen.shown()[-2:]
    assert whole.endswith("epoch 2/3")
    assert part.endswith("step 5/40 starting")


def test_the_time_left_is_told_from_the_last_moments_of_this_session(screen: Screen) -> None:
    screen.reporter.training(TrainingPlan(100, 40, 2_000, first_epoch=51, first_step=0))
    for step in range(2_001, 2_101):
        screen.now += 1
        screen.reporter.advance(step)
    assert screen.shown()[-2].endswith("31:40 left")
    for step in range(2_105, 2_201, 5):
        screen.now += 1
        screen.reporter.advance(step)
    assert screen.shown()[-2].endswith("6:00 left")


def test_the_time_left_where_steps_are_slow(screen: Screen) -> None:
    screen.reporter.training(PLAN)
    for step in (1, 2):
        screen.now += 15
        screen.reporter.advance(step)
    assert screen.shown()[-2].endswith("29:30 left")


def test_at_most_ten_drawings_a_second(screen: Screen) -> None:
    screen.reporter.training(PLAN)
    screen.shown()
    for step in range(1, 101):
        screen.now += 0.01
        screen.reporter.advance(step)
    assert 9 <= len(screen.shown()) / 2 <= 10


def test_nothing_stays_after_the_end(screen: Screen) -> None:
    screen.reporter.training(PLAN)
    screen.shown()
    screen.reporter.end()
    assert screen.file.getvalue().endswith("\r\x1b[1A\x1b[2K\x1b[1A\x1b[2K")  # both are erased
    assert "\x1b[?25h" in screen.file.getvalue()  # and the cursor is back


def test_a_short_task_shows_no_bar(screen: Screen) -> None:
    screen.reporter.begin("evaluating", 100, "images")
    screen.reporter.advance(50)
    screen.reporter.end()
    assert screen.file.getvalue() == ""
    screen.reporter.begin("drawing", 6_000, "images")
    screen.now += 1
    screen.reporter.advance(1_500)
    assert screen.shown()[-1].endswith("1,500/6,000 images")


def test_clock() -> None:
    assert [clock(seconds) for seconds in (4.6, 75, 3_675)] == ["0:05", "1:15", "1:01:15"]


def test_lines_count_in_the_singular_and_the_plural(capsys: pytest.CaptureFixture[str]) -> None:
    LineReporter().training(TrainingPlan(1, 240, 60_000, 20))
    assert capsys.readouterr().err == "1 epoch of 240 steps, 60,000 images each\n"


class Listener(Reporter):
    """Notes what training tells."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.reports: list[StepReport] = []
        self.runs: list[Path] = []

    def advance(self, done: int) -> None:
        self.steps.append(done)

    def step(self, report: StepReport) -> None:
        self.reports.append(report)

    def begin(self, task: str, total: int, unit: str) -> None:
        self.steps = []

    def run(self, directory: Path) -> None:
        self.runs.append(directory)

    def training(self, plan: TrainingPlan) -> None:
        self.steps, self.plan = [], plan

    def end(self) -> None:
        self.trained, self.end = self.steps, lambda: None  # type: ignore[method-assign]


def test_training_tells_every_step(small_datasets: None) -> None:
    listener = Listener()
    request = TrainRequest(recipe="fast", device="cpu", precision="fp32", epochs=2)
    done = train(request, listener)
    assert done is not None
    assert listener.plan.steps_per_epoch == 8
    assert listener.trained == list(range(1, 17))
    assert listener.runs == [done.directory]
    assert [(own.epoch, own.step) for own in listener.reports] == [(1, 8), (2, 8)]
    first, last = (own.learning_rate for own in listener.reports)
    assert first > last > 0
    assert all(own.images_per_second > 0 for own in listener.reports)
