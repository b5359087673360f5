"""`evaluate`: checkpoints measured on a labelled split."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import DEFAULT_DATASET, check_split, get_dataset
from mnistctl.distributed import from_environment, from_first, joined, one_first
from mnistctl.engine.inference.loading import LoadedModel, load_models
from mnistctl.engine.inference.scores import Scores
from mnistctl.errors import UsageError
from mnistctl.events import Reporter


@dataclass(frozen=True)
class Evaluation:
    """Scores of one checkpoint on one split."""

    model: LoadedModel
    dataset: str
    split: str
    seconds: float
    scores: Scores
    label_errors: tuple[int, int] | None = None
    """How many images with a label known to be wrong are misclassified, and how many there are."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of the command."""
        predictor = self.model.predictor
        return {
            "checkpoint": str(self.model.path),
            "recipe": predictor.recipe.name,
            "dataset": self.dataset,
            "classes": list(predictor.classes),
            "split": self.split,
            **self.scores.to_dict(),
            "label_errors": self.label_errors
            and dict(zip(("misclassified", "known"), self.label_errors, strict=True)),
            "seconds": self.seconds,
            "device": str(predictor.device),
            "precision": predictor.precision,
        }


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
    check_split(split)
    if dataset is not None:
        get_dataset(dataset)
    ranks = from_environment()
    # One network counted twice would make the spread over several look smaller than it is.
    models = load_models(
        checkpoints or [None], store, device, precision or "auto", ranks, reporter, distinct=True
    )
    _warn_of_unlike(models, reporter)
    name = dataset or common_dataset(models)
    for model in models:
        check_classes(model, name, reporter)
    with joined(ranks, models[0].predictor.device):
        for model in models:
            model.predictor.precision = from_first(model.predictor.precision)
        with one_first(ranks):
            data = get_dataset(name).load(split, data_dir, reporter)
        evaluations = []
        for model in models:
            start = time.perf_counter()
            scores = model.predictor.scores(data.images, data.labels, ranks, reporter)
            seconds = time.perf_counter() - start
            wrong = _label_errors(model, data, get_dataset(name).label_errors.get(split, ()))
            evaluations.append(Evaluation(model, name, split, seconds, scores, wrong))
    return evaluations


def _label_errors(
    model: LoadedModel, data: LabelledImages, known: Sequence[int]
) -> tuple[int, int] | None:
    """Of the images at the indexes `known` those that are misclassified, and all."""
    if not known:
        return None
    indexes = torch.tensor(known)
    predictions = model.predictor.logits(data.images[indexes]).argmax(1)
    return int((predictions != data.labels[indexes].cpu()).sum()), len(known)


def check_classes(model: LoadedModel, dataset: str, reporter: Reporter) -> None:
    """Raise UsageError unless `model` tells the classes of `dataset` apart.

    A bare state dict doesn't name its classes: their number must agree. `reporter` is told where
    it was trained on another data set, or on pictures that were prepared in another way.
    """
    row, own = get_dataset(dataset), model.predictor.classes
    trained = model.dataset or "another data set"
    if own != row.classes if model.dataset else len(own) != len(row.classes):
        raise UsageError(
            f"the classes of {model.label} are not those of the data set '{row.name}':"
            f" {_outline(own)}; {_outline(row.classes)}",
            f"it was trained on {trained}: choose with --dataset",
        )
    if model.dataset in (None, row.name):
        return
    reporter.warn(f"{model.label}: trained on {trained}, asked about {row.name}")
    if model.prepare != row.prepare:
        reporter.warn(f"its pictures were prepared in another way: --prepare {model.prepare}")


def _outline(classes: Sequence[str]) -> str:
    """The first classes, and how many there are."""
    more = ", ..." if len(classes) > 4 else ""
    return f"{', '.join(classes[:4])}{more} ({len(classes)})"


def _warn_of_unlike(models: Sequence[LoadedModel], reporter: Reporter) -> None:
    """A mean with its interval takes its values for repetitions of one experiment."""
    predictors = [model.predictor for model in models]
    kinds = {(own.recipe.label, own.recipe.network, own.num_members) for own in predictors}
    if len(kinds) > 1:
        reporter.warn("these are not runs of one recipe: their spread is not that of seeds alone")


def common_dataset(models: Sequence[LoadedModel]) -> str:
    """The data set that all learned from; a bare state dict doesn't say, and counts as MNIST.

    For no models the default. Raises UsageError where they learned from different ones.
    """
    names = {model.dataset or DEFAULT_DATASET: model.label for model in models}
    if len(names) > 1:
        trained = ", ".join(f"{label} on {name}" for name, label in names.items())
        raise UsageError(
            f"the checkpoints were trained on different data sets: {trained}",
            f"choose one for all of them, e.g. --dataset {next(iter(names))}",
        )
    return next(iter(names), DEFAULT_DATASET)
