"""Cross-validation on the training images: what a recipe gets right of images it never saw.

Every image is held out once, so that 60,000 answers decide between candidates, and the test set
none. Differences are paired: the images that only one of two candidates gets right.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import get_dataset
from mnistctl.device import choose_hardware
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.significance import mcnemar
from mnistctl.events import NullReporter
from mnistctl.recipes import Recipe, get_recipe, with_settings
from tests.bench.figures import RESULTS, append, machine, markdown, recipe_hash, wilson
from tests.bench.ours import predictor_of, train_once

NUM_FOLDS = 6
SHUFFLE_SEED = 2026
"""Of the division into folds, the same for every candidate and seed."""
RESULTS_NAME = "folds"


@dataclass(frozen=True)
class Answers:
    """What a candidate answered with one seed on a fold held out."""

    candidate: str
    fold: int
    seed: int
    total: int
    misclassified: frozenset[int]
    """Indexes of training images."""


def folds_of(num_images: int) -> list[torch.Tensor]:
    """The division: NUM_FOLDS tensors of indexes, int64, sorted."""
    generator = torch.Generator().manual_seed(SHUFFLE_SEED)
    shuffled = torch.randperm(num_images, generator=generator)
    return [part.sort().values for part in shuffled.tensor_split(NUM_FOLDS)]


def measure(
    recipe_name: str,
    settings: Sequence[str],
    seeds: Sequence[int],
    data_dir: Path,
    device_name: str,
    precision: str,
) -> None:
    """Train a candidate on each five of six folds, with each seed; append a line a training.

    A candidate is a recipe in a precision. What results/folds.jsonl has is not trained again.
    """
    device, precision = choose_hardware(device_name, precision, Ranks(), NullReporter())
    recipe = with_settings(get_recipe(recipe_name), settings)
    whole = get_dataset("mnist").load("train", data_dir, NullReporter())
    known = {(line["label"], line["seed"], line["fold"]) for line in lines()}
    label = f"{recipe.label}, {precision}, {recipe_hash(recipe.to_dict())[:7]}"
    words = ["python -m tests.bench folds --recipe", recipe_name]
    command = " ".join([*words, *(f"--set {setting}" for setting in settings)])
    for seed in seeds:
        for fold, held_out in enumerate(folds_of(len(whole.images))):
            if (label, seed, fold) in known:
                continue
            figures = train_fold(recipe, whole, held_out, seed, device, precision)
            own = {"label": label, "seed": seed, "fold": fold, "command": command}
            append(RESULTS_NAME, own | figures | {"machine": machine()})
            wrong = len(figures["misclassified"])
            print(f"{label} seed {seed} fold {fold}: {wrong} of {len(held_out):,} misclassified")


def train_fold(
    recipe: Recipe,
    whole: LabelledImages,
    held_out: torch.Tensor,
    seed: int,
    device: torch.device,
    precision: str,
) -> dict[str, Any]:
    """Train on all but `held_out` (indexes, int64); which of these are misclassified."""
    kept = torch.ones(len(whole.images), dtype=torch.bool)
    kept[held_out] = False
    part = LabelledImages(whole.images[kept], whole.labels[kept])
    state, _ = train_once(recipe, part, device, precision, seed)
    predictor = predictor_of(state, recipe, device, precision)
    answers = predictor.logits(whole.images[held_out]).argmax(1).cpu()
    return {
        "misclassified": held_out[answers != whole.labels[held_out]].tolist(),
        "total": len(held_out),
        "train_seconds": round(state.seconds, 1),
    }


def lines() -> list[dict[str, Any]]:
    """All lines of results/folds.jsonl, the oldest first."""
    path = RESULTS / f"{RESULTS_NAME}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def answers_of(found: Sequence[dict[str, Any]]) -> Iterator[Answers]:
    """The answers in lines of results."""
    for line in found:
        wrong = frozenset(line["misclassified"])
        yield Answers(line["label"], line["fold"], line["seed"], line["total"], wrong)


def table(answers: Sequence[Answers]) -> str:
    """Each candidate's accuracy on images held out, and how it differs from the first one, paired.

    Paired are the trainings of the same fold and seed.
    """
    candidates: dict[str, dict[tuple[int, int], Answers]] = defaultdict(dict)
    for own in answers:
        candidates[own.candidate][own.fold, own.seed] = own
    rows: list[list[str]] = []
    for name, parts in candidates.items():
        total = sum(own.total for own in parts.values())
        wrong = sum(len(own.misclassified) for own in parts.values())
        low, high = wilson(total - wrong, total)
        accuracy = f"{100 * (1 - wrong / total):.3f} ({100 * low:.3f}-{100 * high:.3f})"
        seeds = ", ".join(str(seed) for seed in sorted({own.seed for own in parts.values()}))
        paired = compared(next(iter(candidates.values())), parts) if rows else "-"
        rows.append([name, seeds, f"{total:,}", accuracy, paired])
    return markdown(["candidate", "seeds", "answers", "accuracy, %", "against the first"], rows)


def compared(base: dict[tuple[int, int], Answers], own: dict[tuple[int, int], Answers]) -> str:
    """`+0.012 points, p=0.3 (n=60,000)`: by how much `own` is better than `base`."""
    both = base.keys() & own.keys()
    if not both:
        return "-"
    gained = sum(len(base[key].misclassified - own[key].misclassified) for key in both)
    lost = sum(len(own[key].misclassified - base[key].misclassified) for key in both)
    total = sum(own[key].total for key in both)
    points = 100 * (gained - lost) / total
    return f"{points:+.3f} points, p={mcnemar(gained, lost):.2g} (n={total:,})"
