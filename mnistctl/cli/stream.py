"""A line on a stream, and whether the stream is a terminal: what output and progress share."""

import os
from typing import TextIO

from mnistctl.text import escaped


def show_line(text: str, stream: TextIO) -> None:
    """One line for people; the way of all text to stdout and stderr, but for rich's."""
    print(escaped(text), file=stream, flush=True)


def is_terminal(stream: TextIO) -> bool:
    """A real terminal that can move its cursor. FORCE_COLOR has no say: logs get no bars."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"
