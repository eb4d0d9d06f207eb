import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy import stats

from spa.statistics import (
    CONFIDENCE,
    RESAMPLES,
    best_omegas,
    common_slope,
    delta_interval,
    falls_after_rises,
    holm,
    pooled_steps,
    resamples,
)

RNG = np.random.default_rng


def drawn(rates: NDArray[np.float64], n_tasks: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Outcomes (T, P) that share each task's difficulty from omega to omega, but for one change in seven."""
    difficulty = np.tile(rng.random((n_tasks, 1)), len(rates))
    for column in range(1, len(rates)):
        fresh = rng.random(n_tasks) < 0.15
        difficulty[:, column] = np.where(fresh, rng.random(n_tasks), difficulty[:, column - 1])
    return difficulty < rates


def test_holm_by_hand() -> None:
    """Ascending 0.01, 0.02, 0.04 times 3, 2, 1, and never falling; what was not tested counts as no test."""
    np.testing.assert_allclose(holm([0.04, 0.01, np.nan, 0.02]), [0.04, 0.03, np.nan, 0.04])
    np.testing.assert_array_equal(holm([np.nan]), [np.nan])


def test_resamples_draw_as_many_tasks_as_there_are() -> None:
    weights = resamples(7, RNG(0))
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(weights.mean(axis=0), 1 / 7, atol=0.01)


def test_delta_interval_is_that_of_the_differences() -> None:
    """20 fixed and 8 broken of 164: scipy resamples the differences themselves, `delta_interval` the counts."""
    differences = np.repeat([1, -1, 0], [20, 8, 136])
    low, high = delta_interval([20], [8], [164], RNG(0))
    scipys = stats.bootstrap(
        (differences,), np.mean, n_resamples=RESAMPLES, confidence_level=CONFIDENCE, method="percentile", rng=RNG(1)
    ).confidence_interval
    assert scipys == (pytest.approx(low[0], abs=0.007), pytest.approx(high[0], abs=0.007))
    spread = differences.std() / np.sqrt(164)
    assert low[0] == pytest.approx(12 / 164 - 1.96 * spread, abs=0.01)
    assert high[0] == pytest.approx(12 / 164 + 1.96 * spread, abs=0.01)


def test_delta_interval_without_discordant_tasks_is_a_point() -> None:
    low, high = delta_interval([0, 5, 0], [0, 0, 0], [10, 5, 10], RNG(0))
    np.testing.assert_array_equal(low, [0, 1, 0])
    np.testing.assert_array_equal(high, [0, 1, 0])


def test_delta_interval_covers_as_it_claims() -> None:
    fixed, broken, _ = RNG(0).multinomial(164, [0.12, 0.06, 0.82], size=2000).T
    low, high = delta_interval(fixed, broken, np.full(2000, 164), RNG(1))
    assert np.mean((low <= 0.06) & (high >= 0.06)) == pytest.approx(0.95, abs=0.02)


def test_an_omega_that_is_certainly_worse_is_not_the_best() -> None:
    passed = np.arange(100)[:, None] < np.array([50, 90, 90, 20])
    assert list(best_omegas(passed, resamples(100, RNG(0)))) == [False, True, True, False]


@pytest.mark.parametrize("peak", [0.0, 0.1, 0.25])
def test_the_best_omega_is_kept_in_as_many_samples_as_claimed(peak: float) -> None:
    """Flat, the hardest case, keeps each omega in 95% of samples; a peak is kept more often, and excludes others."""
    omegas, rng = np.linspace(0, 1, 9), RNG(0)
    rates = 0.5 + peak * np.exp(-(((omegas - 0.5) / 0.2) ** 2))
    weights = resamples(164, RNG(1))
    kept = np.array([best_omegas(drawn(rates, 164, rng), weights) for _ in range(200)])
    assert kept[:, rates == rates.max()].mean() >= 0.93
    assert kept.mean() < {0.0: 1.0, 0.1: 0.8, 0.25: 0.5}[peak]


def test_steps_that_cannot_be_told_apart_are_pooled() -> None:
    passed = np.arange(200)[:, None] < np.array([100, 101, 150, 149, 151, 60])
    assert pooled_steps(passed) == [(0, 2), (2, 5), (5, 6)]
    assert pooled_steps(np.ones((5, 3))) == [(0, 3)]
    assert pooled_steps(np.ones((5, 1))) == [(0, 1)]


def test_fewer_steps_are_told_apart_by_a_higher_confidence() -> None:
    """Two tasks of 50 are fixed: sqrt(2) / sqrt(1 - 2/50) standard errors. Eight are: sqrt(8) / sqrt(1 - 8/50)."""
    two, eight = (np.arange(50)[:, None] < np.array([20, 20 + fixed]) for fixed in (2, 8))
    for passed, errors in ((two, 1.4434), (eight, 3.0861)):
        beyond = stats.norm.cdf(errors) - stats.norm.cdf(-errors)
        assert len(pooled_steps(passed, beyond - 1e-4)) == 2
        assert len(pooled_steps(passed, beyond + 1e-4)) == 1


@pytest.mark.parametrize(
    ("rates", "falls"), [([1, 2, 3], 0), ([3, 2, 1], 0), ([1, 3, 2], 1), ([3, 1, 2], 0), ([1, 2, 1, 2, 1], 2), ([1], 0)]
)
def test_falls_after_rises_by_hand(rates: list[float], falls: int) -> None:
    assert falls_after_rises(rates) == falls


def falls(passed: NDArray[np.bool_]) -> int:
    return falls_after_rises([passed[:, first:stop].mean() for first, stop in pooled_steps(passed)])


def test_unimodal_curves_seldom_fail_and_two_peaks_are_found() -> None:
    omegas, rng = np.linspace(0, 1, 11), RNG(0)
    one = 0.5 + 0.2 * np.exp(-(((omegas - 0.4) / 0.2) ** 2))
    two = 0.5 + 0.25 * np.isin(np.arange(11), [2, 3, 7, 8])
    assert np.mean([falls(drawn(one, 164, rng)) > 1 for _ in range(60)]) <= 0.05
    assert np.mean([falls(drawn(two, 164, rng)) > 1 for _ in range(30)]) >= 0.9


def measured(
    rng: np.random.Generator, slope: float
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """20 tasks of different lengths and levels, each with a slope of its own."""
    task = np.repeat(np.arange(20), rng.integers(5, 40, size=20))
    position = np.concatenate([np.arange(n) for n in np.bincount(task)]).astype(float)
    slopes, levels = slope + 0.01 * rng.standard_normal(20), rng.random(20)
    return task, position, levels[task] + slopes[task] * position + 0.05 * rng.standard_normal(len(task))


def test_the_common_slope_is_the_regression_with_a_level_for_each_task() -> None:
    task, position, value = measured(RNG(0), -0.02)
    slope, low, high = common_slope(task, position, value, RNG(0))
    levels = (task[:, None] == np.arange(20)).astype(float)
    assert slope == pytest.approx(sm.OLS(value, np.column_stack([position, levels])).fit().params[0])
    assert low < slope < high


def test_the_slope_of_a_line_is_exact_and_one_position_has_none() -> None:
    assert common_slope([0, 0, 1, 1], [0, 1, 5, 7], [3, 1, 0, -4], RNG(0)) == pytest.approx((-2, -2, -2))
    assert np.isnan(common_slope([0, 1], [0, 5], [1, 2], RNG(0))).all()
    assert np.isnan(common_slope([], [], [], RNG(0))).all()


def test_the_slope_covers_as_it_claims() -> None:
    """A percentile bootstrap over 20 tasks is a little short."""
    rng = RNG(0)
    ends = np.array([common_slope(*measured(rng, -0.02), rng)[1:] for _ in range(300)])
    assert np.mean((ends[:, 0] <= -0.02) & (ends[:, 1] >= -0.02)) == pytest.approx(0.93, abs=0.035)
