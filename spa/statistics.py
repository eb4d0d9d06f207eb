"""Intervals and paired tests. Arrays in, numbers out."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

Floats = NDArray[np.float64]


def wilson(n_passed: ArrayLike, n_tasks: ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Lower and upper end of Wilson's score interval for a pass rate, as fractions; `n_tasks` must be positive."""
    low, high = proportion_confint(np.asarray(n_passed), np.asarray(n_tasks), alpha=1 - confidence, method="wilson")
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def mcnemar_exact(fixed: ArrayLike, broken: ArrayLike) -> Floats:
    """Exact two-sided p-value of McNemar's test from the two counts of discordant tasks; 1 where there are none.

    Under the null a discordant task is fixed or broken with equal chance, so the smaller count is binomial(n, 1/2).
    """
    fixed, broken = np.asarray(fixed), np.asarray(broken)
    p_value: Floats = np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(fixed, broken), fixed + broken, 0.5))
    return p_value
