"""`mnistctl export`: a checkpoint as a file for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from mnistctl.cli import options
from mnistctl.cli.output import start_output

EXAMPLES = """\
mnistctl export --output model.onnx
mnistctl export best -o weights.safetensors
mnistctl predict photo.png -c model.onnx"""


def export_command(
    ctx: typer.Context,
    output: Annotated[
        Path,
        options.output_option(
            "--output",
            "-o",
            metavar="FILE",
            readable=False,
            help="FILE.onnx, FILE.safetensors (weights) or FILE.pt (a bare state dict).",
        ),
    ],
    checkpoint: options.CheckpointArgument = None,
    force: Annotated[
        bool, options.output_option("--force", help="Replace FILE if it exists.")
    ] = False,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Write a checkpoint as ONNX, safetensors or a state dict.

    A model card is written beside it (FILE.md). An ONNX file takes pixels and gives calibrated
    probabilities: preprocessing, all members and shifts are inside. It is compared with the network
    by onnxruntime before it is kept; evaluate and predict take it like a checkpoint. Needs the
    extra 'export': pip install '.[export]'.
    """
    shown = start_output(ctx, json, quiet)
    from mnistctl.export.run import export

    made = export(
        checkpoint,
        output,
        store=store,
        data_dir=data_dir,
        force=force,
        reporter=shown.reporter(),
    )
    shown.document(made.to_dict())
    if made.max_difference is not None:
        shown.line(
            f"Checked with onnxruntime on {made.images_checked:,} images of {made.images}:"
            f" probabilities differ by at most {made.max_difference:.1e},"
            " no predicted class changes"
        )
    shown.line(f"Saved to {made.output} ({made.bytes:,} bytes) and {made.card}: {made.label}")
