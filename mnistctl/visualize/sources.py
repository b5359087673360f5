"""What kinds are shown: networks, a split, one image, runs; each with the options it stands for.

A field's annotation holds its option; a field without is the option of that name that all
commands share. Nothing is imported or loaded before a kind asks for it.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from mnistctl.data.registry import DEFAULT_DATASET, DIGITS, check_split, get_dataset
from mnistctl.draw.types import Pixels
from mnistctl.errors import UsageError, unknown
from mnistctl.events import NullReporter, Reporter

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mnistctl.data.registry import LabelledImages
    from mnistctl.engine.inference.loading import LoadedModel as LoadedModel
    from mnistctl.imaging.ink import Invert
    from mnistctl.imaging.prepare import Prepared
else:
    LoadedModel = Any  # in annotations alone

MAX_COUNT = 400
"""Images in one figure; more would be too small to see."""
Count = Annotated[
    int | None,
    typer.Option("--count", metavar="N", help="How many to show.", min=1, max=MAX_COUNT),
]
ClassName = Annotated[
    str | None, typer.Option("--class", "--digit", metavar="CLASS", help="A class, name or index.")
]


def class_index(name: str, classes: Sequence[str]) -> int:
    """The class that `name` means: its name, or its index. Raises UsageError on no such class."""
    if name in classes:
        return classes.index(name)
    if name.isdecimal() and int(name) < len(classes):
        return int(name)
    raise unknown("class", name, tuple(classes))


def class_document(index: int | None, classes: tuple[str, ...]) -> dict[str, Any]:
    """A class in a JSON document: `digit` is None where the classes are no digits."""
    return {
        "digit": index if classes == DIGITS else None,
        "class_index": index,
        "class_name": None if index is None else classes[index],
    }


def model_document(model: LoadedModel) -> dict[str, Any]:
    """A network in a JSON document."""
    predictor = model.predictor
    return {
        "checkpoint": str(model.path),
        "recipe": predictor.recipe.name,
        "classes": list(predictor.classes),
    }


@dataclass(frozen=True, kw_only=True)
class Source:
    """Options that belong together, and how to load what they mean."""

    reporter: Reporter = field(default_factory=NullReporter)

    def check(self, typed: Set[str]) -> None:
        """Raise UsageError where the values don't fit; `typed` are those a person gave."""


@dataclass(frozen=True, kw_only=True)
class ModelSource(Source):
    """One network."""

    checkpoint: Sequence[str] | None = None
    store: Path
    device: str | None = None
    precision: str | None = None

    def check(self, typed: Set[str]) -> None:
        """Raise UsageError on a second checkpoint."""
        if self.checkpoint and len(self.checkpoint) > 1:
            raise UsageError(f"one --checkpoint is needed, not {len(self.checkpoint)}")

    def load(self) -> LoadedModel:
        """Raises UsageError, CheckpointError or DeviceError."""
        return self.load_all()[0]

    def load_all(self) -> list[LoadedModel]:
        """All that are named, or the latest."""
        from mnistctl.distributed import Ranks
        from mnistctl.engine.inference.loading import load_models

        names: list[str | None] = [*self.checkpoint] if self.checkpoint else [None]
        models = load_models(names, self.store, self.device, self.precision, Ranks(), self.reporter)
        for model in models:
            self.reporter.say(f"Model: {model.label}")
        return models

    def network_of(self, model: LoadedModel) -> "nn.Module":
        """One network in evaluation mode whose layers can be looked at, an ensemble's first."""
        first, *others = model.predictor.members
        if others:
            self.reporter.say(f"Looking into the first of the {1 + len(others)} members")
        return first.eval()


@dataclass(frozen=True, kw_only=True)
class ModelPair(ModelSource):
    """Two networks."""

    def check(self, typed: Set[str]) -> None:
        """Raise UsageError unless there are two checkpoints."""
        number = len(self.checkpoint or ())
        if number != 2:
            example = "mnistctl visualize compare -c RUN -c OTHER"
            raise UsageError(f"two checkpoints are needed, not {number}", f"name both: {example}")


