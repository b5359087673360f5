"""Pictures that show no digit: those held out are never drawn."""

import numpy as np
import pytest
from PIL import Image

from mnistctl.data import outliers


def test_what_is_held_out_is_never_trained_against(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it can show what a network makes of what is new to it."""
    drawn: list[str] = []
    draw_text = outliers.draw_text

    def noted(text: str, image: Image.Image, rng: np.random.Generator) -> None:
        drawn.append(text)
        draw_text(text, image, rng)

    monkeypatch.setattr(outliers, "draw_text", noted)
    outliers.drawn_outliers(400, seed=0)
    assert len(drawn) > 250
    assert len(set(drawn)) > 40
    assert set(drawn).isdisjoint(outliers.HELD_OUT)
