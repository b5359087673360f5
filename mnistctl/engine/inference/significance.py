"""Whether one of two classifiers is really better: the paired test."""

LEVEL = 0.05
"""Below this probability a difference is called real."""


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided p-value, 0..1, of McNemar's exact test (Psychometrika 1947).

    `only_a` and `only_b` are the images that just the one classifier gets right. Were both equally
    good, each would be a fair coin's toss: the binomial distribution says how odd the split is.
    """
    from scipy.stats import binomtest

    if only_a + only_b == 0:
        return 1.0
    return float(binomtest(only_a, only_a + only_b).pvalue)
