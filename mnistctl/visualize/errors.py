"""The images that a network misclassifies, the most confident first."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from rich.console import Console, RenderableType

from mnistctl.data.registry import get_dataset
from mnistctl.draw.grid import ImageGrid
from mnistctl.draw.types import Figure
from mnistctl.text import counted, percent
from mnistctl.visualize import sources
from mnistctl.visualize.answers import Answers, ask
from mnistctl.visualize.registry import kind

DEFAULT_COUNT = 24


@kind("errors", "", "--class 4 --count 40", "-c best --output errors.png")
def errors(
    model: sources.Model,
    data: sources.Split,
    count: Annotated[int | None, sources.count_option("Images to show [default: 24].")] = None,
    class_name: Annotated[
        str | None, sources.class_option("Only images with this label, a name or index.")
    ] = None,
) -> "ErrorsView":
    """Misclassified images, the most confident first."""
    data.check_class(class_name)
    loaded, label = model.load_with_class(class_name)
    return ErrorsView(ask([loaded], data)[0], label, count)


@dataclass(frozen=True)
class ErrorsView:
    """Mistakes on all images, or on those of the class `label`; `count` of them, None: 24."""

    answers: Answers
    label: int | None = None
    count: int | None = None

    @cached_property
    def errors(self) -> list[dict[str, Any]]:
        """All of them, the most confident first."""
        own, labels = self.answers, self.answers.data.labels
        confidence = own.model.predictor.calibrated(own.logits).amax(1)
        wrong = ~own.correct if self.label is None else ~own.correct & (labels == self.label)
        found = wrong.nonzero()[:, 0]
        known = get_dataset(own.dataset).label_errors.get(own.split, ())
        ranked = found[confidence[found].argsort(descending=True, stable=True)].tolist()
        return [
            {
                "index": i,
                "label": int(labels[i]),
                "prediction": int(own.predictions[i]),
                "confidence": float(confidence[i]),
                "label_error": i in known,
            }
            for i in ranked
        ]

    @property
    def shown(self) -> list[dict[str, Any]]:
        """The first ones."""
        return self.errors[: self.count or DEFAULT_COUNT]

    @property
    def title(self) -> str:
        number, shown = len(self.errors), len(self.shown)
        of = "" if self.label is None else f" on class {self.answers.classes[self.label]}"
        which = f", the {shown} most confident" if shown < number else ""
        marked = "; *: known label error" if any(own["label_error"] for own in self.shown) else ""
        return f"{self.answers.where}: {counted(number, 'error')}{of}{which}{marked}"

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.answers.document(),
            **sources.class_document(self.label, self.answers.classes),
            "num_errors": len(self.errors),
            "errors": self.shown,
        }

    def _grid(self) -> ImageGrid:
        names = self.answers.classes
        captions = [
            f"{names[own['label']]} predicted as {names[own['prediction']]}\n"
            f"{percent(own['confidence'])}  #{own['index']}{' *' * own['label_error']}"
            for own in self.shown
        ]
        images = self.answers.data.images[[own["index"] for own in self.shown]].numpy()
        empty = "no image is misclassified"
        return ImageGrid(images, captions, fit=self.count is None, empty=empty)

    def figure(self) -> Figure:
        return self._grid().figure(self.title)

    def panel(self, console: Console) -> RenderableType:
        return self._grid().panel(console)
