"""Candidate cuts: where strokes meet, not across them, and not so many."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mnistctl.imaging.cuts import Cut, cuts

Mask = NDArray[np.bool_]
STROKE = 10


def rings(apart: int) -> Mask:
    """Two rings of 100 pixels, whose centres are `apart`, cut to their outline."""
    image = Image.new("1", (100 + apart, 100))
    for left in (0, apart):
        ImageDraw.Draw(image).ellipse((left, 0, left + 99, 99), outline=1, width=STROKE)
    return np.asarray(image)


def cut_off(mask: Mask, cut: Cut) -> Mask:
    """What is to the left."""
    left: Mask = np.arange(mask.shape[1]) < cut.columns[:, None]
    return mask & left


def test_two_rings_come_apart_where_they_touch() -> None:
    mask = rings(98)
    best = min(cuts(mask, STROKE), key=lambda cut: cut.cost)
    left = cut_off(mask, best)
    assert abs(int(left.sum()) - int(mask.sum()) / 2) < 0.03 * mask.sum()
    assert 40 < np.ptp(np.flatnonzero(left.any(axis=0))) < 100


def test_a_cut_where_strokes_meet_is_cheaper_than_one_across_them() -> None:
    costs = {round(float(cut.columns.mean())): cut.cost for cut in cuts(rings(98), STROKE)}
    middle = min(costs, key=lambda column: abs(column - 99))
    assert all(costs[middle] < cost for column, cost in costs.items() if column != middle)


def test_a_path_follows_the_gap_between_slanting_strokes() -> None:
    image = Image.new("1", (100, 100))
    for left in (8, 48):  # under the first one's end begins the second
        ImageDraw.Draw(image).line([(left + 40, 0), (left, 99)], fill=1, width=STROKE)
    ImageDraw.Draw(image).line([(30, 50), (60, 50)], fill=1, width=4)
    mask = np.asarray(image)
    best = min(cuts(mask, STROKE), key=lambda cut: cut.cost)
    assert best.columns[0] - best.columns[-1] >= 20
    assert best.cost < 0.5
    assert 0.4 < cut_off(mask, best).sum() / mask.sum() < 0.6


def test_cuts_go_from_left_to_right_and_leave_ink_on_both_sides() -> None:
    mask = rings(98)
    found = cuts(mask, STROKE)
    middles = [float(cut.columns.mean()) for cut in found]
    assert middles == sorted(middles)
    assert len(found) <= 198 // 8
    for cut in found:
        assert cut.columns.shape == (100,)
        left = cut_off(mask, cut)
        assert left.any()
        assert (mask & ~left).any()


def test_any_shape_is_survived() -> None:
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (1, 80), (80, 1), (3, 5), (200, 7), (39, 41)):
        mask = rng.random(shape) < 0.5
        assert all(cut.columns.shape == shape[:1] for cut in cuts(mask, 1.0))
