"""Many small images: side by side in a figure, or as tiles in a terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mnistctl.draw.style import (
    GREYS,
    SIGNED,
    SMALL,
    SMALL_LETTER,
    bare,
    colours_of,
    new_figure,
)
from mnistctl.draw.terminal import has_colours, image_text
from mnistctl.draw.types import Axes, Figure, Pixels, Values

GAP, LINE = 0.08, 0.17
"""Between images, in widths of an image; and a line of caption, inches."""
TILE, TILE_GAP = 14, 2
"""Columns of a thumbnail, which is as many pixels high, and between thumbnails."""
ROWS_BENEATH = 3
"""Lines of a screen left for the title, a line that says what is left out, and the prompt."""


@dataclass(frozen=True)
class ImageGrid:
    """Images (height, width) with a caption, of one line or more, beneath each.

    They are uint8 pixels, RGB too, or where `colour_map` is no grey values of any size in one
    scale. A figure has `columns` to a row, each at least `inches` wide. A terminal shows all, or
    the rows that `fit` on its screen, of the first images or, to `spread`, of evenly spaced ones.
    """

    images: Any
    captions: Sequence[str]
    colour_map: str = GREYS
    columns: int = 8
    inches: float = 0.95
    fit: bool = False
    spread: bool = False
    empty: str = "no image"
    """What is said where there is none."""

    @cached_property
    def _lines(self) -> int:
        return max((own.count("\n") + 1 for own in self.captions if own), default=0)

    @cached_property
    def _widest(self) -> int:
        lines = (line for own in self.captions for line in own.split("\n"))
        return max(map(cell_len, lines), default=0)

    @property
    def _width(self) -> float:
        """Of an image, inches: room for its caption."""
        return max(self.inches, self._widest * SMALL_LETTER)

    @property
    def _row(self) -> float:
        """From an image to the one beneath it, in widths of an image."""
        return 1 + GAP + LINE / self._width * self._lines

    @property
    def limits(self) -> tuple[float, float]:
        """The values with the first and the last colour."""
        if self.colour_map == GREYS:
            return 0, 255
        limit = max(float(abs(own).max()) for own in self.images) or 1.0
        return -limit if self.colour_map == SIGNED else 0.0, limit

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches, those of a title included."""
        columns = min(self.columns, max(1, len(self.images)))
        rows = -(-len(self.images) // columns) or 1
        return columns * (1 + GAP) * self._width, rows * self._row * self._width + 0.6

    def figure(self, title: str, scale: str = "") -> Figure:
        """The grid alone; beside it a bar of its colours, if `scale` names them."""
        width, height = self.size
        if scale:
            width, height = width + 1.0, max(2.4, height)
        figure = new_figure(max(4.5, width), height, title)
        axes = figure.subplots()
        self.draw(axes)
        if scale:
            bar: dict[str, Any] = {"label": scale, "shrink": min(1.0, 3.0 / height)}
            figure.colorbar(axes.images[0], ax=axes, **bar)
        return figure

    def draw(self, axes: Axes) -> None:
        """Draw the grid, or what is said where there is no image."""
        step, columns = 1 + GAP, min(self.columns, max(1, len(self.images)))
        low, high = self.limits
        look: dict[str, Any] = {"cmap": self.colour_map, "vmin": low, "vmax": high}
        for number, (image, caption) in enumerate(zip(self.images, self.captions, strict=True)):
            left, top = number % columns * step, number // columns * self._row
            box = (left, left + 1, top + 1, top)
            axes.imshow(image, extent=box, interpolation="nearest", **look)
            axes.text(left + 0.5, top + 1.03, caption, ha="center", va="top", fontsize=SMALL)
        rows = -(-len(self.images) // columns) or 1
        axes.set_xlim(-GAP, columns * step)
        axes.set_ylim(rows * self._row, -GAP)
        axes.set_aspect("equal", anchor="N")
        bare(axes)
        if not len(self.images):
            axes.text(0.5, 0.5, self.empty, ha="center", transform=axes.transAxes)

    def panel(
        self, console: Console, beneath: int = 0, max_rows: int | None = None
    ) -> RenderableType:
        """As many to a row as there is room for, at most `columns`; at most `max_rows`, then cut.

        `beneath` lines of the screen are taken by something else.
        """
        if not len(self.images):
            return Text(self.empty)
        limit = self.limits[1]
        small = [
            enlarged(thumbnail(heat_pixels(own, limit, self.colour_map, console)))
            if self.colour_map != GREYS
            else thumbnail(own)
            for own in self.images
        ]
        width = max(self._widest, *(own.shape[1] for own in small), 1)
        columns = max(1, min(self.columns, (console.width + TILE_GAP) // (width + TILE_GAP)))
        if max_rows is not None:
            small = small[: max_rows * columns]
        shown = len(small)
        if self.fit and console.is_terminal:
            each = max(-(-len(own) // 2) for own in small) + self._lines + 1
            rows = max(1, (console.height - ROWS_BENEATH - beneath) // each)
            shown = min(shown, rows * columns)
        kept = [k * len(small) // shown if self.spread else k for k in range(shown)]
        captions = [self.captions[k] for k in kept]
        grid = tiles([small[k] for k in kept], captions, console, columns, width)
        if shown == len(small):
            return grid
        return Group(grid, Text("The screen is full: more with --count N, or with --output FILE"))


def tiles(
    images: Sequence[Pixels], captions: Sequence[str], console: Console, columns: int, width: int
) -> Table:
    """Images in rows of `columns`, each `width` characters wide, over their captions' lines."""
    grid = Table.grid(padding=(0, TILE_GAP, 0, 0), pad_edge=False)
    for _ in range(min(columns, len(images))):
        grid.add_column(width=width, no_wrap=True, overflow="crop")
    cells = [
        Text.assemble(image_text(image, console), f"\n{caption}\n", overflow="crop", no_wrap=True)
        for image, caption in zip(images, captions, strict=True)
    ]
    for first in range(0, len(cells), columns):
        grid.add_row(*cells[first : first + columns])
    return grid


def thumbnail(image: Pixels, side: int = TILE) -> Pixels:
    """An image (height, width) or RGB no larger than `side` either way, averaged, same aspect."""
    import numpy as np
    from PIL import Image

    height, width = image.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX), np.uint8)


def enlarged(pixels: Pixels) -> Pixels:
    """A small image a whole number of times larger, to fill a tile."""
    times = max(1, TILE // max(pixels.shape[:2]))
    return pixels.repeat(times, 0).repeat(times, 1)


def heat_pixels(values: Values, limit: float, colour_map: str, console: Console) -> Pixels:
    """Values up to `limit` either side of 0 as pixels: in colours, or as shades of their size."""
    import numpy as np

    if has_colours(console):
        return colours_of(values, -limit if colour_map == SIGNED else 0.0, limit, colour_map)
    share = np.clip(np.abs(values) / (limit or 1.0), 0, 1)
    return np.rint(share * 255).astype(np.uint8)
