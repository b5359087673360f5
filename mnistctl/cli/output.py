"""What a command shows and where: stdout is data, stderr everything else, decided once here."""

import contextlib
import sys
import traceback
from dataclasses import dataclass
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import typer

from mnistctl.cli.streams import console_for, is_command, is_terminal, own_rank, show_line
from mnistctl.errors import ExitCode, MnistctlError
from mnistctl.events import Reporter
from mnistctl.text import to_json

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_META_KEY = "mnistctl.output"
# Typer exports no common class of the errors in what was typed; this is click's UsageError.
MistypedError: Any = typer.BadParameter.__base__


@dataclass
class Output:
    """The mode of one command: human (neither), `json` (one document on stdout) or `quiet`."""

    json: bool = False
    quiet: bool = False
    first_rank: bool = True
    """Under torchrun rank 0 alone shows anything but errors."""
    document_written: bool = False

    def document(self, document: dict[str, Any]) -> None:
        """Write the command's JSON document, in JSON mode."""
        if self.json and self.first_rank:
            self.document_written = True
            print(to_json(document, indent=2))

    def line(self, text: str, style: str = "") -> None:
        """A line of the result for people, on stdout; `style`, rich's, is for terminals."""
        if not self.human:
            return
        if not is_terminal(sys.stdout) or (not style and len(text) < get_terminal_size().columns):
            show_line(text, sys.stdout)
            return
        console = self.console()
        with console.capture() as styled:
            console.print(text, style=style, soft_wrap=is_command(text), end="")
        print(styled.get(), flush=True)  # through sys.stdout, which bars redirect

    def show(self, renderable: "RenderableType") -> None:
        """What rich draws, for people, on stdout; in a pipe without spaces at the lines' ends."""
        console = self.console()
        with contextlib.nullcontext() if console.is_terminal else console.capture() as captured:
            console.print(renderable)
        for line in captured.get().splitlines() if captured else []:
            self.line(line.rstrip())

    @property
    def human(self) -> bool:
        """True when the result is shown to people."""
        return self.first_rank and not self.json

    def console(self) -> "Console":
        """Rich on stdout, plain when that is no terminal."""
        return console_for(sys.stdout)

    def reporter(self) -> Reporter:
        """Where the engine's progress goes: bars on a terminal, else lines; warnings at least."""
        from mnistctl.cli.progress import BarReporter, LineReporter, WarningReporter

        if not self.first_rank:
            return Reporter()
        if self.json or self.quiet:
            return WarningReporter()
        if is_terminal(sys.stderr):
            return BarReporter(console_for(sys.stderr))
        return LineReporter()


def show_traceback(error: BaseException) -> None:
    """Where an error came from, for --debug; indented, so that it passes for nothing else."""
    for line in "".join(traceback.format_exception(error)).splitlines():
        show_line(f"  {line}", sys.stderr)


def start_output(ctx: typer.Context, as_json: bool, quiet: bool) -> Output:
    """The output of the command that `ctx` runs, remembered for errors."""
    output = Output(as_json, quiet, first_rank=own_rank() == "0")
    ctx.meta[_META_KEY] = output
    return output


def show_error(ctx: typer.Context, error: MnistctlError) -> None:
    """One or two lines on stderr; in JSON mode also the command's one document on stdout."""
    rank = own_rank()
    if rank != "0" and error.exit_code == ExitCode.USAGE:
        return  # rank 0 was given the same words, and says the same
    prefix = "error" if rank == "0" else f"error (rank {rank})"
    show_line(f"{prefix}: {error.message}", sys.stderr)
    if error.hint:
        show_line(f"  {error.hint}", sys.stderr)
    output: Output = ctx.meta.get(_META_KEY, Output())
    if not output.document_written:
        document = {"error": error.message, "hint": error.hint, "exit_code": int(error.exit_code)}
        with contextlib.suppress(OSError):  # what stdout can't take may be the error
            output.document(document)
