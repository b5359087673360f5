"""Images of a data set, as they are or beside what a recipe's augmentation makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, RenderableType

from mnistctl.data.images import Dataset
from mnistctl.data.registry import get_dataset
from mnistctl.draw.grid import TILE, TILE_GAP, ImageGrid
from mnistctl.draw.types import Figure, Pixels
from mnistctl.errors import MnistctlError, UsageError
from mnistctl.recipes import RECIPES, Augmentation, get_recipe
from mnistctl.visualize import sources
from mnistctl.visualize.registry import kind

if TYPE_CHECKING:
    from torch import Tensor

PER_CLASS, NUM_ORIGINALS, MAX_ORIGINALS = 8, 10, 50
NUM_VARIANTS = 7
"""Augmented versions beside each original."""


@kind("samples", "", "--class 7 --count 40 -o sevens.png", "--augmented standard --seed 1")
def samples(
    data: sources.DataSplit,
    count: Annotated[
        int | None, sources.count_option("Images in all [default: some of each class].")
    ] = None,
    class_name: Annotated[
        str | None, sources.class_option("Only this class, a name or index.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="N", help="Random images, not each class's first."),
    ] = None,
    augmented: Annotated[
        str | None,
        typer.Option(
            "--augmented",
            metavar="RECIPE",
            help="Beside each, how the recipe alters it.",
            autocompletion=lambda: list(RECIPES),
        ),
    ] = None,
) -> "SamplesView":
    """Images of a data set, as they are or augmented."""
    if seed is not None and not 0 <= seed < 1 << 63:
        raise UsageError(f"--seed {seed}: must be between 0 and 2**63 - 1")
    name = data.name_for()
    dataset = get_dataset(name)
    classes = dataset.classes
    augmentation = _augmentation(augmented, dataset) if augmented else None
    if augmentation and (count or 0) > MAX_ORIGINALS:
        raise UsageError(f"--count {count}: must be between 1 and {MAX_ORIGINALS} with --augmented")
    chosen = (
        range(len(classes)) if class_name is None else [sources.class_index(class_name, classes)]
    )
    number = count or (
        NUM_ORIGINALS if augmented else min(sources.MAX_COUNT, PER_CLASS * len(classes))
    )
    split = data.load(name)
    indexes = _chosen(split.labels, number, chosen, seed)
    images = split.images[indexes]
    return SamplesView(
        dataset=name,
        split=data.split,
        classes=classes,
        order="by class" if seed is None else "random",
        indexes=indexes.tolist(),
        labels=split.labels[indexes].tolist(),
        images=images.numpy(),
        recipe=augmented,
        variants=_variants(images, augmentation, seed or 0) if augmentation else None,
        fit=count is None,
    )


def _augmentation(recipe: str, dataset: Dataset) -> Augmentation:
    """How `recipe` alters the images of `dataset`. Raises UsageError where it doesn't."""
    found = dataset.adapt(get_recipe(recipe)).augmentation
    if found == Augmentation():
        others = [own.name for own in RECIPES.values() if own.augmentation != found]
        raise UsageError(
            f"recipe '{recipe}' trains on the images as they are",
            f"recipes that augment: {', '.join(others)}",
        )
    return found


def _chosen(labels: "Tensor", count: int, classes: Sequence[int], seed: int | None) -> "Tensor":
    """Indexes int64: random ones of a seed, else the first ones of each class in turn."""
    import torch

    of_class = [(labels == own).nonzero()[:, 0] for own in classes]
    if seed is not None:
        candidates = torch.cat(of_class).sort().values
        order = torch.randperm(len(candidates), generator=torch.Generator().manual_seed(seed))
        chosen = candidates[order[:count]]
    else:
        # As many of each as there are, until `count` are found: what one class lacks, others give.
        ranks = torch.cat([torch.arange(len(own)) for own in of_class])
        taken = ranks.argsort(stable=True)[:count].sort().values
        chosen = torch.cat(of_class)[taken]
    if not len(chosen):
        raise MnistctlError("this split has no image of that class")
    return chosen


def _variants(images: "Tensor", augmentation: Augmentation, seed: int) -> Pixels:
    """Augmented versions (n, 7, 28, 28) of images (n, 28, 28)."""
    import torch

    from mnistctl.data.augment import change, draw

    generator = torch.Generator().manual_seed(seed)
    variants = images.repeat_interleave(NUM_VARIANTS, 0)
    changed = change(variants, draw(augmentation, len(variants), generator))
    pixels: Pixels = changed.round().clamp(0, 255).to(torch.uint8).numpy()
    return pixels.reshape(len(images), NUM_VARIANTS, *images.shape[1:])


@dataclass(frozen=True)
class SamplesView:
    """Images uint8 (n, 28, 28) with their labels and places in the split.

    With a recipe, `variants` (n, m, 28, 28) are augmented versions of each. A terminal shows as
    many as `fit`, or all.
    """

    dataset: str
    split: str
    classes: tuple[str, ...]
    order: str
    """by class or random."""
    indexes: list[int]
    labels: list[int]
    images: Pixels
    recipe: str | None = None
    variants: Pixels | None = None
    fit: bool = False

    @property
    def title(self) -> str:
        what = f"{self.dataset} {self.split}: {len(self.indexes)} images, {self.order}"
        return f"{what}, each augmented as in {self.recipe}" if self.recipe else what

    def to_dict(self) -> dict[str, Any]:
        pairs = zip(self.indexes, self.labels, strict=True)
        return {
            "dataset": self.dataset,
            "classes": list(self.classes),
            "split": self.split,
            "order": self.order,
            "augmented": self.recipe,
            "samples": [{"index": index, "label": label} for index, label in pairs],
        }

    def _grid(self, variants: int, beneath: str = "") -> ImageGrid:
        """The images, with variants a row for each with so many of them, captioned `beneath`."""
        pairs = zip(self.labels, self.indexes, strict=True)
        captions = [f"{self.classes[label]}  #{index}" for label, index in pairs]
        if self.variants is None:
            return ImageGrid(self.images, captions, fit=self.fit, spread=True)
        rows = zip(self.images, self.variants, strict=True)
        images = [image for first, others in rows for image in (first, *others[:variants])]
        texts = [text for caption in captions for text in (caption, *[beneath] * variants)]
        return ImageGrid(images, texts, columns=1 + variants, fit=self.fit)

    def figure(self) -> Figure:
        return self._grid(NUM_VARIANTS).figure(self.title)

    def panel(self, console: Console) -> RenderableType:
        """With variants a row for each image with as many as there is room for."""
        across = (console.width + TILE_GAP) // (TILE + TILE_GAP)
        return self._grid(max(1, min(NUM_VARIANTS, across - 1)), "augmented").panel(console)
