"""Names from elsewhere in a figure are drawn as they are: no formulas, no broken files."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from mnistctl.draw.files import save_figure
from mnistctl.draw.style import OTHER, RIGHT, SIGNED, WRONG, colours_of, new_figure

EVIL = "\x1b[2J a$\\frac{$b_$\n\x00\ud800\ufffe <b>&"


@pytest.mark.parametrize("ending", [".svg", ".png", ".pdf"])
def test_hostile_names_everywhere(ending: str, tmp_path: Path) -> None:
    figure = new_figure(6, 4, f"curves of {EVIL}")
    axes = figure.subplots()
    axes.plot([1, 2], [1, 1000], label=EVIL)
    axes.set_yscale("log")
    axes.set_xticks([1, 2], [EVIL, "$x$"])
    axes.set_ylabel(EVIL)
    axes.set_title(EVIL)
    axes.text(1, 1, EVIL)
    axes.legend()
    path = save_figure(figure, tmp_path / f"x{ending}")
    if ending == ".svg":
        content = path.read_text(encoding="utf-8")
        ElementTree.fromstring(content)
        said = re.findall(r"<!-- (.*?) -->", content, re.DOTALL)
        assert any(r"\x1b[2J a$\frac{$b_$" in comment for comment in said)
        assert any("$x$" in comment for comment in said)
        assert any("mathdefault{10^{2}}" in comment for comment in said)  # that is no name
        assert content.replace("\n", "").isprintable()


def test_right_is_blue_and_wrong_is_vermilion() -> None:
    assert (RIGHT, WRONG, OTHER) == ("#0072B2", "#D55E00", "#8A8A8A")


def test_signed_values_are_red_above_zero_blue_below_and_white_at_zero() -> None:
    values = np.array([[-2.0, -1.0, 0.0, 1.0, 2.0]])
    ((low, below, zero, above, high),) = colours_of(values, -2.0, 2.0, SIGNED).tolist()
    assert min(zero) > 240
    for red, _, blue in (above, high):
        assert red > blue
    for red, _, blue in (below, low):
        assert red < blue
    assert sum(high) < sum(above) < sum(zero) > sum(below) > sum(low)
