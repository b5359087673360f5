"""Names from elsewhere in a figure are drawn as they are: no formulas, no broken files."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mnistctl.draw.files import save_figure
from mnistctl.draw.style import new_figure

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
