"""What all figures share: paper, fonts, and colours that people of any colour vision tell apart."""

from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mnistctl.text import escaped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/).
BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE, YELLOW, BLACK = "#56B4E9", "#CC79A7", "#F0E442", "#000000"
GREY = "#8A8A8A"
LINES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
# The palette has eight; ten classes need a grey and a dark wine red besides.
CLASSES = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, YELLOW, BLACK, "#999999", "#882255")

MAGNITUDES, SIGNED = "viridis", "RdBu_r"
"""Colour maps, perceptually uniform: of values from 0, and of values either side of 0."""

TITLE_SIZE, SMALL = 11, 8
_CHARACTERS_PER_INCH = 11.5


def new_figure(width: float, height: float, title: str) -> "Figure":
    """An empty figure, inches, whose title is broken into lines that fit its width."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    lines = fill(escaped(title), int(width * _CHARACTERS_PER_INCH))
    figure.suptitle(lines.replace("$", r"\$"), fontsize=TITLE_SIZE)
    return figure


def drawn(text: str) -> str:
    """A name from elsewhere as matplotlib draws it: nothing that breaks an SVG, no formula."""
    return escaped(text).replace("$", r"\$")


def bare(axes: "Axes") -> None:
    """Take frame and ticks away, for pictures."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def colours_of(
    values: NDArray[np.floating], low: float, high: float, colour_map: str
) -> NDArray[np.uint8]:
    """`values` (height, width) between `low` and `high` as RGB (height, width, 3)."""
    from matplotlib import colormaps

    span = (high - low) or 1.0
    colours = colormaps[colour_map](np.clip((values - low) / span, 0, 1), bytes=True)
    rgb: NDArray[np.uint8] = np.asarray(colours, np.uint8)[..., :3]
    return rgb
