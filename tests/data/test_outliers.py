"""Outliers to train against: of many kinds, the same by seed, none of them a digit."""

import numpy as np
import pytest
from PIL import Image

from mnistctl.data import glyphs
from mnistctl.data.glyphs import HELD_OUT, as_written
from mnistctl.data.outliers import INK, KINDS, _marked, broken_digits, drawn_outliers, fitted


def test_the_same_by_seed_and_in_the_form_of_digits() -> None:
    first, again, other = drawn_outliers(40, 1), drawn_outliers(40, 1), drawn_outliers(40, 2)
    assert first.shape == (40, 28, 28)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert all(own.max() == 255 for own in first)
    # A box of 20 pixels, but of the shaded ones, which are as they come.
    sizes = [
        max(np.ptp(np.flatnonzero((own > INK).any(axis))) + 1 for axis in (0, 1)) for own in first
    ]
    assert 20 <= np.median(sizes) <= 21


def test_every_kind_is_drawn_and_none_twice() -> None:
    assert sum(KINDS.values()) == pytest.approx(1.0)
    drawn = drawn_outliers(60, 3)
    assert len(np.unique(drawn, axis=0)) == 60
    grey = np.mean((drawn > INK) & (drawn < 200), axis=(1, 2))
    assert (grey > 0.15).any()  # a shaded one


def test_what_is_held_out_is_never_trained_against(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that it can show what a network makes of what is new to it."""
    drawn: list[str] = []
    draw_text = glyphs.draw_text

    def noted(text: str, image: Image.Image, rng: np.random.Generator) -> None:
        drawn.append(text)
        draw_text(text, image, rng)

    monkeypatch.setattr(glyphs, "draw_text", noted)
    drawn_outliers(400, seed=0)
    assert len(drawn) > 100
    assert len(set(drawn)) > 60
    assert set(drawn).isdisjoint(HELD_OUT)
    assert set("".join(glyphs.ALPHABETS)).isdisjoint(HELD_OUT)


def test_nothing_upright_and_narrow_is_an_outlier() -> None:
    """It would be a 1."""
    for own in drawn_outliers(80, 4):
        rows, columns = (np.flatnonzero((own > INK).any(axis)) for axis in (1, 0))
        assert np.ptp(columns) + 1 >= 0.25 * (np.ptp(rows) + 1)


def test_digits_are_broken_never_shown_as_they_are() -> None:
    rng = np.random.default_rng(0)
    images = np.zeros((20, 28, 28), np.uint8)
    for own in images[1:]:  # the first is blank, and never taken
        top, left = rng.integers(4, 8, 2)
        own[top : top + 18, left : left + 5] = 255
        own[top : top + 4, left : left + 14] = 255
    labels = np.full(20, 7, np.int64)
    broken = broken_digits(images, labels, 50, 5)
    assert np.array_equal(broken, broken_digits(images, labels, 50, 5))
    whole = {fitted(own).tobytes() for own in images[1:]}
    assert not whole & {own.tobytes() for own in broken}


def test_a_pen_draws_lines_of_one_width() -> None:
    """A fat T of two bars, 30 and 10 wide, becomes one of strokes."""
    image = Image.new("L", (96, 96), 0)
    image.paste(255, (10, 10, 86, 40))
    image.paste(255, (43, 40, 53, 90))
    written = np.asarray(as_written(image, np.random.default_rng(1))) > 0
    assert 0 < written.sum() < 0.5 * (np.asarray(image) > 0).sum()
    assert written[60].sum() == written[:, 30].sum()


def test_a_stroke_too_many_lies_beside_the_ink() -> None:
    """Of a ring, whose ink stays as it is."""
    rows, columns = np.mgrid[:28, :28] - 13.5
    radius = np.hypot(rows, columns)
    ring = np.where((radius > 6) & (radius < 9), 255, 0).astype(np.uint8)
    rng = np.random.default_rng(6)
    large = np.asarray(Image.fromarray(ring).resize((96, 96), Image.Resampling.BICUBIC))
    added = []
    for _ in range(40):
        marked = _marked(ring, rng)
        assert (marked >= large).all()
        new = (marked > INK) & (large <= INK)
        added.append(new.sum() / (96 / 28) ** 2)
    # 8 to 16 long, 1.6 to 3 wide, at least 60 % of it beside; one or two of them.
    assert min(added) > 0.6 * 8 * 1.6 * 0.7
    assert np.quantile(added, 0.9) < 2 * 16 * 3
    assert max(added) > 1.5 * np.median(added)
