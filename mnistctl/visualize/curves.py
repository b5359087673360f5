"""How runs learned: loss and accuracy from their metrics, also while they are still learning."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mnistctl.data.names import SPLIT_SIZES
from mnistctl.errors import CheckpointError
from mnistctl.store.find import find_run
from mnistctl.store.metrics import read_metrics
from mnistctl.store.runs import MEMBERS_NAME, RunInfo, describe, is_run, list_runs
from mnistctl.visualize.request import ViewRequest

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Curves:
    """A run's curves: points (epochs done, value)."""

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


@dataclass(frozen=True)
class CurvesView:
    """The curves of one run or of several."""

    runs: list[Curves]

    @property
    def running(self) -> bool:
        """Whether one of them is being trained."""
        return any(run.state == "running" for run in self.runs)

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"runs": [run.to_dict() for run in self.runs]}


def view_curves(request: ViewRequest) -> CurvesView:
    """The curves of the runs asked for, by default the latest, finished or not.

    Raises CheckpointError for what is no run, or one without metrics.
    """
    return logged_curves(with_members(find_runs(request)))


def logged_curves(directories: list[Path]) -> CurvesView:
    """What the runs have logged. Raises CheckpointError where one has logged nothing."""
    view = read_curves(directories)
    for run in view.runs:
        if not run.batch_loss and not run.epoch_loss:
            raise CheckpointError(
                f"run '{run.name}' has no metrics: nothing was logged in {run.directory}",
                "runs that have: mnistctl runs",
            )
    return view


def find_runs(request: ViewRequest) -> list[Path]:
    """The runs' directories; a checkpoint file stands for the run it lies in.

    Raises CheckpointError.
    """
    return [_directory(name, request.store) for name in request.checkpoints or ("latest",)]


def with_members(directories: list[Path]) -> list[Path]:
    """`directories`, each ensemble replaced by the runs of its members begun until now."""
    found = []
    for directory in directories:
        members = list_runs(directory / MEMBERS_NAME)
        found += sorted(run.directory for run in members) or [directory]
    return found


def read_curves(directories: list[Path]) -> CurvesView:
    """What the runs have logged until now. Raises CheckpointError when that can't be read."""
    return CurvesView([_curves(describe(directory)) for directory in directories])


def _directory(name: str, store: Path) -> Path:
    path = Path(name)
    if path.suffix == ".pt" and path.is_file() and is_run(path.parent):
        return path.parent
    return find_run(name, store).directory


def _curves(run: RunInfo) -> Curves:
    records = [r for r in read_metrics(run.directory) if _is_number(r.get("loss", 0.0))]
    steps = _steps_per_epoch(run, records)
    batches = [r for r in records if "step" in r and "loss" in r]
    epochs = [r for r in records if "step" not in r]
    test = _column(epochs, "test_accuracy")
    if run.state == "finished" and run.result is not None:
        selected = run.result.get("validation")
        last = float(selected["epoch"] if selected else run.result["epochs"])
        test = [point for point in test if point[0] != last]
        test.append((last, run.result["test"]["accuracy"]))
    return Curves(
        name=_name(run),
        directory=run.directory,
        state=run.state,
        epochs=run.config.recipe.epochs if run.config else None,
        batch_loss=[(r["epoch"] - 1 + r["step"] / steps, r["loss"]) for r in batches],
        epoch_loss=_column(epochs, "train_loss"),
        validation_accuracy=_column(epochs, "validation_accuracy"),
        test_accuracy=test,
    )


def _name(run: RunInfo) -> str:
    above = run.directory.parent
    return f"{above.parent.name}/{run.name}" if above.name == MEMBERS_NAME else run.name


def _column(records: list[dict[str, Any]], key: str) -> Points:
    return [(float(r["epoch"]), r[key]) for r in records if _is_number(r.get(key))]


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < math.inf


def _steps_per_epoch(run: RunInfo, records: list[dict[str, Any]]) -> int:
    if run.config is not None:
        images = SPLIT_SIZES["train"] - run.config.validation
        return math.ceil(images / run.config.recipe.batch_size)
    return max((r["step"] for r in records if "step" in r), default=1) or 1
