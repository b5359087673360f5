"""A cloud of images in two dimensions, coloured by class, errors crossed."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType
from rich.text import Text

from mnistctl.draw.chart import scatter
from mnistctl.draw.style import CLASSES, new_figure
from mnistctl.draw.terminal import has_blocks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def embedding_figure(
    points: NDArray[np.floating],
    labels: NDArray[np.integer],
    wrong: NDArray[np.bool_],
    axis_names: tuple[str, str],
    title: str,
) -> "Figure":
    """Points (n, 2) with labels (n,) 0..9; those that are `wrong` (n,) get a cross.

    Each class's digit stands at its median, so that colour is not needed to tell them.
    """
    from matplotlib.collections import PathCollection

    figure = new_figure(8.0, 7.0, title)
    axes = figure.subplots()
    for digit in range(10):
        own = points[labels == digit]
        axes.scatter(
            own[:, 0],
            own[:, 1],
            s=5,
            color=CLASSES[digit],
            linewidths=0,
            alpha=0.55,
            label=str(digit),
            rasterized=True,
        )
    axes.scatter(
        points[wrong, 0],
        points[wrong, 1],
        s=45,
        marker="X",
        color="white",
        edgecolors="black",
        linewidths=1.1,
        label=f"wrong ({int(wrong.sum())})",
        zorder=3,
    )
    for digit in np.unique(labels):
        x, y = np.median(points[labels == digit], 0)
        axes.text(
            x,
            y,
            str(digit),
            ha="center",
            va="center",
            fontsize=14,
            fontweight="bold",
            zorder=4,
            bbox={"facecolor": "white", "edgecolor": CLASSES[digit], "pad": 2, "alpha": 0.85},
        )
    axes.set_xlabel(axis_names[0])
    axes.set_ylabel(axis_names[1])
    axes.spines[["top", "right"]].set_visible(False)
    legend = axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, title="label")
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_alpha(1)
            handle.set_sizes([40])
    return figure


def embedding_panel(
    points: NDArray[np.floating],
    labels: NDArray[np.integer],
    wrong: NDArray[np.bool_],
    console: Console,
) -> RenderableType:
    """The cloud in characters, and what they mean."""
    cross = "×" if has_blocks(console) else "x"
    legend = f"a digit: the commonest label there; {cross}: an image read wrongly"
    return Group(scatter(points, labels, wrong, console), Text(legend))
