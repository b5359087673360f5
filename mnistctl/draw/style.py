"""What all figures share: margins, fonts, colours that people of any colour vision tell apart."""

import re
from collections.abc import Callable
from textwrap import fill
from typing import Any

from mnistctl.draw.types import Axes, Figure, Pixels, Values
from mnistctl.text import escaped

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/).
BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE, YELLOW, BLACK = "#56B4E9", "#CC79A7", "#F0E442", "#000000"
GREY = "#8A8A8A"
RIGHT, WRONG, OTHER = BLUE, VERMILLION, GREY
"""Of answers, and of what is neither."""
LINES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
# The palette has eight; ten classes need a grey and a dark wine red besides.
CLASSES = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, YELLOW, BLACK, "#999999", "#882255")

GREYS, MAGNITUDES, SIGNED = "gray", "viridis", "RdBu_r"
"""Colour maps: of pixels 0..255, of values from 0, and of values either side of 0."""

TITLE_SIZE, SMALL = 11, 8
MARGIN = 0.12
"""Around everything, inches."""
SMALL_LETTER = 0.068
"""Width of a letter of size `SMALL`, inches."""
_LETTERS_PER_INCH = 10.5


def new_figure(width: float, height: float, title: str) -> Figure:
    """An empty figure, inches, whose title is broken into lines that fit its width."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height))
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=MARGIN, h_pad=MARGIN))
    whole = re.sub(r"(?<=\d) %", "\u00a0%", escaped(title))  # a number stays with its sign
    lines = fill(whole, int((width - 2 * MARGIN) * _LETTERS_PER_INCH))
    figure.suptitle(lines.replace("\u00a0", " "), fontsize=TITLE_SIZE)
    return figure


def drawn(text: str, keep: str = "") -> str:
    """A name as matplotlib draws it: nothing that breaks an SVG, and no formula."""
    return re.sub(r"(?<!\\)\$", r"\\$", escaped(text, keep))


def show_names_as_text(figure: Figure) -> None:
    """Draw names of files, runs and classes as they are, in titles, legends, labels and ticks.

    To be called last: whatever is to be seen is in `figure` by then.
    """
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    ticks: set[int] = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        named = axis.get_major_formatter()
        if isinstance(named, FixedFormatter | FuncFormatter):  # of names; others write numbers
            axis.set_major_formatter(_drawn_by(named))
        ticks |= {id(text) for text in axis.get_ticklabels(which="both")}
    for text in figure.findobj(Text):
        if id(text) not in ticks:
            text.set_text(drawn(text.get_text(), keep="\n"))


def _drawn_by(formatter: Callable[[float, Any], str]) -> Callable[[float, Any], str]:
    return lambda x, place: drawn(formatter(x, place), keep="\n")


def bare(axes: Axes) -> None:
    """Take frame and ticks away, for images."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def open_frame(axes: Axes) -> None:
    """Leave the left and the bottom line of the frame."""
    axes.spines[["top", "right"]].set_visible(False)


def draw_image(axes: Axes, pixels: Pixels, name: str = "") -> None:
    """`pixels` (height, width) or RGB, 0..255, without frame, over its name."""
    axes.imshow(pixels, cmap=GREYS, vmin=0, vmax=255, interpolation="nearest")
    bare(axes)
    axes.set_xlabel(name)


def colours_of(values: Values, low: float, high: float, colour_map: str) -> Pixels:
    """`values` (height, width) between `low` and `high` as RGB (height, width, 3)."""
    import numpy as np
    from matplotlib import colormaps

    share = np.clip((values - low) / ((high - low) or 1.0), 0, 1)
    return np.asarray(colormaps[colour_map](share, bytes=True), np.uint8)[..., :3]
