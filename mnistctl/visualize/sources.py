"""What kinds are shown: networks, a split, one image, runs; each with the options it stands for.

A field's annotation holds its option; a field without is an option that commands share. Nothing
is imported or loaded before a kind asks for it.
"""

import shlex
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mnistctl.data.images import DIGITS
from mnistctl.data.registry import DEFAULT_DATASET, check_split, get_dataset
from mnistctl.draw.types import Pixels
from mnistctl.errors import UsageError, unknown
from mnistctl.events import Reporter

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mnistctl.data.images import LabelledImages
    from mnistctl.engine.inference.loading import LoadedModel as LoadedModel
    from mnistctl.imaging.files import Picture
    from mnistctl.imaging.ink import Invert
    from mnistctl.imaging.prepare import Prepared
else:
    LoadedModel = Any  # in annotations alone

MAX_COUNT = 400
"""Images in one figure; more would be too small to see."""


def _checked_count(value: int | None) -> int | None:
    if value is not None and not 1 <= value <= MAX_COUNT:
        raise UsageError(f"--count {value}: must be between 1 and {MAX_COUNT}")
    return value


def count_option(help: str) -> Any:
    """`--count`: how many images, or parts of one, a kind shows."""
    return typer.Option("--count", metavar="N", help=help, callback=_checked_count)


def class_option(help: str) -> Any:
    """`--class`: a class's name or index."""
    return typer.Option("--class", "--digit", metavar="CLASS", help=help)


def only_one(checkpoints: Sequence[str] | None) -> str | None:
    """The checkpoint that `-c` names, None where it names none. Raises UsageError on a second."""
    if checkpoints and len(checkpoints) > 1:
        words = [word for name in checkpoints[:2] for word in ("-c", name)]
        raise UsageError(
            f"one checkpoint is needed, not {len(checkpoints)}",
            f"two are compared by mnistctl visualize compare {shlex.join(words)}",
        )
    return checkpoints[0] if checkpoints else None


def class_index(name: str, classes: Sequence[str]) -> int:
    """The class that `name` means: its name, or its index. Raises UsageError on no such class."""
    if name not in classes and name.isdecimal() and int(name) < len(classes):
        return int(name)
    if name not in classes:
        raise unknown("class", name, tuple(classes))
    return classes.index(name)


def class_document(index: int | None, classes: tuple[str, ...]) -> dict[str, Any]:
    """A class in a JSON document: `digit` is None where the classes are no digits."""
    name = None if index is None else classes[index]
    digit = index if classes == DIGITS else None
    return {"digit": digit, "class_index": index, "class_name": name}


def model_document(model: LoadedModel) -> dict[str, Any]:
    """A network in a JSON document."""
    own = model.predictor
    return {
        "checkpoint": str(model.path),
        "recipe": own.recipe.name,
        "classes": list(own.classes),
        "device": str(own.device),
        "precision": own.precision,
    }


@dataclass(frozen=True, kw_only=True)
class Source:
    """Options that belong together, and how to load what they mean."""

    reporter: Reporter = field(default_factory=Reporter)

    def check(self, typed: Set[str]) -> None:
        """Raise UsageError where the values don't fit; `typed` are those a person gave."""


@dataclass(frozen=True, kw_only=True)
class Model(Source):
    """One network, of the latest run if no checkpoint is named."""

    checkpoint: Sequence[str] | None = None
    store: Path
    device: str | None = None
    precision: str | None = None

    def check(self, typed: Set[str]) -> None:
        """Raise UsageError on a second checkpoint."""
        only_one(self.checkpoint)

    def load_all(self) -> list[LoadedModel]:
        """Raises UsageError, CheckpointError or DeviceError."""
        from mnistctl.distributed import Ranks
        from mnistctl.engine.inference.loading import load_models

        names: list[str | None] = [*self.checkpoint] if self.checkpoint else [None]
        hardware = (self.device, self.precision)
        models = load_models(names, self.store, *hardware, Ranks(), self.reporter, distinct=True)
        for model in models:
            self.reporter.say(f"Model: {model.label}")
        return models

    def load(self) -> LoadedModel:
        """The first."""
        return self.load_all()[0]

    def load_with_class(self, name: str | None) -> tuple[LoadedModel, int | None]:
        """The first, and the index of its class `name`. Raises UsageError on no such class."""
        model = self.load()
        return model, None if name is None else class_index(name, model.predictor.classes)


@dataclass(frozen=True, kw_only=True)
class Network(Model):
    """A network whose layers can be looked into: no ONNX file."""

    def inside(self, model: LoadedModel) -> "nn.Module":
        """The network in evaluation mode, an ensemble's first."""
        first, *others = model.predictor.members
        if others:
            self.reporter.say(f"Looking into the first of the {1 + len(others)} members")
        return first.eval()


@dataclass(frozen=True, kw_only=True)
class Pair(Model):
    """Two networks."""

    def check(self, typed: Set[str]) -> None:
        """Raise UsageError unless there are two checkpoints."""
        if len(self.checkpoint or ()) != 2:
            raise UsageError(
                f"two checkpoints are needed, not {len(self.checkpoint or ())}",
                "name both: mnistctl visualize compare -c RUN -c OTHER",
            )


