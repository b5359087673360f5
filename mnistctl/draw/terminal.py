"""Pictures in a terminal: images as half blocks or shades, bars as block characters."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

SHADES = " ░▒▓█"
ASCII_SHADES = " .:*#"
BAR_WIDTH = 24
# Each digit as rows of five dots, top to bottom.
LARGE_DIGITS = (
    "01110 10001 10001 10001 10001 10001 01110",
    "00100 01100 00100 00100 00100 00100 01110",
    "01110 10001 00001 00010 00100 01000 11111",
    "11110 00001 00001 01110 00001 00001 11110",
    "00010 00110 01010 10010 11111 00010 00010",
    "11111 10000 11110 00001 00001 10001 01110",
    "00110 01000 10000 11110 10001 10001 01110",
    "11111 00001 00010 00100 01000 01000 01000",
    "01110 10001 10001 01110 10001 10001 01110",
    "01110 10001 10001 01111 00001 00010 01100",
)
NO_DIGIT = "01110 10001 00001 00110 00100 00000 00100"


def prediction_panel(
    pixels: NDArray[np.uint8],
    digit: int | None,
    probabilities: Sequence[float],
    console: Console,
    label: int | None = None,
) -> RenderableType:
    """The image (28, 28), the digit large (None: a question mark) and the ten bars, side by side.

    On consoles too narrow for all three the bars come below.
    """
    image = image_text(pixels, console)
    bars = probability_bars(probabilities, console, label)
    large = large_digit(digit, console)
    grid = Table.grid(padding=(0, 3))
    if console.width >= 90:
        grid.add_row(image, large, bars)
        return grid
    grid.add_row(image, large)
    if console.width < 66:  # bars in the image's column would push the digit out
        return Group(grid, bars)
    grid.add_row(bars)
    return grid


def large_digit(digit: int | None, console: Console) -> Text:
    """A digit seven lines high, ten columns wide; a question mark for None."""
    dot = "██" if has_blocks(console) else "##"
    rows = (NO_DIGIT if digit is None else LARGE_DIGITS[digit]).split()
    lines = ["".join(dot if cell == "1" else "  " for cell in row) for row in rows]
    return Text("\n" * 3 + "\n".join(lines))


def image_text(pixels: NDArray[np.uint8], console: Console) -> Text:
    """`pixels` (height, width) or RGB (height, width, 3), 0..255, two rows to a line of text.

    Each character shows two pixels, one above the other: as the colours of an upper half block
    where the console has colours, else as one shade of their mean.
    """
    padding = ((0, len(pixels) % 2), (0, 0), (0, 0))
    rows = np.pad(pixels.reshape(*pixels.shape[:2], -1), padding)
    text = Text()
    for top, bottom in zip(rows[0::2], rows[1::2], strict=True):
        if has_colours(console):
            for a, b in zip(top, bottom, strict=True):
                text.append("▀", Style(color=_rgb(a), bgcolor=_rgb(b)))
        else:
            shades = SHADES if has_blocks(console) else ASCII_SHADES
            levels = (top.mean(1) + bottom.mean(1)) * (len(shades) - 1) / 510
            text.append("".join(shades[round(level)] for level in levels))
        text.append("\n")
    return text


def probability_bars(
    probabilities: Sequence[float], console: Console, label: int | None = None
) -> Text:
    """Ten lines: digit, bar and per cent; the largest in bold, `label` marked."""
    full = "█" if has_blocks(console) else "#"
    predicted = max(range(10), key=lambda digit: probabilities[digit])
    text = Text()
    for digit, probability in enumerate(probabilities):
        bar = full * round(probability * BAR_WIDTH)
        mark = "  <- label" if digit == label else ""
        line = f"{digit}  {bar:<{BAR_WIDTH}} {100 * probability:6.2f} %{mark}\n"
        text.append(line, Style(bold=digit == predicted))
    return text


def has_colours(console: Console) -> bool:
    """Whether half blocks in colours can be shown: never under NO_COLOR, in a pipe, in ASCII."""
    return has_blocks(console) and not console.no_color and console.color_system is not None


def has_blocks(console: Console) -> bool:
    """Whether the terminal's encoding has block characters."""
    return "utf" in console.encoding.lower()


def _rgb(pixel: NDArray[np.uint8]) -> str:
    red, green, blue = (int(value) for value in np.broadcast_to(pixel, 3))
    return f"rgb({red},{green},{blue})"
