"""The effective configuration of a run: with the data set, all that reproduces it."""

import math
from dataclasses import asdict, dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mnistctl.recipes import NETWORKS, Recipe


@dataclass(frozen=True)
class RunConfig:
    """What a run computes (recipe to precision), what it reports, and where it came from."""

    recipe: Recipe
    dataset: str
    dataset_sha256: str
    seed: int
    validation: int
    """Training images held out for validation, the last ones of a seeded permutation."""
    device: str
    precision: str
    threads: int
    """CPU threads; sums, and so the last bits, depend on it."""
    world_size: int
    """Processes that share every batch."""
    log_every: int
    checkpoint_every: int
    """Steps between checkpoints within an epoch; 0: at each epoch's end only."""
    test_every_epoch: bool
    started: str
    """UTC, ISO 8601."""
    command: str
    versions: dict[str, str]
    ensemble: int = 1
    """Networks trained, of this and the following seeds, to answer as one."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` is its inverse."""
        return asdict(self) | {"recipe": self.recipe.to_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "RunConfig":
        """Rebuild from `to_dict`. Raises TypeError, KeyError or ValueError on another shape."""
        config = cls(**{**data, "recipe": checked_recipe(data["recipe"])})
        _check_fields(config)
        if (
            config.log_every < 1
            or config.checkpoint_every < 0
            or config.validation < 0
            or config.ensemble < 1
        ):
            raise ValueError("numbers in their ranges")
        return config

    def identity(self) -> dict[str, Any]:
        """What makes two configurations parts of one run: all that decides its steps' results."""
        recipe = self.recipe.to_dict()
        del recipe["epochs"], recipe["summary"]
        return {
            "recipe": recipe,
            "dataset": self.dataset,
            "dataset_sha256": self.dataset_sha256,
            "seed": self.seed,
            "validation": self.validation,
        }


def checked_recipe(data: Any) -> Recipe:
    """The recipe that `Recipe.to_dict` wrote, every field of its type and able to train.

    Raises TypeError, KeyError or ValueError on anything else.
    """
    if not isinstance(data, dict):
        raise TypeError("a recipe")
    recipe = Recipe.from_dict(data)
    _check_fields(recipe)
    if recipe.network not in NETWORKS:
        raise ValueError(f"a known network, not '{recipe.network}'")
    positive = min(recipe.learning_rate, recipe.temperature, recipe.pixel_std) > 0
    counts = min(recipe.epochs, recipe.batch_size) >= 1
    extras = (
        min(recipe.outliers_per_batch, recipe.no_augment_epochs) >= 0 and 0 <= recipe.ema_decay < 1
    )
    if not (positive and counts and extras):
        raise ValueError("a recipe that can train")
    return recipe


def _check_fields(instance: Any) -> None:
    """Raise TypeError unless every field of a dataclass holds what its annotation says."""
    hints = get_type_hints(type(instance))
    for field in fields(instance):
        if not _fits(getattr(instance, field.name), hints[field.name]):
            raise TypeError(f"{field.name} of the right kind")


def _fits(value: Any, hint: Any) -> bool:
    kind, arguments = get_origin(hint), get_args(hint)
    if kind is Literal:
        return value in arguments
    if kind is tuple:
        right_length = isinstance(value, tuple) and len(value) == len(arguments)
        return right_length and all(map(_fits, value, arguments))
    if kind is UnionType:
        return any(_fits(value, choice) for choice in arguments)
    if kind is dict:
        return isinstance(value, dict) and all(
            _fits(k, arguments[0]) and _fits(v, arguments[1]) for k, v in value.items()
        )
    if is_dataclass(hint):
        _check_fields(value)
        return True
    if hint is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is hint
