"""McNemar's test, mean, spread and interval: by hand and from printed tables."""

import statistics

import pytest

from mnistctl.engine.inference.significance import mcnemar, summarise


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
def test_mcnemar_by_hand(only_a: int, only_b: int, p_value: float) -> None:
    assert mcnemar(only_a, only_b) == pytest.approx(p_value)


def test_summary_by_hand() -> None:
    summary = summarise([2.0, 4.0, 4.0, 5.0, 5.0])  # squared distances 4 0 0 1 1: variance 6 / 4
    assert (summary.n, summary.mean, summary.min, summary.max) == (5, 4.0, 2.0, 5.0)
    assert summary.sd == pytest.approx(1.5**0.5)
    reach = 2.776445 * (1.5 / 5) ** 0.5  # Student's t, 4 degrees of freedom, two-sided 95 %
    assert summary.ci95 == pytest.approx((4 - reach, 4 + reach), abs=1e-6)


@pytest.mark.parametrize(("count", "quantile"), [(2, 12.706205), (3, 4.302653), (20, 2.093024)])
def test_interval_uses_students_quantile(count: int, quantile: float) -> None:
    values = [float(k) for k in range(count)]
    low, high = summarise(values).ci95
    half = quantile * statistics.stdev(values) / count**0.5
    assert (low + high) / 2 == pytest.approx(statistics.mean(values))
    assert (high - low) / 2 == pytest.approx(half, abs=1e-5)


def test_equal_values_have_no_spread() -> None:
    summary = summarise([0.9] * 4)
    assert (summary.sd, summary.ci95) == (0.0, (0.9, 0.9))


def test_one_value_has_no_spread_to_speak_of() -> None:
    with pytest.raises(statistics.StatisticsError):
        summarise([0.9])
