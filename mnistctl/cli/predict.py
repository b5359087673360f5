"""`mnistctl predict`: which digit is on a picture."""

import csv
import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mnistctl.cli import options
from mnistctl.cli.output import Output, is_terminal, percent, start_output
from mnistctl.errors import ExitCode, MnistctlError, UsageError

if TYPE_CHECKING:
    from mnistctl.engine.inference.predict import Answers, Prediction


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
    polarity = options.checked_invert(invert)
    if as_csv and json:
        raise UsageError("--csv and --json are two forms of the same output", "choose one")
    if save_input is not None and save_input.suffix.lower() != ".png":
        raise UsageError(f"--save-input writes PNG: '{save_input}' should end in .png")
    from mnistctl.engine.inference.predict import predict

    answers = predict(
        images,
        checkpoint=checkpoint,
        store=store,
        device=device,
        precision=precision,
        invert=polarity,
        multi=multi,
        reporter=output.reporter(),
    )
    output.document(answers.to_dict())
    if as_csv:
        _write_csv(answers)
    elif output.human:
        _show(answers, output, multi)
    if not json:
        for unreadable in answers.errors:
            print(f"error: {unreadable.error}", file=sys.stderr)
    if save_input is not None and (answers.predictions or not answers.errors):
        _save_input(answers, save_input)
    if answers.errors:
        raise typer.Exit(int(ExitCode.ERROR))


def _show(answers: "Answers", output: Output, multi: bool) -> None:
    if multi:
        for (_, image), group in groupby(answers.predictions, lambda p: (p.number, p.image)):
            found = list(group)
            output.line(
                f"{image}: {''.join('?' if p.digit is None else str(p.digit) for p in found)}"
            )
            for prediction in found:
                output.line(f"  {answer_text(prediction)} at {prediction.box}")
        return
    for prediction in answers.predictions:
        output.line(f"{prediction.image}: {answer_text(prediction)}")
    if len(answers.predictions) == 1 and not output.quiet and is_terminal(sys.stdout):
        from mnistctl.draw.terminal import prediction_panel

        console = output.console()
        only = answers.predictions[0]
        console.print(prediction_panel(only.pixels, only.digit, only.probabilities, console))


def answer_text(prediction: "Prediction") -> str:
    """`7 (99.81 %), then 1 (0.12 %), 9 (0.05 %)`, with the verdict where it is no plain digit."""
    ranked = sorted(range(10), key=lambda digit: -prediction.probabilities[digit])
    first, *others = (f"{k} ({percent(prediction.probabilities[k])})" for k in ranked[:3])
    reason = f": {'; '.join(prediction.warnings)}" if prediction.warnings else ""
    if prediction.verdict == "not-a-digit":
        return f"not a digit{reason}"
    sure = "" if prediction.verdict == "digit" else f" - uncertain{reason}"
    return f"{first}, then {', '.join(others)}{sure}"


def _write_csv(answers: "Answers") -> None:
    writer = csv.writer(sys.stdout)
    classes = [f"p{digit}" for digit in range(10)]
    writer.writerow(["image", "digit", "confidence", "verdict", *classes, "warnings"])
    for p in answers.predictions:
        digit = "" if p.digit is None else p.digit
        shares = [f"{share:.6f}" for share in p.probabilities]
        writer.writerow(
            [p.image, digit, f"{p.confidence:.6f}", p.verdict, *shares, "; ".join(p.warnings)]
        )


def _save_input(answers: "Answers", path: Path) -> None:
    from PIL import Image

    from mnistctl.files import reason, replacing

    if len(answers.predictions) != 1:
        raise UsageError(f"--save-input saves one digit, here are {len(answers.predictions)}")
    try:
        with replacing(path) as file:
            Image.fromarray(answers.predictions[0].pixels).save(file, format="PNG")
    except OSError as error:
        raise MnistctlError(f"can't write {path}: {reason(error)}") from error
