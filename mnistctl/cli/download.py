"""`mnistctl download`: a data set onto this machine, verified."""

from dataclasses import asdict
from typing import Annotated

import typer

from mnistctl.cli import complete, options
from mnistctl.cli.command import examples
from mnistctl.cli.output import start_output
from mnistctl.data.registry import DATASETS, DEFAULT_DATASET
from mnistctl.errors import DataError, unknown

ALL = "all"
NAMES = tuple(name for name, row in DATASETS.items() if row.published)
EXAMPLES = examples(
    "mnistctl download",
    "mnistctl download --from ~/mnist-files --data-dir ~/data",
    "mnistctl download --json",
)


def download_command(
    ctx: typer.Context,
    dataset: Annotated[
        str,
        options.data_option(
            "--dataset",
            metavar="NAME",
            help=f"{', '.join(NAMES)}, or all. Only mnist and fashion have been tested on the real"
            " files.",
            autocompletion=complete.one_of(*NAMES, ALL),
        ),
    ] = DEFAULT_DATASET,
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
        options.data_option("--force", help="Download all files again, even intact ones."),
    ] = False,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Fetch a data set, verify it, repair what is damaged.

    What is there and intact stays as it is. Without --from the public mirrors are tried in turn.
    """
    output = start_output(ctx, json, quiet)
    if dataset not in (*DATASETS, ALL):
        raise unknown("data set", dataset, (*NAMES, ALL))
    from mnistctl.data.registry import download

    results, failures = [], []
    for name in NAMES if dataset == ALL else (dataset,):
        try:
            result = download(data_dir, name, source, force, output.reporter())
        except DataError as error:
            if dataset != ALL:
                raise
            failures.append(f"{name}: {error.message}")
            continue
        results.append(result)
        for file in result.files:
            output.line(f"{file.status:<10}  {file.name}  {file.bytes:,} bytes")
        output.line(f"{name} ({DATASETS[name].summary}) is complete in {result.data_dir}, verified")
    if failures:
        raise DataError("; ".join(failures), "what was fetched stays; try again, or use --from")
    documents = [asdict(result) for result in results]
    files = [file for document in documents for file in document["files"]]
    output.document(
        {"dataset": ALL, "data_dir": str(data_dir), "files": files, "datasets": documents}
        if dataset == ALL
        else documents[0]
    )
