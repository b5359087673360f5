"""Event files for TensorBoard: a reporter that writes what it hears and passes it on."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mnistctl.errors import require_extra
from mnistctl.events import EpochReport, Reporter, StepReport, TrainingPlan

if TYPE_CHECKING:
    from mnistctl.engine.training.config import TrainRequest
    from mnistctl.store.result import TrainResult

NUM_MISCLASSIFIED = 24


def with_tensorboard(
    train: "Callable[[TrainRequest, Reporter], TrainResult | None]",
    request: "TrainRequest",
    reporter: Reporter,
) -> "TrainResult | None":
    """What `train` returns, with event files in the run's directory, and of an ensemble in those
    of its members, too.

    Raises MnistctlError where TensorBoard is not installed, and what `train` raises.
    """
    require_extra("tensorboard", "tensorboard")
    board: Any = TensorBoardReporter(reporter)  # a Reporter by `__getattr__`
    try:
        done = train(request, board)
        if done is not None:
            logs = shlex.quote(str(done.directory.parent))
            reporter.say(f"TensorBoard: tensorboard --logdir {logs}")
            board.misclassified(done, request.data_dir)
        return done
    finally:
        board.close()


class TensorBoardReporter:
    """Writes losses, accuracies and learning rates by step, and passes all on to `inner`."""

    def __init__(self, inner: Reporter) -> None:
        self.inner = inner
        self._writer: Any = None
        self._directory = Path()
        self._steps = 1

    def __getattr__(self, name: str) -> Any:
        """What it has no part in is passed on."""
        return getattr(self.inner, name)

    def run(self, directory: Path) -> None:
        """Events go into `directory` from here on."""
        self._directory = directory
        self.inner.run(directory)

    def training(self, plan: TrainingPlan) -> None:
        """A new event file; what an earlier one holds of later steps no longer counts."""
        self._steps = plan.steps_per_epoch
        done = (plan.first_epoch - 1) * self._steps + plan.first_step
        self._open(self._directory, purge_step=done + 1)
        self.inner.training(plan)

    def _open(self, directory: Path, purge_step: int | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        self._writer = SummaryWriter(str(directory), purge_step=purge_step)

    def step(self, report: StepReport) -> None:
        """Loss of a batch, learning rate and speed."""
        step = (report.epoch - 1) * self._steps + report.step
        self._writer.add_scalar("loss/batch", report.loss, step)
        self._writer.add_scalar("learning_rate", report.learning_rate, step)
        self._writer.add_scalar("images_per_second", report.images_per_second, step)
        self.inner.step(report)

    def epoch(self, report: EpochReport) -> None:
        """Losses and accuracies of an epoch."""
        scalars = {
            "loss/train": report.train_loss,
            "loss/validation": report.validation_loss,
            "loss/test": report.test_loss,
            "accuracy/validation": report.validation_accuracy,
            "accuracy/test": report.test_accuracy,
        }
        for name, value in scalars.items():
            if value is not None:
                self._writer.add_scalar(name, value, report.epoch * self._steps)
        self.inner.epoch(report)

    def misclassified(self, done: "TrainResult", data_dir: Path) -> None:
        """The test's result, and the images misclassified with the highest confidence."""
        from mnistctl.data.registry import get_dataset
        from mnistctl.engine.inference.loading import load_model

        if self._writer is None:  # the run was finished before
            return
        if done.directory != self._directory:  # an ensemble, of whose members these were
            self._open(done.directory)
        config, steps = done.config, done.result.epochs * self._steps
        model = load_model(
            str(done.checkpoint), done.directory, config.device, config.precision, Reporter()
        )
        data = get_dataset(config.dataset).load("test", data_dir, self.inner)
        confidences, predictions = model.predictor.probabilities(data.images).max(1)
        wrong = (predictions != data.labels.cpu()).nonzero().flatten()
        worst = wrong[confidences[wrong].argsort(descending=True)][:NUM_MISCLASSIFIED]
        for index in worst.tolist():
            label, prediction = (
                config.classes[int(own[index])] for own in (data.labels, predictions)
            )
            name = f"misclassified/{index}: label {label}, predicted {prediction}"
            self._writer.add_image(name, data.images[index][None], steps)
        self._writer.add_scalar("accuracy/test", done.result.test.accuracy, steps)

    def close(self) -> None:
        """Bring everything to the disk."""
        if self._writer is not None:
            self._writer.close()
