"""One digit, what it was taken for, and how sure the network is of each of the ten."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType

from mnistctl.draw.grid import TILE_GAP, thumbnail, tiles
from mnistctl.draw.style import BLUE, GREY, SMALL, VERMILLION, bare, new_figure
from mnistctl.draw.terminal import prediction_panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Steps = Sequence[tuple[str, NDArray[np.uint8]]]
STEP_SIDE = 28
"""Largest side of a step's picture in the terminal, columns."""


def prediction_figure(
    pixels: NDArray[np.uint8], probabilities: Sequence[float], title: str, label: int | None
) -> "Figure":
    """The image `pixels` (28, 28) beside bars of its ten `probabilities` (0..1).

    The bar of the prediction is blue where it equals `label` or no label is known, orange where
    it does not; the label's bar carries its name.
    """
    figure = new_figure(7.2, 3.4, title)
    picture, bars = figure.subplots(1, 2, width_ratios=(1, 1.5))
    _draw_picture(picture, pixels)
    _draw_bars(bars, probabilities, label)
    return figure


def steps_figure(steps: Steps, probabilities: Sequence[float], title: str) -> "Figure":
    """Named pictures of the way from a file to the network, above the ten `probabilities`."""
    figure = new_figure(max(6.0, 2.2 * len(steps)), 5.6, title)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(1, 1.25))[:, 0]
    panels = above.subplots(1, len(steps), squeeze=False)[0]
    for axes, (name, picture) in zip(panels, steps, strict=True):
        _draw_picture(axes, picture)
        axes.set_xlabel(name)
    _draw_bars(below.subplots(), probabilities, None)
    return figure


def steps_panel(
    steps: Steps, digit: int | None, probabilities: Sequence[float], console: Console
) -> RenderableType:
    """The same steps as thumbnails, above what `prediction_panel` shows of the last."""
    before = steps[:-1]
    panel = prediction_panel(steps[-1][1], digit, probabilities, console)
    if not before:
        return panel
    side = min(STEP_SIDE, (console.width + TILE_GAP) // len(before) - TILE_GAP)
    small = [_brightened(thumbnail(picture, side)) for _, picture in before]
    return Group(tiles(small, [name for name, _ in before], console), panel)


def _brightened(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """With 255 for the brightest: thin strokes fade when they are made small."""
    brightest = max(1, int(pixels.max()))
    stretched: NDArray[np.uint8] = np.rint(pixels * (255 / brightest)).astype(np.uint8)
    return stretched


def _draw_picture(axes: "Axes", pixels: NDArray[np.uint8]) -> None:
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    bare(axes)


def _draw_bars(axes: "Axes", probabilities: Sequence[float], label: int | None) -> None:
    digits = range(10)
    predicted = max(digits, key=lambda digit: probabilities[digit])
    hit = BLUE if label in (None, predicted) else VERMILLION
    axes.barh(digits, probabilities, color=[hit if k == predicted else GREY for k in digits])
    names = [f"{digit} (label)" if digit == label else str(digit) for digit in digits]
    axes.set_yticks(list(digits), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.18)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
    axes.set_xlabel("probability")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines["bottom"].set_bounds(0, 1)
    for digit in digits:
        text = f"{100 * probabilities[digit]:.1f} %"
        axes.text(probabilities[digit] + 0.01, digit, text, va="center", fontsize=SMALL)
