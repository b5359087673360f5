"""Titles, captions and sentences of the views, for people."""

from mnistctl.cli.output import percent
from mnistctl.engine.inference.significance import LEVEL
from mnistctl.visualize.activations import ActivationsView
from mnistctl.visualize.answers import Answers
from mnistctl.visualize.calibration import CalibrationView
from mnistctl.visualize.compare import CompareView
from mnistctl.visualize.confusion import ConfusionView
from mnistctl.visualize.curves import Curves, CurvesView
from mnistctl.visualize.embedding import EmbeddingView
from mnistctl.visualize.errors import ErrorsView
from mnistctl.visualize.filters import FiltersView
from mnistctl.visualize.prediction import PredictionView
from mnistctl.visualize.saliency import SaliencyView
from mnistctl.visualize.samples import SamplesView

LEAST_P = 1e-12


def prediction_title(view: PredictionView) -> str:
    """Which image, and what it was taken for."""
    shown, answer = view.shown, f"predicted {view.prediction} ({percent(view.confidence)})"
    if shown.image is None:
        return f"{shown.name}: label {shown.label}, {answer}"
    if view.verdict == "not-a-digit":
        return f"{shown.name}: not a digit{f': {shown.doubt}' if shown.doubt else ''}"
    return f"{shown.name}: {answer}{' - uncertain' if view.verdict == 'uncertain' else ''}"


def samples_title(view: SamplesView) -> str:
    """Of which data set, how many and how chosen."""
    what = f"{view.dataset} {view.split}: {len(view.indexes)} images, {view.order}"
    return f"{what}, each beside what {view.recipe} makes of it" if view.recipe else what


def samples_captions(view: SamplesView) -> list[str]:
    """Label and index of each image."""
    return [f"{label}  #{index}" for label, index in zip(view.labels, view.indexes, strict=True)]


def _on(answers: Answers) -> str:
    own = answers.subject
    return f"{own.name} on {own.dataset} {own.split}"


def confusion_title(view: ConfusionView) -> str:
    """How many are right."""
    own, scores = view.subject, view.scores
    return (
        f"{own.name} on {own.dataset} {own.split}: {scores.correct:,} of {scores.total:,} right"
        f" ({percent(scores.accuracy)})"
    )


def worst_pairs(view: ConfusionView) -> list[str]:
    """`4 read as 9 (7)` for each of the worst confusions."""
    return [f"{own.label} read as {own.prediction} ({own.count})" for own in view.worst_pairs]


def errors_title(view: ErrorsView) -> str:
    """How many errors there are, and which are shown."""
    of = "" if view.digit is None else f" of digit {view.digit}"
    shown = len(view.mistakes)
    which = f", the {shown} most confident" if shown < view.num_errors else ""
    return f"{_on(view.answers)}: {view.num_errors} errors{of}{which}"


def errors_captions(view: ErrorsView) -> list[str]:
    """Label, prediction, confidence and index of each."""
    return [
        f"{own.label} read as {own.prediction}\n{100 * own.confidence:.1f} % #{own.index}"
        for own in view.mistakes
    ]


def curves_title(view: CurvesView) -> str:
    """Which runs, and how far they are."""
    names = ", ".join(f"{run.name} ({_progress(run)})" for run in view.runs)
    return f"curves of {names}"


def _progress(run: Curves) -> str:
    done = max((x for x, _ in [*run.batch_loss, *run.epoch_loss]), default=0.0)
    epochs = f"epoch {done:.3g}" + (f" of {run.epochs}" if run.epochs else "")
    return run.state if run.state == "finished" else f"{run.state}, {epochs}"


def filters_title(view: FiltersView) -> str:
    """Whose filters."""
    shown = len(view.filters)
    which = f"{shown} of {view.num_filters}" if shown < view.num_filters else str(shown)
    return f"{view.subject.name}: {which} filters of its first layer, {view.layer}"


def activations_title(view: ActivationsView) -> str:
    """Whose layers, and which image."""
    return f"{view.subject.name}: what its layers answer to {view.shown.name}"


def saliency_title(view: SaliencyView) -> str:
    """Which image and digit, and by which method."""
    label = "" if view.shown.label is None else f", label {view.shown.label}"
    name = {"gradcam": "Grad-CAM", "integrated-gradients": "integrated gradients"}[view.method]
    return (
        f"{view.shown.name}{label}: what speaks for {view.digit} ({percent(view.confidence)}),"
        f" {name}"
    )


def calibration_title(view: CalibrationView) -> str:
    """The expected calibration error."""
    return f"{_on(view.answers)}: expected calibration error {percent(view.calibration_error)}"


def embedding_title(view: EmbeddingView) -> str:
    """How many images, and how many are read wrongly."""
    wrong = view.answers.total - view.answers.correct
    members = view.answers.subject.loaded.num_members
    layer = "its last layer" if members == 1 else f"the last layer of its first member of {members}"
    images = f"{view.answers.total:,} images as {layer} sees them"
    return f"{_on(view.answers)}: {images}, {wrong} read wrongly"


def compare_title(view: CompareView) -> str:
    """Which is A and which B, and how often they differ."""
    sides = (("A", view.a), ("B", view.b))
    named = ", ".join(
        f"{letter} = {own.subject.name} ({percent(own.correct / own.total)})"
        for letter, own in sides
    )
    subject = view.a.subject
    return f"{named}, on {subject.dataset} {subject.split}: {view.num_disagreements} disagreements"


def conclusion(view: CompareView) -> str:
    """What the paired test says, in words."""
    counts, p = view.counts, view.p_value
    value = f"p = {p:.2g}" if p < LEVEL else f"p = {p:.3f}"
    value = value if p >= LEAST_P else f"p < {LEAST_P:g}"
    sure = f"McNemar's exact test, {value}"
    if view.better is None:
        return (
            f"Only A is right {counts['only_a']} times, only B {counts['only_b']} times:"
            f" chance alone could do that ({sure})"
        )
    better, other = ("A", "B") if view.better == "a" else ("B", "A")
    return f"{better} is right more often than {other}: by chance that would be rare ({sure})"
