"""Pictures in a terminal: images as half blocks or shades, bars as block characters."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
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
) -> Table:
    """The image (28, 28), the digit large (None: a question mark) and the ten bars, side by side.

    On consoles too narrow for all three the bars come below.
    """
    image = image_text(pixels, console)
    bars = probability_bars(probabilities, console, label)
    large = large_digit(digit, console)
    grid = Table.grid(padding=(0, 3))
    if console.width >= 90:
        grid.add_row(image, large, bars)
    else:
        grid.add_row(image, large)
        grid.add_row(bars)
    return grid


def large_digit(digit: int | None, console: Console) -> Text:
    """A digit seven lines high, ten columns wide; a question mark for None."""
    dot = "██" if _has_blocks(console) else "##"
    rows = (NO_DIGIT if digit is None else LARGE_DIGITS[digit]).split()
    lines = ["".join(dot if cell == "1" else "  " for cell in row) for row in rows]
    return Text("\n" * 3 + "\n".join(lines))


def image_text(pixels: NDArray[np.uint8], console: Console) -> Text:
    """`pixels` (height, width), 0..255, as text of half as many lines as the image has rows.

    Each character shows two pixels, one above the other: as the colours of an upper half block
    where the console has colours, else as one shade of their mean.
    """
    rows = np.vstack([pixels, np.zeros((len(pixels) % 2, pixels.shape[1]), np.uint8)])
    upper, lower = rows[0::2], rows[1::2]
    text = Text()
    for top, bottom in zip(upper, lower, strict=True):
        if _has_colours(console):
            for a, b in zip(top, bottom, strict=True):
                text.append("▀", Style(color=f"rgb({a},{a},{a})", bgcolor=f"rgb({b},{b},{b})"))
        else:
            shades = SHADES if _has_blocks(console) else ASCII_SHADES
            levels = (top.astype(int) + bottom) * (len(shades) - 1) / 510
            text.append("".join(shades[round(level)] for level in levels))
        text.append("\n")
    return text


def probability_bars(
    probabilities: Sequence[float], console: Console, label: int | None = None
) -> Text:
    """Ten lines: digit, bar and per cent; the largest in bold, `label` marked."""
    full = "█" if _has_blocks(console) else "#"
    predicted = max(range(10), key=lambda digit: probabilities[digit])
    text = Text()
    for digit, probability in enumerate(probabilities):
        bar = full * round(probability * BAR_WIDTH)
        mark = "  <- label" if digit == label else ""
        line = f"{digit}  {bar:<{BAR_WIDTH}} {100 * probability:6.2f} %{mark}\n"
        text.append(line, Style(bold=digit == predicted))
    return text


def _has_colours(console: Console) -> bool:
    return _has_blocks(console) and not console.no_color and console.color_system is not None


def _has_blocks(console: Console) -> bool:
    return "utf" in console.encoding.lower()
