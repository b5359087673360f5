"""The strokes of a digit of each class, as the page itself draws them."""

import re
from pathlib import Path

Strokes = list[list[tuple[float, float]]]
PAGE = Path(__file__).parents[1] / "mnistctl" / "serve" / "page"


def examples() -> list[Strokes]:
    """By class, strokes of points (x, y) in 0..1."""
    text = (PAGE / "examples.js").read_text()
    body = re.sub(r"^.*?= |;\s*$", "", text, flags=re.DOTALL)
    found: list[Strokes] = eval(body, {"__builtins__": {}})
    return found
