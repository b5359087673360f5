"""`mnistctl visualize`: a digit, its label and what the network makes of it."""

from pathlib import Path
from typing import Annotated

import typer

from mnistctl.cli import options
from mnistctl.cli.output import percent, start_output
from mnistctl.data.names import check_split


def visualize_command(
    ctx: typer.Context,
    index: Annotated[
        int, typer.Option("--index", metavar="N", help="Which image of the split, from 0.")
    ] = 0,
    split: options.Split = "test",
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Also draw it as .png, .svg or .pdf."),
    ] = None,
    checkpoint: options.CheckpointOption = None,
    dataset: options.Dataset = None,
    device: options.Device = None,
    precision: options.Precision = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Draw an image with its label and the prediction.

    In the terminal, and with --output as a file. An existing file is replaced in one step.
    """
    output = start_output(ctx, json, quiet)
    check_split(split)
    from mnistctl.plots.files import check_format, save_figure

    if out is not None:
        check_format(out)
    from mnistctl.engine.look import look

    seen = look(
        checkpoint,
        index,
        store=store,
        data_dir=data_dir,
        dataset=dataset,
        split=split,
        device=device,
        precision=precision,
        reporter=output.reporter(),
    )
    title = (
        f"{seen.dataset} {split} image {index}: label {seen.label},"
        f" predicted {seen.prediction} ({percent(seen.confidence)})"
    )
    if out is not None:
        from mnistctl.plots.prediction import prediction_figure

        save_figure(prediction_figure(seen.pixels, seen.probabilities, title, seen.label), out)
    output.document(seen.to_dict() | {"output": str(out) if out else None})
    if output.human:
        output.line(title)
        if not quiet:
            from mnistctl.plots.terminal import prediction_panel

            console = output.console()
            answer = (seen.prediction, seen.probabilities)
            console.print(prediction_panel(seen.pixels, *answer, console, seen.label))
        if out is not None:
            output.line(f"Written: {out}")
