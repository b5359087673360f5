"""Rich's console, which shows foreign text without what it could do to a terminal."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from mnistctl.text import escaped


class EscapingConsole(Console):
    """Escapes control characters: in strings all of them, in Text all but the end of a line."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Text for a string, in a table's cell or printed."""
        return super().render_str(escaped(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """What to write for anything that rich draws."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(escaped(segment.text, keep="\n"), segment.style)
