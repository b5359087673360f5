"""Curves and clouds of characters: each mark where its point is, numbers that are round."""

import numpy as np
import pytest
from drawn import console_of, screen_of

from mnistctl.draw.chart import Series, chart, round_ticks, scatter


def test_curve_is_drawn_where_its_points_are() -> None:
    console = console_of(60, colours=False)
    falling = Series("x", [(0.0, 2.0), (1.0, 1.0)])
    lines = screen_of(chart("loss", [falling], "epochs", console), console).splitlines()
    assert lines[0] == "loss over epochs"
    marked = [line for line in lines if "●" in line][:2]
    assert marked[0].lstrip().startswith("2 ")
    assert marked[1].lstrip().startswith("1 ")
    assert marked[0].index("●") < 12
    assert marked[1].rstrip().endswith("●")


def test_later_series_have_marks_of_their_own() -> None:
    console = console_of(60, colours=False)
    both = [Series("a", [(0.0, 2.0)]), Series("b", [(1.0, 1.0)])]
    lines = screen_of(chart("loss", both, "epochs", console), console).splitlines()
    assert [line.strip() for line in lines[-2:]] == ["● a", "○ b"]
    assert "●" in lines[1]
    assert "○" in lines[12]


def test_no_two_of_many_series_look_alike() -> None:
    console = console_of(60)
    many = [Series(f"seed-{k}", [(float(k), 1.0)]) for k in range(14)]
    text = chart("loss", many, "epochs", console)
    looks = {
        (text.plain[span.start : span.end].strip(), str(span.style))
        for span in text.spans
        if text.plain[span.end :].startswith(" seed-")
    }
    assert len(looks) == 14


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, [0.0, 0.5, 1.0]),
        (0.14, 2.31, [1.0, 2.0]),
        (99.12, 99.71, [99.2, 99.4, 99.6]),
        (0.0, 0.6, [0.0, 0.2, 0.4, 0.6]),
        (5.0, 5.0, [5.0]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert round_ticks(low, high, 4) == ticks


def test_scatter_shows_the_commonest_label_and_crosses() -> None:
    points = np.array([[0, 0], [0, 0], [0, 0], [1, 1], [1, 1], [1, 0], [1, 0]], float)
    labels = np.array([3, 3, 5, 7, 7, 8, 8])
    wrong = np.array([False, False, True, True, True, True, False])  # most, and no more than half
    console = console_of(60, colours=False)
    cloud = scatter(points, labels, "0123456789", wrong, console, 20)
    lines = screen_of(cloud, console).splitlines()
    assert lines[0].rstrip().endswith("×")
    assert lines[19].startswith("3")
    assert lines[19].rstrip().endswith("8")
    assert "5" not in "".join(lines)
