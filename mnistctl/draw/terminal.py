"""In a terminal: images as half blocks or shades, bars as block characters."""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from mnistctl.draw.types import Pixels

SHADES = " ░▒▓█"
ASCII_SHADES = " .:*#"
BAR_WIDTH, LEAST_BAR = 24, 6
MAX_BARS = 10
RIGHT, WRONG, UNCERTAIN = "green", "red", "yellow"
VERDICT_COLOURS = {
    "right": RIGHT,
    "wrong": WRONG,
    "accepted": "",
    "uncertain": UNCERTAIN,
    "rejected": WRONG,
}
# Each digit as rows of five dots, top to bottom.
LARGE_DIGITS = {
    "0": "01110 10001 10001 10001 10001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00010 00100 01000 11111",
    "3": "11110 00001 00001 01110 00001 00001 11110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
}
NO_DIGIT = "01110 10001 00001 00110 00100 00000 00100"


def prediction_panel(
    pixels: Pixels,
    answer: str | None,
    probabilities: Sequence[float],
    classes: Sequence[str],
    console: Console,
    label: int | None = None,
    verdict: str = "accepted",
) -> RenderableType:
    """The image (28, 28), the bars of the classes, and between them a digit large, side by side.

    `answer` is the class predicted, None (a question mark) where the image is taken for none of
    them; `label` is its index where it is known. `verdict`, of `VERDICT_COLOURS`, is on the answer.
    On consoles too narrow for all three the bars come below; where the digit has no room beside
    the image, it is left out.
    """
    colour = VERDICT_COLOURS[verdict]
    image = image_text(pixels, console)
    grid = Table.grid(padding=(0, 3), pad_edge=False)
    beside = [image]
    if set(classes) == LARGE_DIGITS.keys():
        beside.append(large_digit(answer, console))
    widths = [3 + max(map(len, own.plain.split("\n"))) for own in beside]
    if sum(widths) - 3 > console.width:
        del beside[1:], widths[1:]
    taken = sum(widths)
    fixed = max(map(cell_len, classes)) + 12 + (0 if label is None else len(LABEL_MARK))
    bar = console.width - taken - fixed
    if bar >= LEAST_BAR:
        bars = probability_bars(probabilities, classes, console, label, bar, colour)
        grid.add_row(*beside, bars)
        return grid
    grid.add_row(*beside)
    below = max(LEAST_BAR, console.width - fixed)
    return Group(grid, probability_bars(probabilities, classes, console, label, below, colour))


def large_digit(name: str | None, console: Console) -> Text:
    """A digit seven lines high, ten columns wide; a question mark for None."""
    dot = "██" if has_blocks(console) else "##"
    rows = (NO_DIGIT if name is None else LARGE_DIGITS[name]).split()
    lines = ["".join(dot if cell == "1" else "  " for cell in row) for row in rows]
    return Text("\n" * 3 + "\n".join(lines))


def image_text(pixels: Pixels, console: Console) -> Text:
    """`pixels` (height, width) or RGB (height, width, 3), 0..255, two rows to a line of text.

    Each character shows two pixels, one above the other: as the colours of an upper half block
    where the console has colours, else as one shade of their mean.
    """
    import numpy as np

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
    text.right_crop(1)
    return text


LABEL_MARK = "  <- label"


def bars_shown(probabilities: Sequence[float], label: int | None) -> list[int]:
    """The classes to draw bars of: all, in order, or of more than ten the likeliest ten.

    `label` is always among them.
    """
    if len(probabilities) <= MAX_BARS:
        return list(range(len(probabilities)))
    ranked = sorted(range(len(probabilities)), key=lambda k: -probabilities[k])
    shown = ranked[:MAX_BARS]
    return shown if label is None or label in shown else [*shown[:-1], label]


def probability_bars(
    probabilities: Sequence[float],
    classes: Sequence[str],
    console: Console,
    label: int | None = None,
    width: int = BAR_WIDTH,
    colour: str = "",
) -> Text:
    """A line for each class shown: its name, a bar and per cent; the label's is marked.

    The likeliest is bold and in `colour`. Bars are `width` columns long, 24 at most.
    """
    full = "█" if has_blocks(console) else "#"
    width = min(width, BAR_WIDTH)
    names = max(map(cell_len, classes))
    predicted = max(range(len(classes)), key=probabilities.__getitem__)
    text = Text()
    for k in bars_shown(probabilities, label):
        style = Style(bold=True, color=colour or None) if k == predicted else Style()
        bar = full * round(probabilities[k] * width)
        name = set_cell_size(classes[k], names)
        text.append(f"{name}  {bar:<{width}} {100 * probabilities[k]:6.2f} %", style)
        text.append(f"{LABEL_MARK if k == label else ''}\n", style)
    return text


def has_colours(console: Console) -> bool:
    """Whether half blocks in colours can be shown: never under NO_COLOR, in a pipe, in ASCII.

    Nor in 16 colours, of which pale ones would be white.
    """
    enough = console.color_system in ("256", "truecolor")
    return has_blocks(console) and not console.no_color and enough


def has_blocks(console: Console) -> bool:
    """Whether the terminal's encoding has block characters."""
    return "utf" in console.encoding.lower()


def _rgb(pixel: Pixels) -> str:
    red, green, blue = [int(value) for value in pixel] * (3 // len(pixel))
    return f"rgb({red},{green},{blue})"
