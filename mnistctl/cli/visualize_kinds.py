"""The kinds of `visualize`: for each what the engine finds, and how it is titled and drawn.

Imports torch: only the running command imports this. A new kind is a view in `engine/views`, its
drawings in `plots`, a row in `KINDS` here and one in `visualize.USES`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rich.console import Console, RenderableType

from mnistctl.cli import visualize_words as words
from mnistctl.draw import terminal
from mnistctl.visualize import (
    calibration_figure as calibration,
)
from mnistctl.visualize import (
    compare_figure as compare,
)
from mnistctl.visualize import (
    confusion_figure as confusion,
)
from mnistctl.visualize import (
    curves_figure as curves,
)
from mnistctl.visualize import (
    embedding_figure as embedding,
)
from mnistctl.visualize import (
    filters_figure as filters,
)
from mnistctl.visualize import (
    prediction_figure as prediction,
)
from mnistctl.visualize import (
    saliency_figure as saliency,
)
from mnistctl.visualize import (
    samples_figure as samples,
)
from mnistctl.visualize.activations import ActivationsView, view_activations
from mnistctl.visualize.calibration import CalibrationView, view_calibration
from mnistctl.visualize.compare import CompareView, view_compare
from mnistctl.visualize.confusion import view_confusion
from mnistctl.visualize.curves import CurvesView, view_curves
from mnistctl.visualize.embedding import EmbeddingView, view_embedding
from mnistctl.visualize.errors import view_errors
from mnistctl.visualize.filters import view_filters
from mnistctl.visualize.prediction import PredictionView, view_prediction
from mnistctl.visualize.request import ViewRequest
from mnistctl.visualize.saliency import SaliencyView, view_saliency
from mnistctl.visualize.samples import SamplesView, view_samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure

V = TypeVar("V")


@dataclass(frozen=True)
class Kind(Generic[V]):
    """How one kind is found and shown."""

    view: Callable[[ViewRequest], V]
    title: Callable[[V], str]
    figure: "Callable[[V, str], Figure]"
    panel: Callable[[V, Console], RenderableType]


def _prediction_figure(view: PredictionView, title: str) -> "Figure":
    shown = view.shown
    if shown.steps:
        return prediction.steps_figure(shown.steps, view.probabilities, title)
    return prediction.prediction_figure(shown.pixels, view.probabilities, title, shown.label)


def _prediction_panel(view: PredictionView, console: Console) -> RenderableType:
    shown, probabilities = view.shown, view.probabilities
    if shown.steps:
        digit = None if view.verdict == "not-a-digit" else view.prediction
        return prediction.steps_panel(shown.steps, digit, probabilities, console)
    digit = view.prediction
    return terminal.prediction_panel(shown.pixels, digit, probabilities, console, shown.label)


def _samples_figure(view: SamplesView, title: str) -> "Figure":
    captions = words.samples_captions(view)
    if view.variants is not None:
        return samples.augmented_figure(view.images, view.variants, captions, title)
    return samples.samples_figure(view.images, captions, title)


def _samples_panel(view: SamplesView, console: Console) -> RenderableType:
    captions = words.samples_captions(view)
    if view.variants is not None:
        return samples.augmented_panel(view.images, view.variants, captions, console)
    return samples.samples_panel(view.images, captions, console)


def runs_of(view: CurvesView) -> list[curves.Run]:
    """What `plots.curves` draws."""
    return [
        curves.Run(
            run.name, run.batch_loss, run.epoch_loss, run.validation_accuracy, run.test_accuracy
        )
        for run in view.runs
    ]


def _layers(view: ActivationsView) -> list[filters.Layer]:
    return [filters.Layer(own.name, own.channels, own.maps) for own in view.layers]


def _saliency_parts(view: SaliencyView) -> tuple[Any, Any, bool]:
    return view.shown.pixels, view.attribution.values.numpy(), view.method != "gradcam"


def _bins(view: CalibrationView) -> list[calibration.Bin]:
    return [calibration.Bin(*vars(own).values()) for own in view.bins]


def _embedding_parts(view: EmbeddingView) -> tuple[Any, Any, Any]:
    return view.points, view.answers.data.labels.numpy(), (~view.answers.right).numpy()


def _embedding_figure(view: EmbeddingView, title: str) -> "Figure":
    first, second = (f"{100 * share:.0f} % of the variance" for share in view.explained)
    names = (f"first principal component ({first})", f"second ({second})")
    return embedding.embedding_figure(*_embedding_parts(view), names, title)


def _compare_parts(view: CompareView) -> tuple[Any, Any, list[str], str]:
    captions = [
        f"label {own.label}\nA {own.prediction_a}  B {own.prediction_b}\n#{own.index}"
        for own in view.disagreements
    ]
    return view.counts, view.images, captions, words.conclusion(view)


KINDS: dict[str, Kind[Any]] = {
    "prediction": Kind(
        view_prediction, words.prediction_title, _prediction_figure, _prediction_panel
    ),
    "samples": Kind(view_samples, words.samples_title, _samples_figure, _samples_panel),
    "confusion": Kind(
        view_confusion,
        words.confusion_title,
        lambda v, title: confusion.confusion_figure(
            v.scores.confusion, v.scores.per_class, words.worst_pairs(v), title
        ),
        lambda v, console: confusion.confusion_panel(
            v.scores.confusion, v.scores.per_class, words.worst_pairs(v), console
        ),
    ),
    "errors": Kind(
        view_errors,
        words.errors_title,
        lambda v, title: samples.samples_figure(v.images, words.errors_captions(v), title),
        lambda v, console: samples.samples_panel(v.images, words.errors_captions(v), console),
    ),
    "curves": Kind(
        view_curves,
        words.curves_title,
        lambda v, title: curves.curves_figure(runs_of(v), title),
        lambda v, console: curves.curves_panel(runs_of(v), console),
    ),
    "filters": Kind(
        view_filters,
        words.filters_title,
        lambda v, title: filters.filters_figure(v.filters, title),
        lambda v, console: filters.filters_panel(v.filters, console),
    ),
    "activations": Kind(
        view_activations,
        words.activations_title,
        lambda v, title: filters.activations_figure(v.shown.pixels, _layers(v), title),
        lambda v, console: filters.activations_panel(v.shown.pixels, _layers(v), console),
    ),
    "saliency": Kind(
        view_saliency,
        words.saliency_title,
        lambda v, title: saliency.saliency_figure(*_saliency_parts(v), title),
        lambda v, console: saliency.saliency_panel(*_saliency_parts(v), console),
    ),
    "calibration": Kind(
        view_calibration,
        words.calibration_title,
        lambda v, title: calibration.calibration_figure(_bins(v), title),
        lambda v, console: calibration.calibration_panel(_bins(v), console),
    ),
    "embedding": Kind(
        view_embedding,
        words.embedding_title,
        _embedding_figure,
        lambda v, console: embedding.embedding_panel(*_embedding_parts(v), console),
    ),
    "compare": Kind(
        view_compare,
        words.compare_title,
        lambda v, title: compare.compare_figure(*_compare_parts(v), title),
        lambda v, console: compare.compare_panel(*_compare_parts(v), console),
    ),
}
