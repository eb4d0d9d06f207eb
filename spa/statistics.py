"""Intervals, paired tests, and shapes of a curve over omega. Arrays in, numbers out.

Letters: T tasks, P omegas or parts of an interval in ascending order, B bootstrap resamples. The bootstraps draw tasks,
with the generator that they are given, and take percentiles (Efron and Tibshirani 1993, chapter 13).
"""

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CONFIDENCE = 0.95
RESAMPLES = 2000
_TAILS = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]


def wilson(n_passed: ArrayLike, n_tasks: ArrayLike, confidence: float = CONFIDENCE) -> tuple[Floats, Floats]:
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


def holm(p_values: ArrayLike) -> Floats:
    """Holm's step-down adjustment over the p-values that are not NaN, which stay NaN and count as no test."""
    adjusted = np.array(p_values, dtype=float)
    tested = ~np.isnan(adjusted)
    if tested.any():
        adjusted[tested] = multipletests(adjusted[tested], method="holm")[1]
    return adjusted


@cache
def smallest_gain(n_tasks: int, changed: float, power: float = 0.8) -> float:
    """The smallest difference of pass rates that the exact McNemar test (5%, two-sided) shows with this power.

    changed: the share of tasks expected to be fixed or broken. NaN where even fixing all of those shows too seldom.
    """
    discordant = np.arange(n_tasks + 1)
    chance = stats.binom.pmf(discordant, n_tasks, changed)
    broken = np.arange(n_tasks + 1)[:, None]
    significant = (mcnemar_exact(discordant - broken, broken) <= 1 - CONFIDENCE) & (2 * broken < discordant)

    def missing(gain: float) -> float:
        outcomes = stats.binom.pmf(broken, discordant, (1 - gain / changed) / 2)
        return power - float(chance @ (outcomes * significant).sum(axis=0))

    return float(optimize.brentq(missing, 0, changed)) if missing(changed) < 0 else float("nan")


def interval_of_ratio(ratios: ArrayLike) -> tuple[float, float]:
    """The interval of a ratio's geometric mean over repeated measurements, by Student's t; NaN where it is one."""
    logs = np.log(np.asarray(ratios, dtype=float))
    if len(logs) < 2:
        return float("nan"), float("nan")
    error = max(float(stats.sem(logs)), 1e-12)
    low, high = np.exp(stats.t.interval(CONFIDENCE, len(logs) - 1, loc=logs.mean(), scale=error))
    return float(low), float(high)