@dataclass(frozen=True, kw_only=True)
class SplitSource(Source):
    """A split of a data set."""

    split: str = "test"
    dataset: str | None = None
    data_dir: Path

    def check(self, typed: Set[str]) -> None:
        """Raise UsageError on an unknown split or data set."""
        check_split(self.split)
        if self.dataset is not None:
            get_dataset(self.dataset)

    def name_for(self, *models: LoadedModel) -> str:
        """The data set: the one given, else the one that the models were trained on.

        Raises UsageError where they were trained on different ones or have other classes.
        """
        from mnistctl.engine.inference.evaluate import check_classes

        trained = {model.dataset or DEFAULT_DATASET: model.label for model in models}
        if self.dataset is None and len(trained) > 1:
            each = ", ".join(f"{label} on {name}" for name, label in trained.items())
            raise UsageError(
                f"the checkpoints were trained on different data sets: {each}",
                "choose one, e.g. --dataset mnist",
            )
        name = self.dataset or next(iter(trained), DEFAULT_DATASET)
        for model in models:
            check_classes(model, name)
        return name

    def load(self, name: str) -> "LabelledImages":
        """The images of the data set called `name`. Raises DataError."""
        return get_dataset(name).load(self.split, self.data_dir, self.reporter)


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
class ImageSource(SplitSource):
    """One image: of a split by its index, or from a file."""

    index: Annotated[
        int, typer.Option("--index", metavar="N", min=0, help="Which image of the split, from 0.")
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

    def of_split(self, model: LoadedModel) -> OneImage:
        """The image of the index. Raises UsageError or DataError."""
        from mnistctl.imaging.prepare import Prepared

        name = self.name_for(model)
        dataset = get_dataset(name)
        size = dataset.sizes[self.split]
        if self.index >= size:
            raise UsageError(
                f"--index {self.index}: the {self.split} split has images 0 to {size - 1}"
            )
        data = self.load(name)
        pixels, label = data.images[self.index].numpy(), int(data.labels[self.index])
        what = f"{name} {self.split} image {self.index}"
        origin = {"dataset": name, "split": self.split, "index": self.index, "label": label}
        prepared = Prepared(pixels, (0, 0, *pixels.shape[::-1]))
        return OneImage(what, prepared, f"{what}, label {dataset.classes[label]}", origin, label)

    def of_file(self, file: str) -> OneImage:
        """What `file` shows, read as `predict` does, with every step. Raises ImageError."""
        from mnistctl.imaging.files import STDIN, read_argument
        from mnistctl.imaging.prepare import prepare

        found = prepare(read_argument(file), cast("Invert", self.invert), keep_steps=True)
        name = "standard input" if file == STDIN else Path(file).name
        return OneImage(name, found, name, {"image": file})


def load_image(models: ModelSource, source: ImageSource) -> tuple[LoadedModel, OneImage]:
    """A network and the image that it is to see; a file is read before hardware is chosen.

    Raises UsageError, ImageError, CheckpointError, DataError or DeviceError.
    """
    shown = None if source.image is None else source.of_file(source.image)
    model = models.load()
    return model, shown or source.of_split(model)


@dataclass(frozen=True, kw_only=True)
class RunsSource(Source):
    """Runs, finished or not."""

    checkpoint: Sequence[str] | None = None
    store: Path

    def directories(self) -> list[Path]:
        """Of the runs named, by default the latest; a checkpoint file stands for its run.

        Raises CheckpointError.
        """
        from mnistctl.store.find import find_run
        from mnistctl.store.runs import is_run

        found = []
        for name in self.checkpoint or ("latest",):
            path = Path(name)
            inside = path.suffix == ".pt" and path.is_file() and is_run(path.parent)
            found.append(path.parent if inside else find_run(name, self.store).directory)
        return found
