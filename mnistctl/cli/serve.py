"""`mnistctl serve`: the page to draw on."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mnistctl.cli import options
from mnistctl.cli.command import examples
from mnistctl.cli.output import start_output
from mnistctl.errors import ExitCode, UsageError, require_extra
from mnistctl.visualize.sources import only_one

EXAMPLES = examples(
    "mnistctl serve --open",
    "mnistctl serve --collect my-digits --checkpoint latest",
    "mnistctl serve --port 0 --json",
)


def serve_command(
    ctx: typer.Context,
    host: Annotated[
        str, typer.Option("--host", metavar="HOST", help="0.0.0.0: other machines may ask, too.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="PORT", help="0 takes a free one.")] = 8000,
    checkpoint: options.CheckpointOption = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Show the page in the web browser.")
    ] = False,
    collect: Annotated[
        Path | None,
        typer.Option(
            "--collect",
            metavar="DIR",
            readable=False,
            help="Save pictures labelled on the page as DIR/CLASS/NAME.png, to train on.",
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            metavar="TEXT",
            help="Token that every request must carry [default: none on this machine alone, a"
            " random one with another --host].",
            show_default=False,
        ),
    ] = None,
    device: options.Device = None,
    precision: options.Precision = None,
    store: options.Store = options.DEFAULT_STORE,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Draw a digit in the browser; see the prediction and why.

    The same answers for programs: POST an image to /api/predict (described in /openapi.json).
    Ends with Ctrl-C.
    """
    output = start_output(ctx, json, quiet)
    named = only_one(checkpoint)
    if not 0 <= port <= 65535:
        raise UsageError(f"--port {port} is not between 0 and 65535")
    if token is not None and not (token.isascii() and token.isprintable() and token.strip()):
        raise UsageError("--token must be of printable ASCII characters, and not empty")
    require_extra("serve", "fastapi", "uvicorn", "python_multipart")
    from mnistctl.serve.app import create_app
    from mnistctl.serve.collection import Collection
    from mnistctl.serve.networks import Networks
    from mnistctl.serve.server import listen, serve

    listener = listen(host, port, token)
    with contextlib.closing(listener.socket):
        reporter = output.reporter()
        if listener.public:
            reporter.warn(
                f"--host {host}: other machines can ask, unencrypted, and only with the token"
            )
        collection = None if collect is None else Collection(collect)
        networks = Networks(named, store, device, precision, reporter)
        default = networks.default

        def ready() -> None:
            output.document({"url": listener.url, "checkpoint": str(default.model.path)})
            output.line(f"Model: {default.model.label}")
            if collect is not None:
                output.line(
                    f"Collecting in {collect}, to train on: {networks.train_command(collect)}"
                )
            output.line(f"Page: {listener.url} (Ctrl-C ends it)")
            sys.stdout.flush()
            if open_page:
                import webbrowser
                from threading import Thread

                # Some browsers return when they have the page, which waits for this to return.
                Thread(target=webbrowser.open, args=(listener.url,), daemon=True).start()

        serve(create_app(networks, collection), listener, ready)
        reporter.say("Stopped")
    # Nothing is left to save, and freeing torch's memory takes the interpreter up to 2 s.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ExitCode.OK)
