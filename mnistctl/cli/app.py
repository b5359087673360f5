"""The command line: one Typer app, a file per command, every known error shown in one place.

Nothing here imports torch, torchvision or matplotlib until a command needs it.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Annotated, Any

import typer

from mnistctl import __version__
from mnistctl.cli import download, evaluate, export, help, predict, serve, train
from mnistctl.cli.command import Command, Group, examples
from mnistctl.cli.info import info_app
from mnistctl.cli.options import DEBUG_KEY
from mnistctl.cli.output import MistypedError, show_error, show_traceback, start_output
from mnistctl.cli.runs import runs_app
from mnistctl.cli.visualize import visualize_app
from mnistctl.device import is_out_of_memory, keep_freed_memory
from mnistctl.errors import Interrupted, MnistctlError, UsageError
from mnistctl.files import reason


class ErrorMappingGroup(Group):
    """Runs a command and turns its known errors into lines and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """What is left of `args` for the command. Raises typer.Exit with the error's code."""
        if not args:
            return super().parse_args(ctx, args)  # shows the help
        if "--json" in args:
            start_output(ctx, as_json=True, quiet=False)  # for an error before the command starts
        with _shown_errors(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """The command's return value. Raises typer.Exit with the error's code."""
        keep_freed_memory()
        with _shown_errors(ctx):
            return super().invoke(ctx)


@contextlib.contextmanager
def _shown_errors(ctx: Any) -> Iterator[None]:
    try:
        yield
        return
    except KeyboardInterrupt as error:
        known: MnistctlError = Interrupted("interrupted")
        cause: BaseException = error
    except MnistctlError as error:
        known, cause = error, error
    except MistypedError as error:
        place = error.ctx or ctx
        hint = f"see {place.command_path} --help"
        if place.parent is None and hasattr(error, "possibilities"):
            hint += "; options of a command go after its name"
        known, cause = UsageError(_words_of(error), hint), error
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise  # nobody reads any more: click ends the process
        known, cause = _unforeseen(error), error
    if ctx.meta.get(DEBUG_KEY):
        show_traceback(cause)
    show_error(ctx, known)
    raise typer.Exit(int(known.exit_code))


def _unforeseen(error: Exception) -> MnistctlError:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return MnistctlError("no space is left on the disk", "make room, and try again")
    if isinstance(error, OSError) and error.filename:
        return MnistctlError(f"can't use {os.fsdecode(error.filename)}: {reason(error)}")
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and is_out_of_memory(error)
    ):
        return MnistctlError(
            "there is not enough memory", "end other programs, or use --device cpu"
        )
    message = f"unexpected {type(error).__name__}: {error}"
    return MnistctlError(message, "this is a bug; --debug shows where")


def _words_of(error: Any) -> str:
    if not hasattr(error, "possibilities"):
        return str(error.format_message())
    option, context = error.option_name, error.ctx
    near = get_close_matches(option, error.possibilities or (), n=1, cutoff=0.7)
    guess = f"; did you mean {near[0]}?" if near else ""
    arguments = [own for own in context.command.params if own.param_type_name == "argument"]
    if option in ("-c", "--checkpoint") and any(own.metavar == "CHECKPOINT" for own in arguments):
        guess = "; name the checkpoint without it"
    return f"'{context.info_name}' does not accept {option}{guess}"


app = typer.Typer(
    cls=ErrorMappingGroup,
    no_args_is_help=True,
    epilog=examples(
        "mnistctl train --recipe fast",
        "mnistctl predict photo.jpg",
        "mnistctl visualize errors",
    ),
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
CORE, MORE = "Core commands", "More commands"


def _add(name: str, function: Callable[..., None], epilog: str, group: str = CORE) -> None:
    app.command(name, cls=Command, rich_help_panel=group, epilog=epilog)(function)


_add("download", download.download_command, download.EXAMPLES)
_add("train", train.train_command, train.EXAMPLES)
_add("evaluate", evaluate.evaluate_command, evaluate.EXAMPLES)
_add("predict", predict.predict_command, predict.EXAMPLES)
app.add_typer(visualize_app, name="visualize", rich_help_panel=CORE)
app.add_typer(runs_app, name="runs", rich_help_panel=MORE)
_add("serve", serve.serve_command, serve.EXAMPLES, MORE)
_add("export", export.export_command, export.EXAMPLES, MORE)
app.add_typer(info_app, name="info", rich_help_panel=MORE)
_add("help", help.help_command, help.EXAMPLES, MORE)


def _show_version(value: bool) -> None:
    if value:
        print(f"mnistctl {__version__}")
        raise typer.Exit()


@app.callback()
def _top_level(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Train, evaluate and explain classifiers of handwritten digits."""


def main() -> None:
    """Entry point of the `mnistctl` script; ends the process with an exit code."""
    # A file name may hold bytes that the terminal's encoding can't: shown escaped, not fatal.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by whoever started this program
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif mode == "w" and hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(errors="backslashreplace")
    app(prog_name="mnistctl")
