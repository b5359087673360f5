"""Cross-validation on the training images: what a recipe gets right of images it never saw.

Every image is held out once, so that 60,000 answers decide between candidates, and the test set
none. Differences are paired: the images that only one of two candidates gets right.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mnistctl.data.images import LabelledImages
from mnistctl.data.registry import get_dataset
from mnistctl.device import choose_hardware, keep_freed_memory
from mnistctl.distributed import Ranks
from mnistctl.engine.inference.significance import mcnemar
from mnistctl.events import Reporter
from mnistctl.models.layers import mean_of_answers
from mnistctl.recipes import RECIPES, Recipe
from tests.bench.distil import Teachers
from tests.bench.figures import RESULTS, append, claimed, machine, markdown, recipe_hash, wilson
from tests.bench.ours import train_fold

NUM_FOLDS = 6
SHUFFLE_SEED = 2026
"""Of the division into folds, the same for every candidate and seed."""
RESULTS_NAME = "folds"


@dataclass(frozen=True)
class Answers:
    """What a candidate answered with one seed on a fold held out."""

    candidate: str
    base: str
    """The candidate that is its recipe as it was, perhaps itself."""
    commit: str
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
    recipe: Recipe,
    seeds: Sequence[int],
    data_dir: Path,
    device_name: str,
    precision: str,
    num_folds: int,
    kept: Path,
    soft: float,
) -> None:
    """Train a candidate on all folds but one, with each seed; append a line a training.

    Held out are the first `num_folds` of the six in turn. A candidate is a recipe in a precision;
    where `soft` is above 0, that share of its labels is a teacher's. What results/folds.jsonl has
    is not trained again, nor what another process is training: started once for each core, they
    share the trainings. The logits of what is held out go to `kept`, for ensembles.
    """
    keep_freed_memory()
    device, precision = choose_hardware(device_name, precision, Ranks(), Reporter())
    whole = get_dataset("mnist").load("train", data_dir, Reporter())
    taught = _label(recipe, precision)
    base = _label(RECIPES[recipe.name], precision)
    label = f"{taught}, soft labels {soft:g}" if soft else taught
    words = ["python -m tests.bench folds --recipe", recipe.name]
    words += [f"--set {key}={value}" for key, value in recipe.changes.items()]
    command = " ".join([*words, *([f"--soft-labels {soft:g}"] if soft else [])])
    teachers = Teachers(recipe, taught, device, precision, kept)
    parts = folds_of(len(whole.images))
    for seed, fold in product(seeds, range(num_folds)):
        path, held_out = logits_path(kept, label, seed, fold), parts[fold]
        with claimed(path) as free:
            if not free or (identity(label), seed, fold) in _measured():
                continue
            labels = whole.labels
            if soft:
                labels = teachers.labels_for(whole, parts, fold, soft, seed)
            train = LabelledImages(whole.images, labels)
            logits, seconds = train_fold(recipe, train, held_out, seed, device, precision)
            torch.save(logits, path)
            wrong = held_out[logits.argmax(1) != whole.labels[held_out]].tolist()
            own = {"label": label, "base": base, "seed": seed, "fold": fold, "command": command}
            figures = {"misclassified": wrong, "total": len(held_out), "train_seconds": seconds}
            append(RESULTS_NAME, own | figures | {"machine": machine()})
            print(f"{label} seed {seed} fold {fold}: {len(wrong)} of {len(held_out):,}", flush=True)


def _measured() -> set[tuple[str, int, int]]:
    return {(identity(line["label"]), line["seed"], line["fold"]) for line in lines()}


def _label(recipe: Recipe, precision: str) -> str:
    return f"{recipe.label}, {precision}, {recipe_hash(recipe.to_dict())[:7]}"


def identity(label: str) -> str:
    """What decides a candidate's answers, of its label: precision, the recipe's hash, soft labels.

    The words before change when a recipe takes the settings of a candidate over.
    """
    return re.sub(r".*, (?=(fp32|bf16), [0-9a-f]{7})", "", label)


def logits_path(kept: Path, label: str, seed: int, fold: int) -> Path:
    """Where the logits, float32 (n, 10), of what a training held out are kept."""
    return kept / f"{identity(label)}, seed {seed}, fold {fold}.pt"


def lines() -> list[dict[str, Any]]:
    """All lines of results/folds.jsonl, the oldest first."""
    path = RESULTS / f"{RESULTS_NAME}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def answers_of(found: Sequence[dict[str, Any]]) -> Iterator[Answers]:
    """The answers in lines of results."""
    for line in found:
        yield Answers(
            candidate=line["label"],
            base=line["base"],
            commit=(line["commit"] or "")[:7],
            fold=line["fold"],
            seed=line["seed"],
            total=line["total"],
            misclassified=frozenset(line["misclassified"]),
        )


def table(answers: Sequence[Answers]) -> str:
    """Each candidate's accuracy on images held out, and how it differs from its recipe, paired.

    Paired are the trainings of the same fold and seed. A candidate goes by its first label.
    """
    candidates: dict[str, dict[tuple[int, int], Answers]] = defaultdict(dict)
    for own in answers:
        candidates[identity(own.candidate)][own.fold, own.seed] = own
    rows: list[list[str]] = []
    for itself, parts in candidates.items():
        total = sum(own.total for own in parts.values())
        wrong = sum(len(own.misclassified) for own in parts.values())
        low, high = wilson(total - wrong, total)
        accuracy = f"{100 * (1 - wrong / total):.3f} ({100 * low:.3f}-{100 * high:.3f})"
        first = next(iter(parts.values()))
        base = identity(first.base)
        seeds = ", ".join(str(seed) for seed in sorted({own.seed for own in parts.values()}))
        commits = ", ".join(dict.fromkeys(own.commit for own in parts.values()))
        paired = "-" if itself == base else compared(candidates.get(base, {}), parts)
        rows.append([first.candidate, seeds, commits, f"{total:,}", str(wrong), accuracy, paired])
    head = [
        "candidate",
        "seeds",
        "commit",
        "answers",
        "errors",
        "accuracy, %",
        "against its recipe",
    ]
    return markdown(head, rows)


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


def ensembles_table(answers: Sequence[Answers], size: int, kept: Path, labels: Tensor) -> str:
    """The accuracy of every ensemble of `size` networks on the folds that all of them held out.

    A network is a candidate and a seed. `labels` (n,) are the training set's.
    """
    parts = folds_of(len(labels))
    trained: dict[str, dict[int, Tensor]] = defaultdict(dict)
    for own in answers:
        path = logits_path(kept, own.candidate, own.seed, own.fold)
        if path.exists():
            trained[f"{own.candidate}, seed {own.seed}"][own.fold] = torch.load(path)
    rows: list[list[str]] = []
    for group in combinations(trained, size):
        wrong = total = 0
        for fold in set.intersection(*(set(trained[name]) for name in group)):
            members = [trained[name][fold] for name in group]
            answer = mean_of_answers(members, rejects=False).argmax(1)
            wrong += int((answer != labels[parts[fold]]).sum())
            total += len(answer)
        if total:
            accuracy = f"{100 * (1 - wrong / total):.3f}"
            rows.append([" + ".join(group), f"{total:,}", str(wrong), accuracy])
    rows.sort(key=lambda row: float(row[3]), reverse=True)
    return markdown(["ensemble", "answers", "misclassified", "accuracy, %"], rows)
