"""One digit, what it was taken for, and how sure the network is of each of the ten."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart by people with any kind of colour vision.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8A8A8A"


def prediction_figure(
    pixels: NDArray[np.uint8], probabilities: Sequence[float], title: str, label: int | None
) -> "Figure":
    """The image `pixels` (28, 28) beside bars of its ten `probabilities` (0..1).

    The bar of the prediction is blue where it equals `label` or no label is known, orange where
    it does not; the label's bar carries its name.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    picture, bars = figure.subplots(1, 2, width_ratios=(1, 1.5))
    figure.suptitle(title)
    picture.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    picture.set_xticks([])
    picture.set_yticks([])
    digits = range(10)
    predicted = max(digits, key=lambda digit: probabilities[digit])
    hit = BLUE if label in (None, predicted) else ORANGE
    colours = [hit if digit == predicted else GREY for digit in digits]
    bars.barh(digits, probabilities, color=colours)
    names = [f"{digit} (label)" if digit == label else str(digit) for digit in digits]
    bars.set_yticks(list(digits), names)
    bars.invert_yaxis()
    bars.set_xlim(0, 1.18)
    bars.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
    bars.set_xlabel("probability")
    bars.spines[["top", "right"]].set_visible(False)
    bars.spines["bottom"].set_bounds(0, 1)
    for digit in digits:
        text = f"{100 * probabilities[digit]:.1f} %"
        bars.text(probabilities[digit] + 0.01, digit, text, va="center", fontsize=8)
    return figure
