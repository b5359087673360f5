"""`mnistctl download`: MNIST onto this machine, verified."""

from dataclasses import asdict
from typing import Annotated

import typer

from mnistctl.cli import options
from mnistctl.cli.command import examples
from mnistctl.cli.output import start_output

EXAMPLES = examples(
    "mnistctl download",
    "mnistctl download --from ~/mnist-files --data-dir ~/data",
    "mnistctl download --json",
)


def download_command(
    ctx: typer.Context,
    source: Annotated[
        str | None,
        options.data_option(
            "--from",
            metavar="DIR|URL",
            help="Take the files from a directory or a base URL instead of the public mirrors.",
        ),
    ] = None,
    force: Annotated[
        bool,
        options.data_option("--force", help="Fetch all files anew, even good ones."),
    ] = False,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Fetch MNIST, verify it, repair what is damaged.

    What is there and intact stays as it is. Without --from the public mirrors are tried in turn.
    """
    output = start_output(ctx, json, quiet)
    from mnistctl.data.download import download

    result = download(data_dir, source=source, force=force, reporter=output.reporter())
    output.document(asdict(result))
    for file in result.files:
        output.line(f"{file.status:<10}  {file.name}  {file.bytes:,} bytes")
    output.line(f"MNIST is complete and verified in {result.data_dir}")
