"""`mnistctl predict`: which digit is on a picture."""

import contextlib
import csv
import glob
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mnistctl.cli import options
from mnistctl.cli.command import examples
from mnistctl.cli.evaluate import model_line
from mnistctl.cli.output import Output, start_output
from mnistctl.cli.streams import is_terminal, show_line
from mnistctl.errors import ExitCode, ImageError, UsageError
from mnistctl.events import Reporter
from mnistctl.text import escaped, percent
from mnistctl.visualize.sources import only_one

if TYPE_CHECKING:
    from mnistctl.engine.inference.predict import Prediction, Predictions
    from mnistctl.imaging.ink import Invert

Writer = Callable[["list[Prediction]"], None]
EXAMPLES = examples(
    "mnistctl predict photo.jpg",
    "mnistctl predict photos/ --csv > digits.csv",
    "mnistctl predict --multi postcode.png -c shipped",
    "cat digit.png | mnistctl predict - --json",
)
STYLES = {"uncertain": "yellow", "not-a-digit": "red", "unknown": "red"}
NOTHING = "0.00 %"
NUM_NAMED = 5
"""Images that the summary names of each kind."""


def predict_command(
    ctx: typer.Context,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE", help="Files, directories, patterns, or - for standard input."
        ),
    ],
    checkpoint: options.CheckpointOption = None,
    invert: options.Invert = "auto",
    multi: Annotated[
        bool, options.data_option("--multi", help="Find several digits in a picture and read them.")
    ] = False,
    save_input: Annotated[
        Path | None,
        options.output_option(
            "--save-input",
            metavar="OUT.png",
            readable=False,
            help="Save the 28x28 image that the network saw.",
        ),
    ] = None,
    as_csv: Annotated[
        bool, options.output_option("--csv", help="CSV, one line per prediction.")
    ] = False,
    device: options.Device = None,
    precision: options.Precision = None,
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Say which digit a picture shows.

    Photographs, scans and drawings, dark on light or light on dark. The answer comes with its
    probability and a verdict: digit, uncertain or not a digit.
    """
    output = start_output(ctx, json, quiet)
    named = only_one(checkpoint)
    if as_csv and json:
        raise UsageError("--csv and --json are two forms of the same output", "choose one")
    if images.count("-") > 1:
        raise UsageError("- is standard input, which can be read once", "leave out the second -")
    if save_input is not None:
        _check_place(save_input, images)
    from mnistctl.engine.inference.loading import load_model
    from mnistctl.engine.inference.predict import Unreadable, predict

    reporter = output.reporter()
    model = load_model(named, store, device, precision, reporter)
    chosen = f"Model: {model.label}"
    reporter.say(chosen if named else model_line(model.label, "-c shipped"))
    classes = model.predictor.classes
    write = _csv_writer(classes) if as_csv else _line_writer(output, classes, multi)
    drawn = not (json or quiet or as_csv or multi) and _is_one_file(images)

    def show(found: "list[Prediction] | Unreadable") -> None:
        if json:
            return
        if isinstance(found, Unreadable):
            show_line(f"error: {found.error}", sys.stderr)
        elif not drawn:
            write(found)
            sys.stdout.flush()

    answers = predict(images, model, cast("Invert", invert), multi, reporter, show)
    output.document(answers.to_dict())
    if drawn:
        for prediction in answers.predictions:
            _draw(output, prediction, classes)
        write(answers.predictions)
    if len(answers.predictions) + len(answers.errors) > 1:
        for line in summary_lines(answers):
            reporter.say(line)
    if save_input is not None and (answers.predictions or not answers.errors):
        _save_input(answers, save_input, reporter)
    if answers.errors:
        raise typer.Exit(int(ExitCode.ERROR))


def _is_one_file(images: Sequence[str]) -> bool:
    """Whether the answer is to one picture, and on a terminal."""
    one = len(images) == 1 and (os.path.isfile(images[0]) or not glob.has_magic(images[0]))
    return one and not os.path.isdir(images[0]) and is_terminal(sys.stdout)


def _line_writer(output: Output, classes: Sequence[str], multi: bool) -> Writer:
    """Shows answers to people: of several digits those of each line of writing together."""
    from mnistctl.engine.inference.predict import reading

    def write(found: "list[Prediction]") -> None:
        for (_, image, _), group in groupby(found, lambda p: (p.number, p.image, p.line)):
            digits = list(group)
            if multi:
                output.line(f"{image}: {reading(digits)}")
            for prediction in digits:
                text, style = answer_text(prediction, classes), STYLES.get(prediction.verdict, "")
                line = f"  {text} at {prediction.box}" if multi else f"{image}: {text}"
                output.line(line, style)

    return write


def _draw(output: Output, prediction: "Prediction", classes: Sequence[str]) -> None:
    """The network's input, the digit and the probabilities; half a small terminal."""
    from mnistctl.draw.terminal import prediction_panel

    console, answer = output.console(), None if prediction.rejected else prediction.class_name
    shown = (prediction.pixels, answer, prediction.probabilities, classes)
    console.print(prediction_panel(*shown, console, verdict=prediction.standing))


