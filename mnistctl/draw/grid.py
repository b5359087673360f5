"""Many small pictures: side by side in a figure, or as tiles in a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mnistctl.draw.style import SIGNED, SMALL, bare, colours_of
from mnistctl.draw.terminal import has_colours, image_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

GAP, LINE = 0.08, 0.19
"""Between pictures, and a line of caption, in widths of a picture of about an inch."""
TILE = 14
"""Columns of a thumbnail, and its height in pixels."""
TILE_GAP = 2


def draw_images(
    axes: "Axes",
    images: Sequence[NDArray[np.generic]],
    captions: Sequence[str],
    columns: int,
    colour_map: str = "gray",
    limits: tuple[float, float] = (0, 255),
) -> "list[AxesImage]":
    """Draw `images` in rows of `columns`, each with its caption's lines beneath."""
    step = 1 + GAP
    lines = max((caption.count("\n") + 1 for caption in captions if caption), default=0)
    row_step = step + LINE * lines
    drawn = []
    for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = number % columns * step, number // columns * row_step
        low, high = limits
        drawn.append(
            axes.imshow(
                image,
                cmap=colour_map,
                vmin=low,
                vmax=high,
                interpolation="nearest",
                extent=(left, left + 1, top + 1, top),
            )
        )
        axes.text(left + 0.5, top + 1.03, caption, ha="center", va="top", fontsize=SMALL)
    rows = -(-len(images) // columns)
    axes.set_xlim(-GAP, columns * step)
    axes.set_ylim(rows * row_step, -GAP)
    axes.set_aspect("equal", anchor="N")
    bare(axes)
    return drawn


def grid_size(count: int, columns: int, caption_lines: int, inches: float) -> tuple[float, float]:
    """Width and height in inches of `count` pictures of `inches` each, title included."""
    rows = -(-count // columns)
    return columns * (1 + GAP) * inches, rows * (1 + GAP + LINE * caption_lines) * inches + 0.5


def tiles(
    images: Sequence[NDArray[np.uint8]],
    captions: Sequence[str],
    console: Console,
    max_width: int | None = None,
) -> Table:
    """As many images to a row as the console is wide, each with its caption's lines beneath.

    `max_width` takes less than the console's width.
    """
    texts = [image_text(image, console) for image in images]
    widest = max((len(line) for c in captions for line in c.split("\n")), default=0)
    width = max(widest, *(image.shape[1] for image in images), 1)
    columns = max(
        1, min(len(images), ((max_width or console.width) + TILE_GAP) // (width + TILE_GAP))
    )
    grid = Table.grid(padding=(0, TILE_GAP, 0, 0), pad_edge=False)
    for _ in range(columns):
        grid.add_column(width=width, no_wrap=True, overflow="crop")
    cells = [
        Text.assemble(text, caption + "\n", overflow="crop", no_wrap=True)
        for text, caption in zip(texts, captions, strict=True)
    ]
    for first in range(0, len(cells), columns):
        grid.add_row(*cells[first : first + columns])
    return grid


def thumbnail(image: NDArray[np.uint8], side: int = TILE) -> NDArray[np.uint8]:
    """An image (height, width) or RGB no larger than `side` either way, averaged, same aspect."""
    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX), np.uint8)


def heat_pixels(
    values: NDArray[np.floating], limit: float, colour_map: str, console: Console
) -> NDArray[np.uint8]:
    """Values up to `limit` either side of 0 as pixels: in colours, or as shades of their size.

    A colour map of values either side of 0 begins at -limit, others at 0.
    """
    if not has_colours(console):
        share = np.abs(values) / (limit or 1.0)
        grey: NDArray[np.uint8] = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
        return grey
    low = -limit if colour_map == SIGNED else 0.0
    return colours_of(values, low, limit, colour_map)
