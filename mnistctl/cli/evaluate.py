"""`mnistctl evaluate`: how good a checkpoint is, in numbers."""

from typing import TYPE_CHECKING, Annotated

import typer

from mnistctl.cli import options
from mnistctl.cli.output import Output, percent, start_output
from mnistctl.data.names import check_split
from mnistctl.errors import GateFailed, UsageError

if TYPE_CHECKING:
    from mnistctl.engine.evaluate import Scores


def evaluate_command(
    ctx: typer.Context,
    checkpoint: options.CheckpointArgument = None,
    split: options.Split = "test",
    min_accuracy: Annotated[
        float | None,
        typer.Option(
            "--min-accuracy", metavar="X", help="Exit with 3 below this accuracy, e.g. 0.99."
        ),
    ] = None,
    dataset: options.Dataset = None,
    device: options.Device = None,
    precision: options.Precision = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Measure a checkpoint on a whole split.

    Loss, accuracy, accuracy of each digit, confusion matrix and calibration error. Takes bare
    state dicts of the documented networks, too.
    """
    output = start_output(ctx, json, quiet)
    check_split(split)
    if min_accuracy is not None and not 0 <= min_accuracy <= 1:
        raise UsageError(f"--min-accuracy {min_accuracy}: a share between 0 and 1, e.g. 0.99")
    from mnistctl.engine.evaluate import evaluate

    result = evaluate(
        checkpoint,
        store=store,
        data_dir=data_dir,
        dataset=dataset,
        split=split,
        device=device,
        precision=precision,
        reporter=output.reporter(),
    )
    output.document(result.to_dict())
    scores = result.scores
    if output.human and not quiet:
        output.line(f"{result.label}: recipe {result.recipe}, {result.checkpoint}")
        show_confusion(output, scores)
    output.line(
        f"{result.dataset} {split}: {scores.correct:,} of {scores.total:,}"
        f" ({percent(scores.accuracy)}), loss {scores.loss:.4f},"
        f" calibration error {percent(scores.calibration_error)}"
    )
    if min_accuracy is not None and scores.accuracy < min_accuracy:
        raise GateFailed(f"accuracy {scores.accuracy:.4f} is below --min-accuracy {min_accuracy}")


def show_confusion(output: Output, scores: "Scores") -> None:
    """The confusion matrix with each digit's accuracy, as a table."""
    from rich.table import Table

    table = Table(title="label (rows) against prediction (columns)", box=None, pad_edge=False)
    table.add_column("", style="bold")
    for digit in range(10):
        table.add_column(str(digit), justify="right", header_style="bold")
    table.add_column("accuracy", justify="right")
    for digit, row in enumerate(scores.confusion):
        cells = [
            f"[bold]{n}[/]" if k == digit else (str(n) if n else "[dim].[/]")
            for k, n in enumerate(row)
        ]
        table.add_row(str(digit), *cells, percent(scores.per_class[digit]))
    output.console().print(table)