def _csv_writer(classes: Sequence[str]) -> Writer:
    """Writes the head of the table, and a line for each answer."""
    columns = [escaped(f"p{name}") for name in classes]
    head = ["image", "digit", "class_name", "confidence", "verdict", *columns, "warnings"]
    csv.writer(sys.stdout, lineterminator="\n").writerow(head)

    def write(found: "list[Prediction]") -> None:
        table = csv.writer(sys.stdout, lineterminator="\n")  # which the bars have replaced
        for p in found:
            shares = [f"{share:.6f}" for share in p.probabilities]
            name = "" if p.rejected else p.class_name
            answer = [p.image, p.digit, name, f"{p.confidence:.6f}", p.verdict]
            row = [*answer, *shares, "; ".join(p.warnings)]
            table.writerow([escaped(cell) if isinstance(cell, str) else cell for cell in row])

    return write


def answer_text(prediction: "Prediction", classes: Sequence[str]) -> str:
    """`7 (99.81 %), then 1 (0.12 %), 9 (0.05 %)`, with the verdict where it is no plain digit."""
    shares = prediction.probabilities
    ranked = sorted(range(len(classes)), key=lambda k: -shares[k])
    first, *others = (
        f"{classes[k]} ({percent(shares[k])})" for k in ranked[:3] if percent(shares[k]) != NOTHING
    )
    reason = f": {'; '.join(prediction.warnings)}" if prediction.warnings else ""
    if prediction.rejected:
        return f"{prediction.verdict.replace('-', ' ')}{reason}"
    doubt = f" - uncertain{reason}" if prediction.verdict == "uncertain" else ""
    then = f", then {', '.join(others)}" if others else ""
    return f"{first}{then}{doubt}"


def summary_lines(answers: "Predictions") -> list[str]:
    """How often each class was predicted; which images are uncertain, rejected or unreadable."""
    groups: dict[str, list[str]] = {}
    classes: Counter[str] = Counter()
    for prediction in answers.predictions:
        if not prediction.rejected:
            classes[prediction.class_name] += 1
        if prediction.verdict not in ("digit", "known"):
            groups.setdefault(prediction.verdict.replace("-", " "), []).append(prediction.image)
    if answers.errors:
        groups["unreadable"] = [error.image for error in answers.errors]
    counts = ", ".join(f"{name} ({count:,})" for name, count in sorted(classes.items()))
    lines = [f"Predicted: {counts or 'none'}"]
    for verdict, named_often in groups.items():
        images = list(dict.fromkeys(named_often))  # several digits of one
        more = f", and {len(images) - NUM_NAMED:,} more" if len(images) > NUM_NAMED else ""
        named = ", ".join(map(os.path.basename, images[:NUM_NAMED]))
        lines.append(f"{verdict.capitalize()}: {len(images):,} ({named}{more})")
    return lines


def _check_place(save_input: Path, images: Sequence[str]) -> None:
    """Raise UsageError or MnistctlError unless the one input can be saved there."""
    from mnistctl.files import explained, try_place
    from mnistctl.imaging.files import expand

    if save_input.suffix.lower() != ".png":
        raise UsageError(f"--save-input writes PNG: '{save_input}' should end in .png")
    named: list[str] = []
    for argument in images:
        with contextlib.suppress(ImageError):  # said of each when it is its turn
            named += expand(argument)
    if len(named) > 1:
        raise UsageError(f"--save-input saves one digit, but there are {len(named)} images")
    if any(save_input.resolve() == Path(own).resolve() for own in named):
        raise UsageError(f"--save-input {save_input} is the image itself", "name another file")
    with explained(f"can't write {save_input}"):
        try_place(save_input)


def _save_input(answers: "Predictions", path: Path, reporter: Reporter) -> None:
    from PIL import Image

    from mnistctl.files import explained, replacing

    if len(answers.predictions) != 1:
        raise UsageError(f"--save-input saves one digit, but {len(answers.predictions)} were found")
    with explained(f"can't write {path}"), replacing(path) as file:
        Image.fromarray(answers.predictions[0].pixels).save(file, format="PNG")
    reporter.say(f"Saved to {path}")
