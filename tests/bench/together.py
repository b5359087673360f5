"""Finished runs of a recipe, alone and as ensembles of disjoint ones, and the errors they share.

Nothing is chosen: every run given counts, in the order given.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import get_dataset
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.loading import LoadedModel, load_models
from mnistctl.engine.inference.predictor import Predictor
from mnistctl.engine.inference.significance import summarise
from mnistctl.events import Reporter
from mnistctl.models.layers import mean_of_answers
from tests.bench.figures import append, machine, markdown


def measure(runs: Sequence[str], sizes: Sequence[int], store: Path, data_dir: Path) -> None:
    """Print two tables; append a line to results/together.jsonl."""
    models = load_models(runs, store, "cpu", "fp32", Ranks(), Reporter())
    test = get_dataset("mnist").load("test", data_dir, Reporter())
    shifted = [own.predictor.logits(test.images) for own in models]
    alone = [image_alone(own.predictor).logits(test.images) for own in models]
    groups = {"1, averaged over its views": shifted, "1, the image alone": alone}
    groups |= {str(size): ensembles(shifted, size, models[0]) for size in sizes}
    wrong = {name: [misclassified(own, test) for own in found] for name, found in groups.items()}
    shared = shared_errors(wrong["1, averaged over its views"])
    known = set(get_dataset("mnist").label_errors.get("test", ()))
    together = {
        "runs": list(runs),
        "misclassified": {k: [sorted(s) for s in v] for k, v in wrong.items()},
    }
    append("together", together | {"recipe": models[0].predictor.recipe.name, "machine": machine()})
    print(f"{accuracies(wrong, len(test.labels))}\n\n{errors_table(shared, known)}")
    everyone = sorted(shared[len(runs)])
    print(f"\nmisclassified by all: {', '.join(map(str, everyone))}")


def image_alone(predictor: Predictor) -> Predictor:
    """The same network without averaging over views of the image."""
    recipe = replace(predictor.recipe, tta_shifts=False, tta_flip=False)
    return Predictor(
        predictor.network, recipe, predictor.classes, predictor.device, predictor.precision
    )


def ensembles(logits: Sequence[Tensor], size: int, model: LoadedModel) -> list[Tensor]:
    """Logits (n, classes) of as many disjoint ensembles of `size` as there are."""
    firsts = range(0, len(logits) - size + 1, size)
    rejects = model.predictor.recipe.rejects
    return [mean_of_answers(list(logits[first : first + size]), rejects) for first in firsts]


def misclassified(logits: Tensor, data: LabelledImages) -> set[int]:
    """Indexes of the images whose likeliest class is not their label."""
    return set(torch.nonzero(logits.argmax(1) != data.labels).flatten().tolist())


def shared_errors(wrong: Sequence[set[int]]) -> dict[int, set[int]]:
    """For each number of networks from all down to one: what at least so many misclassify."""
    every = set().union(*wrong)
    counts = {index: sum(index in own for own in wrong) for index in every}
    return {
        least: {index for index, count in counts.items() if count >= least}
        for least in range(len(wrong), 0, -1)
    }


def accuracies(wrong: dict[str, list[set[int]]], total: int) -> str:
    """Markdown: mean, SD and range of each kind of answer."""
    rows = []
    for name, found in wrong.items():
        own = [100 * (1 - len(errors) / total) for errors in found]
        row = [name, str(len(own)), f"{sum(own) / len(own):.3f}", "", f"{own[0]:.2f}"]
        if len(own) > 1:
            summary = summarise(own)
            row[3:] = [f"{summary.sd:.3f}", f"{summary.min:.2f} to {summary.max:.2f}"]
        rows.append(row)
    return markdown(["networks", "n", "test accuracy, %", "SD", "range"], rows)


def errors_table(shared: dict[int, set[int]], known: set[int]) -> str:
    """Markdown: how many errors so many networks share, and how many labels of these are wrong."""
    rows: list[list[Any]] = [
        [str(least), str(len(found)), str(len(found & known))] for least, found in shared.items()
    ]
    return markdown(["misclassified by at least", "images", "known label errors"], rows)
