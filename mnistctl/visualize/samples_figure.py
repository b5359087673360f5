"""Images of a data set, plain or beside their augmented versions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, RenderableType
from rich.text import Text

from mnistctl.draw.grid import TILE, TILE_GAP, draw_images, grid_size, thumbnail, tiles
from mnistctl.draw.style import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Images = NDArray[np.uint8]
COLUMNS, INCHES = 8, 0.95
NONE = "no such image"


def samples_figure(
    images: Images, captions: Sequence[str], title: str, columns: int = COLUMNS
) -> "Figure":
    """Images (n, 28, 28) in rows of `columns`, each over its caption of one or two lines."""
    columns = min(columns, max(1, len(images)))
    lines = max((caption.count("\n") + 1 for caption in captions), default=0)
    width, height = grid_size(max(1, len(images)), columns, lines, INCHES)
    figure = new_figure(max(4.0, width), height, title)
    axes = figure.subplots()
    draw_images(axes, list(images), captions, columns)
    if not len(images):
        axes.text(0.5, 0.5, NONE, ha="center", transform=axes.transAxes)
    return figure


def augmented_figure(
    images: Images, variants: Images, captions: Sequence[str], title: str
) -> "Figure":
    """A row for each image (n, 28, 28), at the left, followed by its variants (n, m, 28, 28)."""
    rows = np.concatenate([images[:, None], variants], 1)
    columns = rows.shape[1]
    flat = rows.reshape(-1, *images.shape[1:])
    beneath = [
        captions[number // columns] if number % columns == 0 else "" for number in range(len(flat))
    ]
    width, height = grid_size(len(flat), columns, 1, INCHES)
    figure = new_figure(width, height, title)
    draw_images(figure.subplots(), list(flat), beneath, columns)
    return figure


def samples_panel(images: Images, captions: Sequence[str], console: Console) -> RenderableType:
    """The images as thumbnails."""
    if not len(images):
        return Text(NONE)
    return tiles([thumbnail(image) for image in images], captions, console)


def augmented_panel(
    images: Images, variants: Images, captions: Sequence[str], console: Console
) -> RenderableType:
    """A row for each image with as many of its variants as the console has room for."""
    fitting = max(1, (console.width + TILE_GAP) // (TILE + TILE_GAP) - 1)
    shown, beneath = [], []
    for image, own, caption in zip(images, variants, captions, strict=True):
        shown += [thumbnail(image), *(thumbnail(variant) for variant in own[:fitting])]
        beneath += [caption, *["augmented"] * len(own[:fitting])]
    # One row to an image: no wider than that.
    row = min(console.width, (1 + min(fitting, variants.shape[1])) * (TILE + TILE_GAP) - TILE_GAP)
    return tiles(shown, beneath, console, max_width=row)
