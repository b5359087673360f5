"""What every data set gives, and in which splits. Imports no torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

SPLITS = ("train", "test")
MNIST_SIZES = {"train": 60_000, "test": 10_000}


@dataclass(frozen=True)
class LabelledImages:
    """uint8 images (n, 28, 28), ink 255 on 0, and int64 labels (n,), on one device."""

    images: "Tensor"
    labels: "Tensor"
