"""A network's answers to a whole split: what errors, confusion, calibration and others show."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mnistctl.text import accuracy_text
from mnistctl.visualize import sources

if TYPE_CHECKING:
    from torch import Tensor

    from mnistctl.data.images import LabelledImages
    from mnistctl.engine.inference.scores import Scores


@dataclass(frozen=True)
class Answers:
    """Logits float32 (n, classes) of a network on the images of a split."""

    model: sources.LoadedModel
    dataset: str
    split: str
    data: "LabelledImages"
    logits: "Tensor"

    @cached_property
    def predictions(self) -> "Tensor":
        """The likeliest classes, int64 (n,)."""
        return self.logits.argmax(1)

    @cached_property
    def correct(self) -> "Tensor":
        """Whether each prediction is the label, bool (n,)."""
        return self.predictions == self.data.labels

    @cached_property
    def scores(self) -> "Scores":
        """Those of `evaluate`."""
        from mnistctl.engine.inference.scores import score

        return score(self.logits, self.data.labels, self.model.predictor.recipe.temperature)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.model.predictor.classes

    @property
    def where(self) -> str:
        """`wide on mnist test`."""
        return f"{self.model.predictor.name} on {self.dataset} {self.split}"

    @property
    def accuracy(self) -> str:
        """`accuracy 99.71 % (9,971/10,000)`."""
        return accuracy_text(self.scores.correct, self.scores.total)

    def document(self) -> dict[str, Any]:
        """The part of a JSON document that `evaluate` shares."""
        where = {"dataset": self.dataset, "split": self.split}
        return {**sources.model_document(self.model), **where, **self.scores.brief()}


def ask(models: list[sources.LoadedModel], source: sources.Split) -> list[Answers]:
    """The answers of every model to the same images. Raises UsageError or DataError."""
    name = source.name_for(*models)
    data = source.load(name)
    return [
        Answers(own, name, source.split, data, own.predictor.logits(data.images, source.reporter))
        for own in models
    ]


def ask_one(model: sources.Model, source: sources.Split) -> Answers:
    """The answers of one. Raises UsageError, CheckpointError, DataError or DeviceError."""
    return ask([model.load()], source)[0]