@dataclass(frozen=True, kw_only=True)
class Split(Source):
    """A split of a data set, by default of the one that the network was trained on."""

    split: str = "test"
    dataset: str | None = None
    data_dir: Path

    def check(self, typed: Set[str]) -> None:
        """Raise UsageError on an unknown split or data set."""
        check_split(self.split)
        if self.dataset is not None:
            get_dataset(self.dataset)

    def check_class(self, name: str | None) -> None:
        """Raise UsageError where the data set that was named has no class `name`."""
        if name is not None and self.dataset is not None:
            class_index(name, get_dataset(self.dataset).classes)

    def name_for(self, *models: LoadedModel) -> str:
        """Name of the data set.

        Raises UsageError where the models were trained on different ones or have other classes.
        """
        from mnistctl.engine.inference.evaluate import check_classes, common_dataset

        name = self.dataset or common_dataset(models)
        for model in models:
            check_classes(model, name, self.reporter)
        return name

    def load(self, name: str) -> "LabelledImages":
        """The images of the data set called `name`. Raises DataError."""
        return get_dataset(name).load(self.split, self.data_dir, self.reporter)


def shown_name(file: str) -> str:
    """What an image file is called in titles."""
    from mnistctl.imaging.files import STDIN

    return "standard input" if file == STDIN else Path(file).name


@dataclass(frozen=True, kw_only=True)
class DataSplit(Split):
    """A split of a data set, without a network that was trained on one."""


@dataclass(frozen=True)
class OneImage:
    """An image as the network sees it, and where it is from."""

    name: str
    prepared: "Prepared"
    caption: str
    """The name, with the label where that is known."""
    origin: dict[str, Any]
    """For JSON: the data set's name, split, index and label, or the file."""
    label: int | None = None

    @property
    def pixels(self) -> Pixels:
        """(28, 28), ink 255 on 0."""
        return self.prepared.pixels

    @property
    def tensor(self) -> "Tensor":
        """uint8 (1, 28, 28)."""
        import torch

        return torch.from_numpy(self.pixels.copy()).unsqueeze(0)


@dataclass(frozen=True, kw_only=True)
class Image(Split):
    """One image: of a split by its index, or from a file."""

    index: Annotated[
        int, typer.Option("--index", metavar="N", help="Which image of the split, from 0.")
    ] = 0
    image: Annotated[
        str | None,
        typer.Option("--image", metavar="FILE", help="An image file instead, or - for stdin."),
    ] = None
    invert: str = "auto"

    def check(self, typed: Set[str]) -> None:
        """Raise UsageError on options of a split beside those of a file."""
        super().check(typed)
        if self.image is None and "invert" in typed:
            raise UsageError("--invert is about an image file: give --image FILE")
        for name in ("index", "split", "dataset", "data_dir"):
            if self.image is not None and name in typed:
                raise UsageError(f"--{name.replace('_', '-')} does not go with --image FILE")
        if self.image is None and (self.dataset is not None or self.index < 0):
            self._check_index(self.dataset or DEFAULT_DATASET)

    def _check_index(self, dataset: str) -> None:
        size = get_dataset(dataset).sizes[self.split]
        if not 0 <= self.index < size:
            raise UsageError(
                f"--index {self.index}: the {self.split} split has images 0 to {size - 1}"
            )

    def load_with(
        self, models: Model, class_name: str | None = None
    ) -> tuple[LoadedModel, OneImage]:
        """The network, and the image that it is to see; a file is read before all else.

        `class_name`, where there is one, is to be among the network's classes.
        Raises UsageError, ImageError, CheckpointError, DataError or DeviceError.
        """
        self.check_class(class_name)
        if self.image is None:
            model, _ = models.load_with_class(class_name)
            return model, self._of_split(self.name_for(model))
        from mnistctl.imaging.files import read_argument

        picture = read_argument(self.image)
        model, _ = models.load_with_class(class_name)
        return model, self._of_file(self.image, picture, model)

    def _of_split(self, name: str) -> OneImage:
        from mnistctl.imaging.prepare import Prepared

        self._check_index(name)
        data = self.load(name)
        if self.index >= len(data.images):  # some can't be read, and are left out
            raise UsageError(f"--index {self.index}: only {len(data.images)} images can be read")
        pixels, label = data.images[self.index].numpy(), int(data.labels[self.index])
        what = f"{name} {self.split} image {self.index}"
        caption = f"{what}, label {get_dataset(name).classes[label]}"
        origin = {"dataset": name, "split": self.split, "index": self.index, "label": label}
        return OneImage(what, Prepared(pixels, (0, 0, *pixels.shape)), caption, origin, label)

    def _of_file(self, file: str, picture: "Picture", model: LoadedModel) -> OneImage:
        """Read as `predict` does, with every step."""
        from mnistctl.engine.inference.predict import settled
        from mnistctl.imaging.prepare import prepared_as

        invert = cast("Invert", self.invert)
        found = settled(model.predictor, prepared_as(model.prepare, picture, invert, True))
        name = shown_name(file)
        return OneImage(name, found, name, {"image": file})


@dataclass(frozen=True, kw_only=True)
class Runs(Source):
    """Runs, finished or not; by default the latest."""

    runs: Sequence[str] | None = None
    store: Path

    def directories(self) -> list[Path]:
        """Of the runs named, by default the latest; a checkpoint file stands for its run.

        Raises CheckpointError.
        """
        from mnistctl.store.find import find_run

        return [find_run(name, self.store).directory for name in self.runs or ("latest",)]
