"""stdout and stderr: what is a terminal, and the one way of text to it."""

import os
from typing import TYPE_CHECKING, TextIO

from mnistctl.text import escaped

if TYPE_CHECKING:
    from rich.console import Console


def is_terminal(stream: TextIO) -> bool:
    """A real terminal that can move its cursor. FORCE_COLOR has no say: logs get no bars."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def is_command(text: str) -> bool:
    """Whether a line holds a command to be copied: it is not broken, other lines are at words."""
    return "mnistctl " in text


def own_rank() -> str:
    """This process's number among those that torchrun started, `0` where it did not."""
    return os.environ.get("RANK", "0") if "TORCHELASTIC_RUN_ID" in os.environ else "0"


def console_for(stream: TextIO) -> "Console":
    """Rich on `stream`; escape codes only on a terminal, colours only without NO_COLOR.

    Text is text: no markup or emoji codes in it, and control characters are escaped.
    """
    from mnistctl.cli.console import EscapingConsole

    return EscapingConsole(
        file=stream,
        force_terminal=is_terminal(stream),
        highlight=False,
        markup=False,
        emoji=False,
    )


def show_line(text: str, stream: TextIO) -> None:
    """One line for people; the way of all text to stdout and stderr, but for rich's."""
    print(escaped(text), file=stream, flush=True)
