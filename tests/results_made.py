"""Results made up without a network, for tests of how they are drawn."""

import numpy as np
from numpy.typing import NDArray

from mnistctl.visualize import calibration_figure as calibration
from mnistctl.visualize import curves_figure as curves
from mnistctl.visualize import filters_figure as filters

GENERATOR = np.random.default_rng(3)
CONFUSION = GENERATOR.integers(0, 9, (10, 10)) + np.diag([980] * 10)


def images(count: int) -> NDArray[np.uint8]:
    return GENERATOR.integers(0, 256, (count, 28, 28)).astype(np.uint8)


def run(name: str, epochs: int = 6) -> curves.Run:
    steps = [(step / 12, 2.0 / step) for step in range(1, 12 * epochs + 1)]
    means = [(float(epoch), 2.0 / epoch) for epoch in range(1, epochs + 1)]
    return curves.Run(name, steps, means, [(x, 1 - y / 40) for x, y in means], [(6.0, 0.99)])


def bins() -> list[calibration.Bin]:
    return [
        calibration.Bin(k / 15, (k + 1) / 15, k**3, k / 15 + 0.03 if k else None, k / 15 or None)
        for k in range(15)
    ]


def layers(count: int) -> list[filters.Layer]:
    return [
        filters.Layer(f"conv{k}", range(100, 100 + count), GENERATOR.random((count, side, side)))
        for k, side in ((1, 24), (2, 3))
    ]
