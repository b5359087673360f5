"""What the engine tells whoever listens.

The engine, the data layer and the store never print. They call a `Reporter`; the command line
provides ones that draw bars, write plain lines or stay quiet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainingPlan:
    """What a training run is about to do, known before its first step."""

    epochs: int
    steps_per_epoch: int
    images_per_epoch: int
    first_epoch: int = 1
    first_step: int = 0


@dataclass(frozen=True)
class StepReport:
    """State of a training run after `step` of `epoch`, sent every `--log-every` steps."""

    epoch: int
    step: int
    loss: float
    learning_rate: float
    images_per_second: float
    """Since the report before."""


@dataclass(frozen=True)
class EpochReport:
    """An epoch's end. Losses are means per image, accuracies are in 0..1, None = not measured."""

    epoch: int
    train_loss: float
    seconds: float
    learning_rate: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None
    test_loss: float | None = None
    test_accuracy: float | None = None


class Reporter:
    """The one way from the lower layers to the screen. This one shows nothing."""

    def say(self, text: str) -> None:
        """A line worth keeping: a choice that was made, a result."""

    def warn(self, text: str) -> None:
        """A line about something that went another way than asked for."""

    def run(self, directory: Path) -> None:
        """A run is created or resumed in `directory`."""

    def begin(self, task: str, total: int, unit: str) -> None:
        """A task of `total` units starts, e.g. a download counted in bytes."""

    def advance(self, done: int) -> None:
        """`done` units of the current task are finished, counted from its start.

        In training they are the steps of all epochs. Called at each, so it must cost next to
        nothing.
        """

    def end(self) -> None:
        """The current task is over."""

    def training(self, plan: TrainingPlan) -> None:
        """Training starts; `advance`, `step` and `epoch` calls follow, then `end`."""

    def step(self, report: StepReport) -> None:
        """One more loss to show."""

    def epoch(self, report: EpochReport) -> None:
        """One more epoch is done."""


Advance = Callable[[int], None]
"""Called by a long task with the number of units done so far."""


def no_progress(done: int) -> None:
    """An Advance that shows nothing."""
