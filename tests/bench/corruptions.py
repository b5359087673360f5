"""Accuracy of networks on corrupted test images."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import get_dataset
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.loading import load_models
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.events import Reporter
from tests.bench.damage import CORRUPTIONS, NUM_SEVERITIES, corrupt
from tests.bench.figures import append, identity, machine, markdown


def measure(checkpoints: Sequence[str], store: Path, data_dir: Path) -> None:
    """Print a table, a row a corruption; append a line a checkpoint to results/corruptions.jsonl.

    Every network sees the same images, each test image once under every corruption.
    """
    reporter = Reporter()
    models = load_models(checkpoints or [None], store, "cpu", None, Ranks(), reporter)
    test = get_dataset("mnist").load("test", data_dir, reporter)
    clean = [float(hits(own.predictor, test).mean()) for own in models]
    accuracies: list[dict[str, list[float]]] = [{} for _ in models]
    for name in CORRUPTIONS:
        damaged = LabelledImages(corrupt(name, test.images), test.labels)
        for own, found in zip(models, accuracies, strict=True):
            found[name] = by_severity(hits(own.predictor, damaged))
    for own, alone, found in zip(models, clean, accuracies, strict=True):
        line = {
            **identity(own.predictor),
            "precision": own.predictor.precision,
            "images": len(test.images),
            "clean": alone,
            "by_severity": found,
            "mean_accuracy": mean_accuracy(found),
            "machine": machine(),
        }
        append("corruptions", line)
    print(table([own.label for own in models], clean, accuracies))


def hits(predictor: Predictor, split: LabelledImages) -> Tensor:
    """1 for each image that is classified correctly, 0 for the others, float64 (n,)."""
    return (predictor.logits(split.images).argmax(1) == split.labels).double()


def by_severity(right: Tensor) -> list[float]:
    """Accuracy at each severity of images that take turns in it (see `damage.corrupt`)."""
    return [float(right[first::NUM_SEVERITIES].mean()) for first in range(NUM_SEVERITIES)]


def mean_accuracy(found: dict[str, list[float]]) -> float:
    """Mean over corruptions and severities, each of the same weight, 0..1."""
    values = [value for severities in found.values() for value in severities]
    return sum(values) / len(values)


def table(
    labels: Sequence[str], clean: Sequence[float], accuracies: Sequence[dict[str, list[float]]]
) -> str:
    """Markdown: accuracy in per cent, of each corruption over its severities, and the means."""
    rows = [["none", *(f"{100 * share:.2f}" for share in clean)]]
    for name in CORRUPTIONS:
        means = [sum(found[name]) / NUM_SEVERITIES for found in accuracies]
        rows.append([name, *(f"{100 * share:.2f}" for share in means)])
    means = [mean_accuracy(found) for found in accuracies]
    rows.append(["**mean accuracy**", *(f"**{100 * share:.2f}**" for share in means)])
    rows.append(["**mean error**", *(f"**{100 * (1 - share):.2f}**" for share in means)])
    return markdown(["corruption", *labels], rows)
