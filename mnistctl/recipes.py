"""Recipes: a network, its preprocessing, optimiser, schedule and epochs under one name.

Plain numbers only; the command line reads this file without importing torch.
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from mnistctl.errors import UsageError, unknown

NETWORKS = (
    *("mlp", "cnn-small", "cnn-wide", "cnn-dropout"),
    *("compact-3", "compact-5", "compact-6", "compact-7"),
)
DEFAULT_RECIPE = "standard"
MAX_EPOCHS = 10_000
"""A checkpoint holds a record of each, and is refused above some number of values."""


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random affine map drawn anew for every training image; 0 switches one off."""

    rotate: float = 0.0
    """Largest rotation, degrees either way."""
    scale: float = 0.0
    """Largest relative change of size: 0.1 = 1/1.1..1/0.9."""
    shear: float = 0.0
    """Largest horizontal shear, as a slope."""
    shift: float = 0.0
    """Largest shift, pixels either way, per axis."""
    stretch: float = 0.0
    """Largest relative change of width, height changing the other way: 0.1 = 1/1.1..1/0.9."""
    elastic: float = 0.0
    """Standard deviation of a smooth displacement, pixels per axis."""
    corrupt: float = 0.0
    """Share of images with noise, impulse noise, low contrast, blur or cutout."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run computes, apart from data set and seed."""

    name: str
    summary: str
    network: str
    """Key of the network registry, one of NETWORKS."""
    epochs: int
    batch_size: int
    optimizer: Literal["sgd", "adam"]
    learning_rate: float
    """Peak learning rate; `schedule` scales it step by step."""
    pixel_mean: float = 0.0
    pixel_std: float = 1.0
    """The network sees (x / 255 - pixel_mean) / pixel_std."""
    momentum: float = 0.0
    """SGD only."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam only."""
    weight_decay: float = 0.0
    """Decoupled (AdamW) for Adam, classic L2 for SGD; on weights of two and more dimensions."""
    schedule: Literal["constant", "one-cycle"] = "constant"
    warmup: float = 0.0
    """One-cycle: the share of all steps in which the rate climbs to its peak."""
    label_smoothing: float = 0.0
    temperature: float = 1.0
    """Divides the logits before softmax where confidence is shown; fitted on held-out images."""
    augmentation: Augmentation = Augmentation()
    no_augment_epochs: int = 0
    """The last epochs, trained on the images as they are; never the first."""
    ema_decay: float = 0.0
    """Of the exponential moving average of weights, a step; 0: the last weights are the result."""
    tta_shifts: bool = False
    """Answers are the mean over the image as it is and shifted by a pixel to each side."""
    outliers_per_batch: int = 0
    """Pictures of no digit in each batch, besides its digits; the network learns to be unsure."""

    def augments(self, epochs_done: int) -> bool:
        """Whether the epoch after `epochs_done` changes its images."""
        last = max(self.epochs - self.no_augment_epochs, 1)
        return self.augmentation != Augmentation() and epochs_done < last

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` is its inverse."""
        return asdict(self) | {"betas": list(self.betas)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Recipe":
        """Rebuild a recipe written by `to_dict`. Raises TypeError or KeyError on another shape."""
        data = {**data, "betas": tuple(data["betas"])}
        data["augmentation"] = Augmentation(**data["augmentation"])
        return cls(**data)


_STANDARD = Recipe(
    name="standard",
    summary="99.6 % in under a minute: five convolutions, augmentation, 108,810 parameters",
    network="compact-5",
    pixel_mean=0.1307,
    pixel_std=0.3081,
    batch_size=250,
    optimizer="adam",
    learning_rate=0.008,
    betas=(0.9, 0.95),
    weight_decay=0.02,
    schedule="one-cycle",
    warmup=0.2,
    label_smoothing=0.05,
    temperature=0.525,
    augmentation=Augmentation(rotate=10, scale=0.1, shear=0.1, shift=1.5),
    epochs=6,
)

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            name="mlp",
            summary="feed-forward baseline, 784-128-64-10",
            network="mlp",
            pixel_mean=0.5,
            pixel_std=0.5,
            batch_size=64,
            optimizer="sgd",
            learning_rate=0.003,
            momentum=0.9,
            epochs=15,
        ),
        Recipe(
            name="cnn-small",
            summary="two 5x5 convolutions with dropout, 21,840 parameters",
            network="cnn-small",
            batch_size=100,
            optimizer="adam",
            learning_rate=1e-3,
            epochs=10,
        ),
        Recipe(
            name="cnn-wide",
            summary="two padded 3x3 convolutions, 421,642 parameters",
            network="cnn-wide",
            pixel_mean=0.5,
            pixel_std=0.5,
            batch_size=64,
            optimizer="adam",
            learning_rate=1e-3,
            epochs=10,
        ),
        Recipe(
            name="cnn-dropout",
            summary="two 3x3 convolutions, dropout .25 and .5, 1,199,882 parameters",
            network="cnn-dropout",
            pixel_mean=0.5,
            pixel_std=0.5,
            batch_size=64,
            optimizer="adam",
            learning_rate=1e-3,
            epochs=10,
        ),
        Recipe(
            name="fast",
            summary="99 % in one epoch: three batch-normalised convolutions, 29,610 parameters",
            network="compact-3",
            pixel_mean=0.1307,
            pixel_std=0.3081,
            batch_size=250,
            optimizer="adam",
            learning_rate=0.01,
            betas=(0.8, 0.95),
            schedule="one-cycle",
            warmup=0.2,
            label_smoothing=0.1,
            temperature=0.42,
            epochs=1,
        ),
        _STANDARD,
        replace(
            _STANDARD,
            name="accurate",
            summary="highest accuracy: seven convolutions, shifted views, 265,434 parameters",
            network="compact-7",
            temperature=0.55,
            augmentation=replace(_STANDARD.augmentation, stretch=0.1),
            no_augment_epochs=1,
            ema_decay=0.99,
            tta_shifts=True,
            epochs=14,
        ),
        replace(
            _STANDARD,
            name="robust",
            summary="for photographs: tolerates noise, rejects non-digits, 112,442 parameters",
            network="compact-6",
            temperature=0.49,
            augmentation=Augmentation(
                rotate=15, scale=0.15, shear=0.2, shift=2.5, elastic=0.3, corrupt=0.3
            ),
            ema_decay=0.998,
            outliers_per_batch=40,
            epochs=8,
        ),
    )
}


def get_recipe(name: str) -> Recipe:
    """The recipe called `name`. Raises UsageError with the near match when there is none."""
    if name not in RECIPES:
        raise unknown("recipe", name, tuple(RECIPES), "see mnistctl train --list-recipes")
    return RECIPES[name]


def recipe_of_network(network: str) -> Recipe:
    """The first recipe that trains `network`, one of NETWORKS; each has one."""
    return next(recipe for recipe in RECIPES.values() if recipe.network == network)


def with_overrides(
    recipe: Recipe,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
) -> Recipe:
    """`recipe` with the given fields replaced. Raises UsageError on values that can't train."""
    if epochs is not None and not 1 <= epochs <= MAX_EPOCHS:
        raise UsageError(f"--epochs {epochs}: 1 to {MAX_EPOCHS}")
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"--batch-size {batch_size}: at least 1 is needed")
    if learning_rate is not None and not (math.isfinite(learning_rate) and learning_rate > 0):
        raise UsageError(f"--lr {learning_rate}: a finite number above 0 is needed")
    given: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
    }
    return replace(recipe, **{key: value for key, value in given.items() if value is not None})
