"""`mnistctl evaluate`: how good a checkpoint is, or several are, in numbers."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from mnistctl.cli import options
from mnistctl.cli.command import examples
from mnistctl.cli.output import Output, start_output
from mnistctl.errors import GateFailed, UsageError
from mnistctl.text import accuracy_text, counted, percent

EXAMPLES = examples(
    "mnistctl evaluate",
    "mnistctl evaluate shipped --split test",
    "mnistctl evaluate fast-1 fast-2 --min-accuracy 0.99",
)

if TYPE_CHECKING:
    from mnistctl.engine.inference.evaluate import Evaluation
    from mnistctl.engine.inference.scores import Scores


def evaluate_command(
    ctx: typer.Context,
    checkpoints: options.CheckpointArguments = None,
    split: options.Split = "test",
    min_accuracy: Annotated[
        float | None,
        options.output_option(
            "--min-accuracy",
            metavar="X",
            help="Exit with 3 below this accuracy (of several: their mean), e.g. 0.99.",
        ),
    ] = None,
    dataset: options.Dataset = None,
    prepare: options.Prepare = None,
    skip_unreadable: options.SkipUnreadable = False,
    device: options.Device = None,
    precision: options.Precision = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Measure a checkpoint, or several, on a whole split.

    Loss, accuracy, accuracy of each class, confusion matrix and calibration error; of several the
    mean accuracy with its spread. Takes bare state dicts of the tutorial networks, too.
    """
    output = start_output(ctx, json, quiet)
    reporter = output.reporter()
    if min_accuracy is not None and not 0 <= min_accuracy <= 1:
        raise UsageError(f"--min-accuracy {min_accuracy}: must be between 0 and 1, e.g. 0.99")
    from mnistctl.engine.inference.evaluate import evaluate

    results = evaluate(
        checkpoints or [],
        store=store,
        data_dir=data_dir,
        dataset=options.dataset_name(dataset, prepare, skip_unreadable),
        split=split,
        device=device,
        precision=precision,
        reporter=reporter,
    )
    if not checkpoints:
        reporter.say(model_line(results[0].model.label, "mnistctl evaluate shipped"))
    accuracy = show_one(output, results[0]) if len(results) == 1 else show_several(output, results)
    if min_accuracy is None:
        return
    for result in results:
        if not math.isfinite(result.scores.loss):
            raise GateFailed(f"{result.model.label}: its loss is {result.scores.loss}")
    if accuracy < min_accuracy:
        which = "accuracy" if len(results) == 1 else "mean accuracy"
        raise GateFailed(f"{which} {accuracy:.6g} is below --min-accuracy {min_accuracy}")


def model_line(label: str, other: str) -> str:
    """Which model was chosen where none was named, and how to get the `other`."""
    if label.startswith("run "):
        return f"Model: your {label}; built-in weights: {other}"
    return f"Model: {label}; no finished run of yours yet"


def show_one(output: Output, result: "Evaluation") -> float:
    """All that was found about one checkpoint; its accuracy."""
    output.document(result.to_dict())
    if output.human and not output.quiet:
        recipe = result.model.predictor.recipe.label
        output.line(f"{result.model.label}: recipe {recipe}, {result.model.path}")
        from mnistctl.visualize.confusion import confusion_table

        classes = result.model.predictor.classes
        output.show(confusion_table(result.scores, classes, output.console()))
    if result.label_errors and result.label_errors[0] and not output.quiet:
        misclassified, known = result.label_errors
        errors = result.scores.total - result.scores.correct
        output.line(
            f"Of {counted(errors, 'error')} {misclassified} are known label errors"
            f" (of {known} in the {result.split} set; arXiv:2103.14749)"
        )
    output.line(f"{result.dataset} {result.split}: {scores_text(result.scores)}")
    return result.scores.accuracy


def show_several(output: Output, results: Sequence["Evaluation"]) -> float:
    """A line for each checkpoint and one for all; their mean accuracy."""
    from mnistctl.engine.inference.significance import summarise

    summary = summarise([result.scores.accuracy for result in results])
    possible = [min(max(bound, 0.0), 1.0) for bound in summary.ci95]
    output.document(
        {
            "evaluations": [result.to_dict() for result in results],
            "summary": summary.to_dict() | {"ci95": possible},
            "dataset": results[0].dataset,
            "split": results[0].split,
        }
    )
    for result in results:
        output.line(f"{result.model.label}: {scores_text(result.scores)}")
    mean, sd, least, most, low, high = (
        f"{100 * share:.3f}"
        for share in (summary.mean, summary.sd, summary.min, summary.max, *possible)
    )
    output.line(
        f"{results[0].dataset} {results[0].split}, {summary.n} checkpoints: mean {mean} %,"
        f" SD {sd}, min {least}, max {most}, 95 % interval of the mean {low} to {high} %"
    )
    return summary.mean


def scores_text(scores: "Scores") -> str:
    """`accuracy 99.60 % (9,960/10,000), loss 0.0649, calibration error 0.12 %`."""
    return (
        f"{accuracy_text(scores.correct, scores.total)},"
        f" loss {scores.loss:.4f}, calibration error {percent(scores.calibration_error)}"
    )
