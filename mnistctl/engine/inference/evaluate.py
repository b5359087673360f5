"""How good a network is on a labelled set: loss, accuracy, per class, confusion."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mnistctl.data.names import DEFAULT_DATASET, check_dataset
from mnistctl.data.registry import load_split
from mnistctl.data.sampling import shard_of
from mnistctl.device import torch_device
from mnistctl.distributed import Ranks, from_environment, joined, total_over_ranks
from mnistctl.engine.inference.calibration import calibration_error, confidence_gaps
from mnistctl.engine.inference.loading import LoadedModel, load_model
from mnistctl.engine.inference.predictor import compute_logits
from mnistctl.errors import UsageError
from mnistctl.events import Reporter
from mnistctl.hardware import choose_hardware
from mnistctl.recipes import Recipe


@dataclass(frozen=True)
class Scores:
    """Result over `total` images; `confusion[label][prediction]` counts them.

    `loss` is that of the logits as they are, `calibration_error` (0..1) that of the confidence
    shown to people, after the recipe's temperature.
    """

    loss: float
    correct: int
    total: int
    confusion: list[list[int]]
    calibration_error: float

    @property
    def accuracy(self) -> float:
        """Share of images whose largest logit is the label's, 0..1."""
        return self.correct / self.total

    @property
    def per_class(self) -> list[float]:
        """Accuracy of each of the ten digits, 0..1 (0 where there is no image of it)."""
        return [row[k] / max(1, sum(row)) for k, row in enumerate(self.confusion)]

    def brief(self) -> dict[str, Any]:
        """The four numbers of a summary, JSON-ready."""
        return {
            "loss": self.loss,
            "accuracy": self.accuracy,
            "correct": self.correct,
            "total": self.total,
        }


@dataclass(frozen=True)
class Evaluation:
    """What `mnistctl evaluate` found."""

    label: str
    checkpoint: str
    recipe: str
    dataset: str
    split: str
    device: str
    precision: str
    seconds: float
    scores: Scores

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of the command."""
        return {
            "checkpoint": self.checkpoint,
            "recipe": self.recipe,
            "dataset": self.dataset,
            "split": self.split,
            **self.scores.brief(),
            "seconds": self.seconds,
            "per_class": self.scores.per_class,
            "confusion": self.scores.confusion,
            "calibration_error": self.scores.calibration_error,
            "device": self.device,
            "precision": self.precision,
        }


def score(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    recipe: Recipe,
    device: torch.device,
    precision: str,
    ranks: Ranks,
    reporter: Reporter | None = None,
) -> Scores:
    """Scores of `model` over uint8 images (n, 28, 28) and int64 labels (n,).

    With several processes each takes a share, and every image is counted once.
    """
    first, end = shard_of(len(images), ranks.rank, ranks.world_size)
    logits = compute_logits(model, images[first:end], recipe, device, precision, reporter)
    targets = labels[first:end].cpu()
    loss_sum = cross_entropy(logits.double(), targets, reduction="sum")
    pairs = targets * 10 + logits.argmax(1)
    counts = torch.bincount(pairs, minlength=100)
    gaps = confidence_gaps(logits, targets, recipe.temperature)
    # One float64 message: counts up to 60,000 are exact in it. nccl moves no CPU tensors.
    where = device if device.type == "cuda" else torch.device("cpu")
    message = torch.cat([loss_sum.view(1), counts.double(), gaps]).to(where)
    summed = total_over_ranks(message).cpu()
    confusion = summed[1:101].long().view(10, 10)
    total = len(images)
    return Scores(
        loss=float(summed[0]) / total,
        correct=int(confusion.diagonal().sum()),
        total=total,
        confusion=confusion.tolist(),
        calibration_error=calibration_error(summed[101:], total),
    )


def evaluate(
    checkpoints: Sequence[str],
    *,
    store: Path,
    data_dir: Path,
    dataset: str | None,
    split: str,
    device: str | None,
    precision: str | None,
    reporter: Reporter,
) -> list[Evaluation]:
    """Score checkpoints (none: the latest) on a split of `dataset` (None: that they learned from).

    All are loaded before the first is scored, all on the same images.
    Raises UsageError, CheckpointError, DataError or DeviceError.
    """
    if dataset is not None:
        check_dataset(dataset)
    ranks = from_environment()
    chosen_device, chosen_precision = choose_hardware(device, precision, ranks, reporter)
    target = torch_device(chosen_device)
    arguments: Sequence[str | None] = checkpoints or [None]
    models = [load_model(argument, store, target, reporter) for argument in arguments]
    _check_different(models)
    _warn_of_unlike(models, reporter)
    name = dataset or _common_dataset(models)
    evaluations = []
    with joined(ranks, target):
        data = load_split(name, split, data_dir, reporter)
        for loaded in models:
            start = time.perf_counter()
            scores = score(
                loaded.model,
                data.images,
                data.labels,
                loaded.recipe,
                target,
                chosen_precision,
                ranks,
                reporter,
            )
            evaluation = Evaluation(
                label=loaded.label,
                checkpoint=str(loaded.path),
                recipe=loaded.recipe.name,
                dataset=name,
                split=split,
                device=chosen_device,
                precision=chosen_precision,
                seconds=time.perf_counter() - start,
                scores=scores,
            )
            evaluations.append(evaluation)
    return evaluations


def _check_different(models: Sequence[LoadedModel]) -> None:
    """One network counted twice would make the spread over several look smaller than it is."""
    labels: dict[Path, str] = {}
    for loaded in models:
        path = loaded.path.resolve()
        if path in labels:
            raise UsageError(
                f"{labels[path]} and {loaded.label} are the same checkpoint, {loaded.path}",
                "name each once",
            )
        labels[path] = loaded.label


def _warn_of_unlike(models: Sequence[LoadedModel], reporter: Reporter) -> None:
    """A mean with its interval takes its values for repetitions of one experiment."""
    kinds = {(own.recipe.name, own.recipe.network, own.num_members) for own in models}
    if len(kinds) > 1:
        reporter.warn("these are not runs of one recipe: their spread is not that of its seeds")


def _common_dataset(models: Sequence[LoadedModel]) -> str:
    """The data set that all learned from; a bare state dict doesn't say, and counts as MNIST."""
    names = {loaded.dataset or DEFAULT_DATASET: loaded.label for loaded in models}
    if len(names) > 1:
        trained = ", ".join(f"{label} on {name}" for name, label in names.items())
        raise UsageError(
            f"the checkpoints were trained on different data sets: {trained}",
            "say on which to measure all of them: --dataset NAME",
        )
    return next(iter(names))
