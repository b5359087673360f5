"""Images of a data set, as they are or beside what a recipe makes of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mnistctl.data.augment import augment
from mnistctl.data.names import DEFAULT_DATASET
from mnistctl.data.registry import Split, load_split
from mnistctl.errors import MnistctlError, UsageError
from mnistctl.recipes import RECIPES, Augmentation, Recipe, get_recipe
from mnistctl.visualize.request import ViewRequest

DEFAULT_COUNT = 80
DEFAULT_ORIGINALS = 10
MAX_ORIGINALS = 50
NUM_VARIANTS = 7
"""Augmented versions beside each original."""


@dataclass(frozen=True)
class SamplesView:
    """Images uint8 (n, 28, 28) with their labels and places in the split.

    With a recipe, `variants` (n, 7, 28, 28) are augmented versions of each.
    """

    dataset: str
    split: str
    order: str
    """by class or random."""
    indexes: list[int]
    labels: list[int]
    images: NDArray[np.uint8]
    recipe: str | None
    variants: NDArray[np.uint8] | None

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "dataset": self.dataset,
            "split": self.split,
            "order": self.order,
            "augmented": self.recipe,
            "samples": [
                {"index": index, "label": label}
                for index, label in zip(self.indexes, self.labels, strict=True)
            ],
        }


def view_samples(request: ViewRequest) -> SamplesView:
    """The first images of each digit, or with a seed random ones. Raises UsageError, DataError."""
    recipe = _augmenting(request.augmented) if request.augmented else None
    name = request.dataset or DEFAULT_DATASET
    data = load_split(name, request.split, request.data_dir, request.reporter)
    count = request.count or (DEFAULT_ORIGINALS if recipe else DEFAULT_COUNT)
    if recipe and count > MAX_ORIGINALS:
        raise UsageError(f"--count {count}: 1 to {MAX_ORIGINALS} with --augmented")
    chosen = _chosen(data, count, request.digit, request.seed)
    images = data.images[chosen]
    return SamplesView(
        dataset=name,
        split=request.split,
        order="by class" if request.seed is None else "random",
        indexes=chosen.tolist(),
        labels=data.labels[chosen].tolist(),
        images=images.numpy(),
        recipe=recipe.name if recipe else None,
        variants=_variants(images, recipe, request.seed or 0) if recipe else None,
    )


def _augmenting(name: str) -> Recipe:
    recipe = get_recipe(name)
    if recipe.augmentation == Augmentation():
        others = [own.name for own in RECIPES.values() if own.augmentation != Augmentation()]
        raise UsageError(
            f"recipe '{name}' trains on the images as they are",
            f"recipes that augment: {', '.join(others)}",
        )
    return recipe


def _chosen(data: Split, count: int, digit: int | None, seed: int | None) -> Tensor:
    """Indexes int64: random ones of a seed, else the first ones of each digit in turn."""
    digits = range(10) if digit is None else (digit,)
    of_digit = [torch.nonzero(data.labels == own)[:, 0] for own in digits]
    if seed is not None:
        candidates = torch.cat(of_digit).sort().values
        order = torch.randperm(len(candidates), generator=torch.Generator().manual_seed(seed))
        chosen = candidates[order[:count]]
    else:
        each, more = divmod(count, len(of_digit))
        parts = [own[: each + (place < more)] for place, own in enumerate(of_digit)]
        chosen = torch.cat(parts)
    if not len(chosen):
        raise MnistctlError("no image of that digit in this split")
    return chosen


def _variants(images: Tensor, recipe: Recipe, seed: int) -> NDArray[np.uint8]:
    repeated = images.repeat_interleave(NUM_VARIANTS, 0)
    generator = torch.Generator().manual_seed(seed)
    changed = augment(repeated, recipe.augmentation, generator)
    pixels: NDArray[np.uint8] = changed.round().clamp(0, 255).to(torch.uint8).numpy()
    return pixels.reshape(len(images), NUM_VARIANTS, *images.shape[1:])
