"""What differences between classifiers mean: a paired test, and the spread over several runs."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

CONFIDENCE = 0.95
LEVEL = 0.05
"""A difference with a smaller p-value is called significant."""


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided p-value, 0..1, of McNemar's exact test (Psychometrika 1947).

    `only_a` and `only_b` are the images that just the one classifier gets right. Were both equally
    good, each would be a fair coin's toss: the binomial distribution says how odd the split is.
    """
    from scipy.stats import binomtest

    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b).pvalue)


@dataclass(frozen=True)
class Summary:
    """Of `n` values: their mean, how far they spread, and where the mean itself may lie."""

    n: int
    mean: float
    sd: float
    """Standard deviation of the sample (n - 1)."""
    min: float
    max: float
    ci95: tuple[float, float]
    """95 % confidence interval of the mean; for shares it may reach beyond 1."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self) | {"ci95": list(self.ci95)}


def summarise(values: Sequence[float]) -> Summary:
    """Summary of at least two values, taken for independent and normally distributed.

    The interval is Student's ("The probable error of a mean", Biometrika 1908), with n - 1 degrees
    of freedom. Raises statistics.StatisticsError for fewer values.
    """
    from scipy.special import stdtrit

    count, mean, sd = len(values), statistics.fmean(values), statistics.stdev(values)
    reach = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * sd / count**0.5
    return Summary(count, mean, sd, min(values), max(values), (mean - reach, mean + reach))
