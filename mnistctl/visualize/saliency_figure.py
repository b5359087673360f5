"""Which pixels a decision rests on, beside the image."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mnistctl.draw.grid import heat_pixels
from mnistctl.draw.style import MAGNITUDES, SIGNED, bare, new_figure
from mnistctl.draw.terminal import image_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Values = NDArray[np.floating]


def saliency_figure(
    pixels: NDArray[np.uint8], values: Values, signed: bool, title: str
) -> "Figure":
    """The image (28, 28), the attribution (28, 28), and this with the digit's outline.

    A signed attribution is red where a pixel speaks for the digit, blue where against.
    """
    figure = new_figure(8.4, 3.3, title)
    panels = figure.subplots(1, 3)
    limit = float(np.abs(values).max()) or 1.0
    low, colour_map = (-limit, SIGNED) if signed else (0.0, MAGNITUDES)
    image, heat, both = panels
    image.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    for axes in (heat, both):
        drawn = axes.imshow(values, cmap=colour_map, vmin=low, vmax=limit, interpolation="nearest")
    if np.ptp(pixels):
        both.contour(pixels, [127], colors="black" if signed else "white", linewidths=1)
    for axes, name in zip(panels, ("image", "attribution", "with its outline"), strict=True):
        bare(axes)
        axes.set_xlabel(name)
    label = "against   -   for" if signed else "for the digit"
    figure.colorbar(drawn, ax=panels, shrink=0.75, label=label)
    return figure


def saliency_panel(
    pixels: NDArray[np.uint8], values: Values, signed: bool, console: Console
) -> RenderableType:
    """Image and attribution side by side; without colours, the attribution's size in shades."""
    limit = float(np.abs(values).max())
    colour_map = SIGNED if signed else MAGNITUDES
    grid = Table.grid(padding=(0, 3, 0, 0), pad_edge=False)
    heat = heat_pixels(values, limit, colour_map, console)
    grid.add_row(image_text(pixels, console), image_text(heat, console))
    coloured = heat.ndim == 3
    if coloured and signed:
        meaning = "right: red speaks for the digit, blue against it"
    elif signed:
        meaning = "right: how much a pixel matters, for or against"
    else:
        meaning = "right: the brighter, the more it speaks for the digit"
    return Group(grid, Text(meaning))
