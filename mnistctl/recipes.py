"""Recipes: a network, its preprocessing, optimiser, schedule and epochs under one name.

Plain numbers only; the command line reads this file without importing torch.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mnistctl.errors import UsageError, unknown

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
    whole_shifts: bool = False
    """Shifts by whole pixels, which blur nothing."""
    stretch: float = 0.0
    """Largest relative change of width, height changing the other way: 0.1 = 1/1.1..1/0.9."""
    elastic: float = 0.0
    """Standard deviation of a smooth displacement, pixels per axis."""
    corrupt: float = 0.0
    """Fraction of images with noise, impulse noise, low contrast, blur or cutout."""
    flip: float = 0.0
    """Fraction of images that are mirrored."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run computes, apart from data set and seed."""

    name: str
    summary: str
    network: str
    """A name in `models.registry`."""
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
    """One-cycle: the fraction of all steps in which the rate climbs to its peak."""
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
    tta_flip: bool = False
    """Answers are the mean over the image, or its shifts, and their mirror images."""
    outliers_per_batch: int = 0
    """Outliers in each batch, besides its digits; the network learns to reject them."""
    documented: bool = False
    """Whether it reproduces a document, and so is not adapted to a data set."""
    adapted: dict[str, float | bool] = field(default_factory=dict)
    """What fields were adapted to for a data set; `changes` are made to that."""

    @property
    def rejects(self) -> bool:
        """Whether a logit of 0 stands for one more class, that of outliers."""
        return self.outliers_per_batch > 0

    def augments(self, epochs_done: int) -> bool:
        """Whether the epoch after `epochs_done` changes its images."""
        last = max(self.epochs - self.no_augment_epochs, 1)
        return self.augmentation != Augmentation() and epochs_done < last

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` is its inverse."""
        return asdict(self) | {"betas": list(self.betas)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Recipe":
        """The recipe that `to_dict` wrote, every field of its type and able to train.

        Raises TypeError, KeyError or ValueError on anything else.
        """
        betas, augmentation = tuple(data["betas"]), Augmentation(**data["augmentation"])
        own = {"augmentation": augmentation, "adapted": dict(data["adapted"])}
        recipe = cls(**{**data, "betas": betas, **own})
        check_fields(recipe)
        if problem := _problem(recipe):
            raise ValueError(" ".join(problem))
        return recipe

    @property
    def settings(self) -> dict[str, Any]:
        """Every field that can be set, those of the augmentation with a dot."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        for key in ("name", "summary", "documented", "adapted", "augmentation"):
            del own[key]
        return own | {f"augmentation.{key}": v for key, v in vars(self.augmentation).items()}

    @property
    def changes(self) -> dict[str, str]:
        """What differs from the recipe of its name on its data set, as `--set` takes it."""
        own = self.settings
        original = RECIPES[self.name].settings | self.adapted if self.name in RECIPES else own
        return {key: as_typed(value) for key, value in own.items() if value != original[key]}

    @property
    def label(self) -> str:
        """Its name, and what differs from the recipe of that name: `standard (epochs=3)`."""
        changed = ", ".join(f"{key}={value}" for key, value in self.changes.items())
        return f"{self.name} ({changed})" if changed else self.name


_STANDARD = Recipe(
    name="standard",
    summary="99.6 %, the default: five convolutions, augmentation, 108,810 parameters",
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
    temperature=0.535,
    augmentation=Augmentation(rotate=10, scale=0.1, shear=0.1, shift=1.5),
    no_augment_epochs=1,
    ema_decay=0.99,
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
            documented=True,
        ),
        Recipe(
            name="cnn-small",
            summary="two 5x5 convolutions with dropout, 21,840 parameters",
            network="cnn-small",
            batch_size=100,
            optimizer="adam",
            learning_rate=1e-3,
            epochs=10,
            documented=True,
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
            documented=True,
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
            documented=True,
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
            tta_shifts=True,
            epochs=14,
        ),
        replace(
            _STANDARD,
            name="robust",
            summary="for photographs: tolerates noise, rejects outliers, 224,322 parameters",
            network="compact-7-narrow",
            temperature=0.49,
            augmentation=Augmentation(
                rotate=15, scale=0.15, shear=0.2, shift=2.5, elastic=0.3, corrupt=0.3
            ),
            no_augment_epochs=0,
            ema_decay=0.998,
            outliers_per_batch=150,
            epochs=12,
        ),
    )
}


def get_recipe(name: str) -> Recipe:
    """The recipe called `name`. Raises UsageError with the near match when there is none."""
    if name not in RECIPES:
        raise unknown("recipe", name, tuple(RECIPES), "see mnistctl info recipes")
    return RECIPES[name]


def recipe_of_network(network: str) -> Recipe:
    """The first recipe that trains `network`. Raises UsageError when none does."""
    for recipe in RECIPES.values():
        if recipe.network == network:
            return recipe
    raise UsageError(f"no recipe trains the network '{network}'", "add one to recipes.RECIPES")


def with_settings(
    recipe: Recipe, settings: Sequence[str], options: Mapping[str, Any] | None = None
) -> Recipe:
    """`recipe` with fields replaced: `settings` as typed, e.g. `augmentation.rotate=15`.

    `options` are values by field for which there is an option of its own; None: not given.
    Raises UsageError for an unknown field, a value of another type, one that can't train, and a
    field that is set twice.
    """
    given = {key: value for key, value in (options or {}).items() if value is not None}
    known = tuple(recipe.settings)
    said = {key: f"{OPTIONS[key]} {value}" for key, value in given.items()}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: must be KEY=VALUE", "e.g. --set learning_rate=0.01")
        if key not in known:
            raise unknown("field of a recipe", key, known)
        if key in said:
            raise UsageError(f"--set {setting} conflicts with {said[key]}", "give one of them")
        given[key], said[key] = _parsed(key, text), f"--set {setting}"
    changed = recipe
    for key, value in given.items():
        inner, _, name = key.rpartition(".")
        part = {name: value}
        changed = replace(
            changed, **({inner: replace(changed.augmentation, **part)} if inner else part)
        )
    if problem := _problem(changed):
        key, rule = problem
        raise UsageError(f"{said.get(key, key)}: {rule}")
    return changed


OPTIONS = {"epochs": "--epochs", "batch_size": "--batch-size", "learning_rate": "--lr"}
"""Fields with an option of their own."""


def as_typed(value: Any) -> str:
    """`value` as `--set` takes it."""
    if isinstance(value, tuple):
        return ",".join(map(as_typed, value))
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value).lower()


def _parsed(key: str, text: str) -> Any:
    """The value that `text` means for the field `key`. Raises UsageError."""
    hints = get_type_hints(Augmentation if "." in key else Recipe)
    hint = hints[key.rpartition(".")[2]]
    wrong = f"--set {key}={text}: must be"
    if hint is bool:
        if text not in ("true", "false"):
            raise UsageError(f"{wrong} true or false")
        return text == "true"
    if get_origin(hint) is Literal and text not in get_args(hint):
        raise UsageError(f"{wrong} {' or '.join(get_args(hint))}")
    if hint is str or get_origin(hint) is Literal:
        return text
    kind, what = (int, "a whole number") if hint is int else (float, "a number")
    parts = text.split(",") if get_origin(hint) is tuple else [text]
    try:
        numbers = tuple(kind(part) for part in parts)
    except ValueError as error:
        raise UsageError(f"{wrong} {what}") from error
    if get_origin(hint) is not tuple:
        return numbers[0]
    if len(numbers) != len(get_args(hint)):
        raise UsageError(f"{wrong} {len(get_args(hint))} numbers with a comma between them")
    return numbers


_COUNT: tuple[Callable[[Any], bool], str] = (lambda n: 0 <= n < 1 << 31, "at least 0")
_FRACTION: tuple[Callable[[Any], bool], str] = (lambda x: 0 <= x < 1, "at least 0 and less than 1")
_AMOUNT: tuple[Callable[[Any], bool], str] = (lambda x: 0 <= x <= 1000, "between 0 and 1000")
_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "epochs": (lambda n: 1 <= n <= MAX_EPOCHS, f"between 1 and {MAX_EPOCHS}"),
    "batch_size": (lambda n: 1 <= n < 1 << 31, "at least 1"),
    "learning_rate": (lambda x: 0 < x < math.inf, "a finite number greater than 0"),
    "pixel_mean": (lambda x: abs(x) <= 1000, "between -1000 and 1000"),
    "pixel_std": (lambda x: 0.001 <= x <= 1000, "between 0.001 and 1000"),
    "momentum": _FRACTION,
    "betas": (lambda pair: all(0 <= x < 1 for x in pair), "two numbers from 0 to below 1"),
    "weight_decay": _AMOUNT,
    "warmup": _FRACTION,
    "label_smoothing": _FRACTION,
    "temperature": (lambda x: 0.01 <= x <= 100, "between 0.01 and 100"),
    "no_augment_epochs": _COUNT,
    "ema_decay": _FRACTION,
    "outliers_per_batch": _COUNT,
    "augmentation.rotate": _AMOUNT,
    "augmentation.scale": _FRACTION,
    "augmentation.shear": _AMOUNT,
    "augmentation.shift": _AMOUNT,
    "augmentation.stretch": _FRACTION,
    "augmentation.elastic": _AMOUNT,
    "augmentation.corrupt": (lambda x: 0 <= x <= 1, "between 0 and 1"),
    "augmentation.flip": (lambda x: 0 <= x <= 1, "between 0 and 1"),
}


def _problem(recipe: Recipe) -> tuple[str, str] | None:
    """The first field whose value can't train, and what it must be."""
    for key, value in recipe.settings.items():
        if key in _RULES and not _RULES[key][0](value):
            return key, f"must be {_RULES[key][1]}"
    return None


def check_fields(instance: Any) -> None:
    """Raise TypeError unless every field of a dataclass holds what its annotation says."""
    hints = get_type_hints(type(instance))
    for own in fields(instance):
        if not _fits(getattr(instance, own.name), hints[own.name]):
            raise TypeError(f"{own.name} of the right type")


def _fits(value: Any, hint: Any) -> bool:
    kind, arguments = get_origin(hint), get_args(hint)
    if kind is Literal:
        return value in arguments
    if kind is tuple:
        if not isinstance(value, tuple):
            return False
        wanted = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        return len(value) == len(wanted) and all(map(_fits, value, wanted))
    if kind is UnionType:
        return any(_fits(value, choice) for choice in arguments)
    if kind is dict:
        return isinstance(value, dict) and all(
            _fits(k, arguments[0]) and _fits(v, arguments[1]) for k, v in value.items()
        )
    if is_dataclass(hint):
        if type(value) is not hint:
            return False
        check_fields(value)
        return True
    if hint is float:
        finite = type(value) is float and math.isfinite(value)
        return finite or (type(value) is int and abs(value) < 1 << 63)
    return type(value) is hint
