"""Pictures in a terminal: images as half blocks or shades, bars as block characters."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.style import Style
from rich.text import Text

SHADES = " ░▒▓█"
ASCII_SHADES = " .:*#"
BAR_WIDTH = 24


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
