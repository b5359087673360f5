"""What a data set is: its files, its classes, and what every data set gives. Imports no torch."""

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mnistctl.events import Reporter
from mnistctl.recipes import Augmentation, Recipe

if TYPE_CHECKING:
    from torch import Tensor

DIGITS = tuple(string.digits)
SPLITS = ("train", "test")
MNIST_SIZES = {"train": 60_000, "test": 10_000}
EPOCH_STEPS, MIN_BATCH = 20, 16

Preparation = Literal["ink", "resize"]
"""From a picture to 28x28 pixels: its ink in MNIST's form, or the whole picture scaled."""


def numbered(num_classes: int) -> tuple[str, ...]:
    """The names of classes that have none: 0, 1, 2 and so on, as those of digits."""
    return tuple(map(str, range(num_classes)))


@dataclass(frozen=True)
class LabelledImages:
    """uint8 images (n, 28, 28), ink 255 on 0, and int64 labels (n,), on one device."""

    images: "Tensor"
    labels: "Tensor"


@dataclass(frozen=True)
class Blob:
    """A file that is known beforehand, by its SHA-256 or its MD5 sum, in hexadecimal."""

    name: str
    bytes: int
    """Its size; with an MD5 sum about its size, and more than twice as much is refused."""
    sha256: str = ""
    md5: str = ""

    @property
    def limit(self) -> int:
        """The most bytes that are ever read."""
        return 2 * self.bytes if self.md5 else self.bytes


@dataclass(frozen=True)
class IdxFile:
    """A file in the IDX format, as downloaded (or in an archive) and decompressed."""

    gz: Blob
    raw: Blob
    shape: tuple[int, ...]
    """Of images (n, 28, 28), of labels (n,): bytes. Of labels (n, columns): big-endian int32."""

    @property
    def dtype(self) -> str:
        """As numpy calls the type of its numbers."""
        return ">i4" if len(self.shape) == 2 else "u1"


@dataclass(frozen=True)
class Published:
    """Files in the IDX format, where they are had and how they are read."""

    folder: str
    """In the data directory: torchvision's layout."""
    mirrors: tuple[str, ...]
    """Base URLs, tried in turn."""
    files: Mapping[str, tuple[IdxFile, IdxFile]]
    """Images and labels of each split."""
    archive: Blob | None
    """The zip that holds the files, each as .gz; None where they are had one by one."""
    transposed: bool
    first_label: int


@dataclass(frozen=True)
class Dataset:
    """A data set: its classes and sizes, how its images are had, and what suits them."""

    name: str
    """Under which `get_dataset` finds it again: of a directory, its absolute path."""
    summary: str
    classes: tuple[str, ...]
    sizes: Mapping[str, int]
    """Number of images of each split."""
    load: Callable[[str, Path, Reporter], LabelledImages]
    """(split, data directory, reporter) -> the split, fetched or drawn where it is not there yet.
    Raises DataError."""
    fingerprint: Callable[[], str]
    """SHA-256 that tells whether two runs saw the same images."""
    pixels: tuple[float, float] | None = None
    """Mean and standard deviation of all training pixels, 0..1, where they are known."""
    epochs: float = 1.0
    """How many times a recipe's epochs it takes to learn these classes."""
    augmentation: Mapping[str, Any] = field(default_factory=dict)
    """Fields of an augmentation that suit these images better than a recipe's."""
    prepare: Preparation = "ink"
    """How other pictures are brought to the form of its images."""
    published: Published | None = None
    label_errors: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Indexes, by split, of images whose label is known to be wrong. Reported, never used."""

    @property
    def has_digits(self) -> bool:
        """Whether its classes are the ten digits."""
        return self.classes == DIGITS

    def adapt(self, recipe: Recipe) -> Recipe:
        """`recipe` as it suits these images; one that reproduces a document stays as it is.

        It takes their mean and deviation and as many epochs as they need, changes images as they
        tolerate it, averages over mirrored views where it trains on them, trains against pictures
        of no digit only where the classes are digits, and makes at least EPOCH_STEPS steps an
        epoch unless batches become smaller than MIN_BATCH. Temperatures were fitted on
        digits; other classes are more alike, and need less sharpening (on Fashion-MNIST 0.75
        where digits need 0.525).
        """
        if recipe.documented:
            return recipe
        augmentation = recipe.augmentation
        if augmentation != Augmentation():
            augmentation = replace(augmentation, **self.augmentation)
        mean, std = self.pixels or (recipe.pixel_mean, recipe.pixel_std)
        suited = replace(
            recipe,
            pixel_mean=mean,
            pixel_std=std,
            epochs=round(self.epochs * recipe.epochs),
            augmentation=augmentation,
            tta_flip=augmentation.flip > 0,
            temperature=recipe.temperature ** (1.0 if self.has_digits else 0.5),
            batch_size=min(recipe.batch_size, max(self.sizes["train"] // EPOCH_STEPS, MIN_BATCH)),
            outliers_per_batch=recipe.outliers_per_batch if self.has_digits else 0,
        )
        before = recipe.settings
        adapted = {key: value for key, value in suited.settings.items() if value != before[key]}
        return replace(suited, adapted=adapted)
