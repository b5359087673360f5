"""`mnistctl predict`: which digit is on a picture."""

import csv
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mnistctl.cli import options
from mnistctl.cli.output import Output, is_terminal, show_line, start_output
from mnistctl.errors import ExitCode, MnistctlError, UsageError
from mnistctl.text import escaped, percent

if TYPE_CHECKING:
    from mnistctl.engine.inference.predict import Prediction, Predictions
    from mnistctl.imaging.ink import Invert


def predict_command(
    ctx: typer.Context,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...", help="Files, directories, patterns, or - for standard input."
        ),
    ],
    checkpoint: options.CheckpointOption = None,
    invert: options.Invert = "auto",
    multi: Annotated[
        bool, typer.Option("--multi", help="Find several digits in a picture and read them.")
    ] = False,
    save_input: Annotated[
        Path | None,
        typer.Option(
            "--save-input", metavar="OUT.png", help="Save the 28x28 image that the network saw."
        ),
    ] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="One line a prediction, for tables.")
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
    if as_csv and json:
        raise UsageError("--csv and --json are two forms of the same output", "choose one")
    if save_input is not None and save_input.suffix.lower() != ".png":
        raise UsageError(f"--save-input writes PNG: '{save_input}' should end in .png")
    from mnistctl.engine.inference.loading import load_model
    from mnistctl.engine.inference.predict import predict

    reporter = output.reporter()
    model = load_model(checkpoint, store, device, precision, reporter)
    reporter.say(f"Model: {model.label}")
    answers = predict(images, model, cast("Invert", invert), multi, reporter)
    output.document(answers.to_dict())
    if as_csv:
        _write_csv(answers)
    elif output.human:
        _show(answers, output, multi)
    if not json:
        for unreadable in answers.errors:
            show_line(f"error: {unreadable.error}", sys.stderr)
    if save_input is not None and (answers.predictions or not answers.errors):
        _save_input(answers, save_input)
    if answers.errors:
        raise typer.Exit(int(ExitCode.ERROR))


def _show(answers: "Predictions", output: Output, multi: bool) -> None:
    if multi:
        for (_, image), group in groupby(answers.predictions, lambda p: (p.number, p.image)):
            found = list(group)
            read = "".join("?" if p.rejected else p.class_name for p in found)
            output.line(f"{image}: {read}")
            for prediction in found:
                output.line(f"  {answer_text(prediction, answers)} at {prediction.box}")
        return
    for prediction in answers.predictions:
        output.line(f"{prediction.image}: {answer_text(prediction, answers)}")
    if len(answers.predictions) == 1 and not output.quiet and is_terminal(sys.stdout):
        from mnistctl.draw.terminal import prediction_panel

        console, only = output.console(), answers.predictions[0]
        answer = None if only.rejected else only.class_name
        doubtful = "uncertain" if only.verdict == "uncertain" else "accepted"
        verdict = "rejected" if only.rejected else doubtful
        shown = (only.pixels, answer, only.probabilities, answers.model.predictor.classes)
        console.print(prediction_panel(*shown, console, verdict=verdict))


def answer_text(prediction: "Prediction", answers: "Predictions") -> str:
    """`7 (99.81 %), then 1 (0.12 %), 9 (0.05 %)`, with the verdict where it is no plain digit."""
    classes, shares = answers.model.predictor.classes, prediction.probabilities
    ranked = sorted(range(len(classes)), key=lambda k: -shares[k])
    first, *others = (f"{classes[k]} ({percent(shares[k])})" for k in ranked[:3])
    reason = f": {'; '.join(prediction.warnings)}" if prediction.warnings else ""
    if prediction.rejected:
        return f"{prediction.verdict.replace('-', ' ')}{reason}"
    doubt = f" - uncertain{reason}" if prediction.verdict == "uncertain" else ""
    return f"{first}, then {', '.join(others)}{doubt}"


def _write_csv(answers: "Predictions") -> None:
    writer = csv.writer(sys.stdout)
    columns = [escaped(f"p{name}") for name in answers.model.predictor.classes]
    writer.writerow(["image", "digit", "class_name", "confidence", "verdict", *columns, "warnings"])
    for p in answers.predictions:
        shares = [f"{share:.6f}" for share in p.probabilities]
        name = "" if p.rejected else p.class_name
        answer = [p.image, p.digit, name, f"{p.confidence:.6f}", p.verdict]
        row = [*answer, *shares, "; ".join(p.warnings)]
        writer.writerow([escaped(cell) if isinstance(cell, str) else cell for cell in row])


def _save_input(answers: "Predictions", path: Path) -> None:
    from PIL import Image

    from mnistctl.files import reason, replacing

    if len(answers.predictions) != 1:
        raise UsageError(f"--save-input saves one digit, here are {len(answers.predictions)}")
    try:
        with replacing(path) as file:
            Image.fromarray(answers.predictions[0].pixels).save(file, format="PNG")
    except OSError as error:
        raise MnistctlError(f"can't write {path}: {reason(error)}") from error
