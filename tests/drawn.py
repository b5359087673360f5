"""What a figure or a terminal really shows, for tests of pictures."""

import io
import re
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from rich.cells import cell_len
from rich.console import Console, RenderableType

from mnistctl.draw.style import show_names_as_text


def check_figure(figure: Figure, texts_apart: bool = True) -> None:
    """Assert that `figure` isn't blank, no text leaves it, and no two labels touch.

    `texts_apart`: neither do texts within a panel.
    """
    show_names_as_text(figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert np.asarray(canvas.buffer_rgba())[..., :3].std() > 3
    renderer = canvas.get_renderer()
    width, height = canvas.get_width_height()
    ticks = [t for axes in figure.axes for axis in _axes(axes) for t in _tick_labels(axis)]
    outside = {id(text) for axes in figure.axes for a in _axes(axes) for text in a.get_ticklabels()}
    texts = [t for t in figure.findobj(Text) if isinstance(t, Text) and id(t) not in outside]
    for text in [*ticks, *texts]:
        if not text.get_visible() or not text.get_text().strip():
            continue
        box = text.get_window_extent(renderer)
        inside = box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1 and box.y1 < height + 1
        assert inside, (text.get_text(), box, (width, height))
        assert text.get_fontsize() >= 8
    for axes in figure.axes:
        for axis in _axes(axes):
            assert not _touching(_tick_labels(axis), renderer)
        if texts_apart:
            assert not _touching(list(axes.texts), renderer)


def _axes(axes: Any) -> tuple[Axis, Axis]:
    return axes.xaxis, axes.yaxis


def _tick_labels(axis: Axis) -> list[Text]:
    """Those that are in view."""
    low, high = sorted(axis.get_view_interval())
    return [
        label
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
        if label.get_visible() and label.get_text() and low <= tick.get_loc() <= high
    ]


def _touching(texts: list[Text], renderer: Any) -> list[tuple[str, str]]:
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts if t.get_text().strip()]
    return [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)]


def console_of(width: int, colours: bool = True, encoding: str = "utf-8") -> Console:
    """A terminal whose screen `screen_of` reads."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    system: Any = "truecolor" if colours else None
    return Console(file=file, width=width, force_terminal=colours, color_system=system)


def screen_of(renderable: RenderableType, console: Console) -> str:
    """What `console` shows of it, escape codes and all."""
    console.print(renderable)
    file: Any = console.file
    return str(file.buffer.getvalue().decode(console.encoding))


def widest_line(screen: str) -> int:
    """Columns taken by the longest line."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", screen)
    return max(cell_len(line.rstrip()) for line in plain.splitlines())
