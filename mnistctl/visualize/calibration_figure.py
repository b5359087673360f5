"""A reliability diagram: how often the network is right when it is so sure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console, RenderableType
from rich.table import Table

from mnistctl.draw.style import BLUE, GREY, ORANGE, new_figure
from mnistctl.draw.terminal import has_blocks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Bin:
    """Images of a confidence between `low` and `high`, 0..1; `accuracy` is None of none."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


def calibration_figure(bins: Sequence[Bin], title: str) -> "Figure":
    """Accuracy of each bin of confidence against the diagonal, above the numbers of images."""
    figure = new_figure(6.4, 6.4, title)
    diagram, histogram = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = [own for own in bins if own.accuracy is not None and own.confidence is not None]
    middle = np.array([(own.low + own.high) / 2 for own in filled])
    width = (bins[0].high - bins[0].low) * 0.94
    accuracy = np.array([own.accuracy for own in filled], float)
    confidence = np.array([own.confidence for own in filled], float)
    diagram.bar(middle, accuracy, width, color=BLUE, label="accuracy")
    diagram.hlines(
        confidence,
        middle - width / 2,
        middle + width / 2,
        color=ORANGE,
        linewidth=4,
        label="mean confidence",
    )
    diagram.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="as often right as sure")
    diagram.set_ylim(0, 1.02)
    diagram.set_xlim(0, 1)
    diagram.set_ylabel("accuracy")
    diagram.legend(loc="upper left", frameon=False)
    histogram.bar(
        [(own.low + own.high) / 2 for own in bins], [own.count for own in bins], width, color=BLUE
    )
    histogram.set_yscale("symlog", linthresh=1)
    histogram.set_yticks([0, 1, 10, 100, 1000, 10_000], ["0", "1", "10", "100", "1k", "10k"])
    histogram.set_ylim(0, 3 * max(1, *(own.count for own in bins)))
    histogram.set_ylabel("images")
    histogram.set_xlabel("confidence")
    for axes in (diagram, histogram):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def calibration_panel(bins: Sequence[Bin], console: Console) -> RenderableType:
    """A line for each bin that has images: its size, confidence, accuracy and a bar of it."""
    room = console.width - 48
    table = Table(box=None, pad_edge=False)
    for heading in ("confidence", "images", "mean", "accuracy"):
        table.add_column(heading, justify="right", no_wrap=True)
    if room >= 8:
        table.add_column("", no_wrap=True)
    full = "█" if has_blocks(console) else "#"
    for own in bins:
        if own.accuracy is None or own.confidence is None:
            continue
        table.add_row(
            f"{own.low:.2f}-{own.high:.2f}",
            f"{own.count:,}",
            f"{100 * own.confidence:.2f} %",
            f"{100 * own.accuracy:.2f} %",
            *([full * round(own.accuracy * min(room, 40))] if room >= 8 else []),
        )
    return table
