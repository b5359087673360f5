"""Lines for people: the way of all text to stdout and stderr, but for rich's."""

import os
import sys
import traceback
from typing import TextIO

from mnistctl.text import escaped


def show_line(text: str, stream: TextIO) -> None:
    """One line for people; the way of all text to stdout and stderr, but for rich's."""
    print(escaped(text), file=stream, flush=True)


def show_traceback(error: BaseException) -> None:
    """Where an error came from, for --debug; indented, so that it passes for nothing else."""
    for line in "".join(traceback.format_exception(error)).splitlines():
        show_line(f"  {line}", sys.stderr)


def is_terminal(stream: TextIO) -> bool:
    """A real terminal that can move its cursor. FORCE_COLOR has no say: logs get no bars."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"
