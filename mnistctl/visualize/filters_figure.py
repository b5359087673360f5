"""Weights and feature maps as pictures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType
from rich.text import Text

from mnistctl.draw.grid import (
    TILE,
    TILE_GAP,
    draw_images,
    grid_size,
    heat_pixels,
    thumbnail,
    tiles,
)
from mnistctl.draw.style import MAGNITUDES, SIGNED, bare, new_figure
from mnistctl.draw.terminal import image_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Values = NDArray[np.floating]
COLUMNS, INCHES = 8, 0.8


class Layer(NamedTuple):
    """A layer's strongest feature maps (n, height, width) and the numbers of their channels."""

    name: str
    channels: Sequence[int]
    maps: Values


def filters_figure(filters: Values, title: str) -> "Figure":
    """Signed weights (n, height, width) in one scale, red above 0, blue below, with numbers."""
    columns = min(COLUMNS, len(filters))
    width, height = grid_size(len(filters), columns, 1, INCHES)
    figure = new_figure(max(4.5, width + 1.0), height, title)
    axes = figure.subplots()
    limit = float(np.abs(filters).max()) or 1.0
    captions = [str(number) for number in range(len(filters))]
    drawn = draw_images(axes, list(filters), captions, columns, SIGNED, (-limit, limit))
    figure.colorbar(drawn[0], ax=axes, label="weight", shrink=min(1.0, 3.0 / height))
    return figure


def filters_panel(filters: Values, console: Console) -> RenderableType:
    """The weights as tiles: in colours, or their size in shades."""
    limit = float(np.abs(filters).max())
    pixels = [_enlarged(heat_pixels(own, limit, SIGNED, console)) for own in filters]
    return tiles(pixels, [str(number) for number in range(len(filters))], console)


def activations_figure(pixels: NDArray[np.uint8], layers: Sequence[Layer], title: str) -> "Figure":
    """The image (28, 28) above a row of feature maps for each layer, brighter = stronger.

    Every layer has a scale of its own, from 0 to its largest value.
    """
    columns = max(len(layer.channels) for layer in layers)
    columns = min(16, columns)
    rows = [-(-len(layer.channels) // columns) for layer in layers]
    inches = 0.62
    heights = [1.9, *(count * (1.19 + GAP_ROW) for count in rows)]
    figure = new_figure(max(6.0, columns * 1.08 * inches + 1.2), sum(heights) * inches + 0.8, title)
    picture, *panels = figure.subplots(1 + len(layers), 1, height_ratios=heights)
    picture.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    bare(picture)
    picture.set_ylabel("image", rotation=0, ha="right", va="center")
    for axes, layer in zip(panels, layers, strict=True):
        limit = float(layer.maps.max()) or 1.0
        captions = [str(channel) for channel in layer.channels]
        draw_images(axes, list(layer.maps), captions, columns, MAGNITUDES, (0, limit))
        axes.set_anchor("W")
        height, width = layer.maps.shape[1:]
        axes.set_ylabel(f"{layer.name}\n{height}x{width}", rotation=0, ha="right", va="center")
    picture.set_anchor("W")
    return figure


GAP_ROW = 0.1


def activations_panel(
    pixels: NDArray[np.uint8], layers: Sequence[Layer], console: Console
) -> RenderableType:
    """The image, then a row for each layer of as many channels as the console has room for."""
    parts: list[RenderableType] = [image_text(pixels, console)]
    for layer in layers:
        limit = float(layer.maps.max())
        small = [
            _enlarged(thumbnail(heat_pixels(own, limit, MAGNITUDES, console))) for own in layer.maps
        ]
        width = max(small[0].shape[1], 3)
        fitting = max(1, (console.width + TILE_GAP) // (width + TILE_GAP))
        height, across = layer.maps.shape[1:]
        parts.append(Text(f"{layer.name}, {height}x{across}, strongest channels first"))
        captions = [str(channel) for channel in layer.channels[:fitting]]
        parts.append(tiles(small[:fitting], captions, console))
    return Group(*parts)


def _enlarged(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Small pictures a whole number of times larger, to fill a tile."""
    times = max(1, TILE // max(pixels.shape[:2]))
    return pixels.repeat(times, 0).repeat(times, 1)
