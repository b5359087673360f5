"""McNemar's exact test against values by hand."""

import pytest

from mnistctl.engine.inference.significance import mcnemar


@pytest.mark.parametrize(
    ("only_a", "only_b", "p_value"),
    [
        (0, 0, 1.0),
        (10, 10, 1.0),
        (5, 0, 2 / 32),
        (0, 5, 2 / 32),
        (1, 9, 2 * (1 + 10) / 1024),
        (3, 1, 2 * (1 + 4) / 16),
    ],
)
def test_by_hand(only_a: int, only_b: int, p_value: float) -> None:
    assert mcnemar(only_a, only_b) == pytest.approx(p_value)