def delta_interval(
    fixed: ArrayLike, broken: ArrayLike, n_tasks: ArrayLike, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Paired bootstrap interval of a difference of pass rates, (fixed - broken) / n_tasks, for many comparisons.

    A resample of tasks has multinomial counts of fixed and broken ones, so equal counts share their draws.
    """
    counts = np.column_stack([np.asarray(each, dtype=float) for each in (fixed, broken, n_tasks)])
    distinct, where = np.unique(counts, axis=0, return_inverse=True)
    ends = np.empty((len(distinct), 2))
    for row, (n_fixed, n_broken, n) in enumerate(distinct):
        shares = [n_fixed / n, n_broken / n, 1 - (n_fixed + n_broken) / n]
        drawn = rng.multinomial(int(n), shares, size=RESAMPLES)
        ends[row] = np.quantile((drawn[:, 0] - drawn[:, 1]) / n, _TAILS)
    low, high = ends[where.ravel()].T
    return low, high


def resamples(n_tasks: int, rng: np.random.Generator, n_resamples: int = RESAMPLES) -> NDArray[np.float32]:
    """How often each bootstrap resample draws each task, over T: (B, T); its product with (T, P) has their means."""
    drawn = rng.multinomial(n_tasks, np.full(n_tasks, 1 / n_tasks), size=n_resamples)
    return (drawn / n_tasks).astype(np.float32)


def best_omegas(passed: Bools, weights: NDArray[np.float32], confidence: float = CONFIDENCE) -> Bools:
    """The omegas (P,) that `passed` (T, P) does not exclude as the best; weights: of `resamples`.

    An omega is excluded where the best observed rate exceeds its own by more than `confidence` of resamples deviate:
    max over w of (r*(w) - r(w)) - (r*(omega) - r(omega)), with r* a resample's rate. So a true optimum is kept in at
    least that share of samples, whatever the other rates are (comparison with the best, Hsu 1996, by a paired
    bootstrap).
    """
    outcomes = passed.astype(np.float32)
    rates = outcomes.mean(axis=0)
    deviations = weights @ outcomes - rates  # (B, P)
    excess = deviations.max(axis=1, keepdims=True) - deviations
    position = int(np.ceil(confidence * len(excess))) - 1
    allowed = np.partition(excess, position, axis=0)[position]
    return np.asarray(rates.max() - rates <= allowed + 1e-6)


def pooled_steps(passed: ArrayLike, confidence: float = CONFIDENCE) -> list[tuple[int, int]]:
    """The steps of a curve that are left after pooling: half-open ranges of the P columns of `passed` (T, P).

    While the paired interval of some two neighbouring steps' difference covers 0, the two whose difference is
    smallest, measured in its standard errors, become one, whose pass rate is its columns' mean. The interval is the
    normal one of a mean over tasks, so nothing here is drawn.
    """
    outcomes = np.asarray(passed, dtype=float)
    steps = [(column, column + 1) for column in range(outcomes.shape[1])]
    while len(steps) > 1:
        rises = np.diff([outcomes[:, first:stop].mean(axis=1) for first, stop in steps], axis=0)  # (steps - 1, T)
        errors = np.maximum(rises.std(axis=1), 1e-9) / np.sqrt(len(outcomes))
        size = np.abs(rises.mean(axis=1)) / errors
        closest = int(np.argmin(size))
        if size[closest] > stats.norm.isf((1 - confidence) / 2):
            break
        steps[closest : closest + 2] = [(steps[closest][0], steps[closest + 1][1])]
    return steps


def falls_after_rises(rates: ArrayLike) -> int:
    """How often a sequence of different pass rates changes from rising to falling."""
    rises = np.diff(np.asarray(rates, dtype=float)) > 0
    return int((rises[:-1] & ~rises[1:]).sum())


def common_slope(
    task: ArrayLike, position: ArrayLike, value: ArrayLike, rng: np.random.Generator
) -> tuple[float, float, float]:
    """The least-squares slope of value over position, one for all tasks with a level for each; and its interval.

    The three arrays have an entry for each measurement; the bootstrap draws whole tasks. NaN where no task has two
    positions.
    """
    _, index = np.unique(np.asarray(task), return_inverse=True)
    x, y = np.asarray(position, dtype=float), np.asarray(value, dtype=float)
    n = np.bincount(index)
    x = x - (np.bincount(index, x) / n)[index]
    xy, xx = np.bincount(index, x * y), np.bincount(index, x * x)  # (T,) each: a task's level falls out
    xy, xx = xy[xx > 0], xx[xx > 0]
    if not len(xx):
        return float("nan"), float("nan"), float("nan")
    weights = resamples(len(xx), rng)
    low, high = np.quantile((weights @ xy) / np.maximum(weights @ xx, 1e-300), _TAILS)
    return float(xy.sum() / xx.sum()), float(low), float(high)


def mean_band(values: ArrayLike, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Mean over the T tasks of each column of `values` (T, P), and a bootstrap interval that draws tasks.

    NaN is a task without that column: it counts in no mean. A column without any task is NaN. Rounded to 9 decimals:
    the last digits of a matrix product depend on the number of threads.
    """
    table = np.asarray(values, dtype=float)
    present = ~np.isnan(table)
    filled, drawn = np.where(present, table, 0.0), resamples(len(table), rng).astype(float)
    with np.errstate(invalid="ignore"):  # 0 / 0 where a resample has no task of a column
        mean = filled.sum(axis=0) / present.sum(axis=0)
        resampled = (drawn @ filled) / (drawn @ present)  # (B, P)
    known = present.any(axis=0)
    low, high = np.full((2, table.shape[1]), np.nan)
    low[known], high[known] = np.nanquantile(resampled[:, known], _TAILS, axis=0)
    return mean.round(9), low.round(9), high.round(9)
