import numpy as np
import pytest
from scipy import stats
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar

from spa.statistics import interval_of_ratio, mcnemar_exact, mean_band, smallest_gain, wilson


def test_wilson_by_hand() -> None:
    """Centre (p + z²/2n) / (1 + z²/n), half width z sqrt(p(1-p)/n + z²/4n²) / (1 + z²/n), at p = 1/2 and n = 4."""
    z2 = 1.959963984540054**2
    half = np.sqrt(z2 * (0.25 / 4 + z2 / 64)) / (1 + z2 / 4)
    low, high = wilson([2], [4])
    assert low == pytest.approx([0.5 - half])
    assert high == pytest.approx([0.5 + half])
    assert (low[0], high[0]) == (pytest.approx(0.1500, abs=5e-5), pytest.approx(0.8500, abs=5e-5))


def test_wilson_stays_inside_the_unit_interval() -> None:
    low, high = wilson([0, 164], [164, 164])
    assert low[0] == 0
    assert high[1] == pytest.approx(1)
    assert high[1] <= 1
    assert 0 < high[0] < 0.05 < 0.95 < low[1] < 1


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_wilson_covers_as_it_claims(rate: float) -> None:
    passed = np.random.default_rng(0).binomial(164, rate, size=20_000)
    low, high = wilson(passed, np.full(20_000, 164))
    assert np.mean((low <= rate) & (rate <= high)) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
    ("fixed", "broken", "p_value"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 2 / 32), (0, 6, 2 / 64), (4, 1, 2 * (1 + 5) / 32), (3, 3, 1.0)],
)
def test_mcnemar_by_hand(fixed: int, broken: int, p_value: float) -> None:
    assert mcnemar_exact([fixed], [broken]) == pytest.approx([p_value])


def test_mcnemar_is_the_binomial_test_and_statsmodels() -> None:
    fixed, broken = (counts.ravel() for counts in np.meshgrid(np.arange(12), np.arange(12)))
    for f, b, p_value in zip(fixed, broken, mcnemar_exact(fixed, broken), strict=True):
        assert p_value == pytest.approx(binomtest(int(f), int(f + b)).pvalue if f + b else 1)
        assert p_value == pytest.approx(mcnemar([[7, b], [f, 3]], exact=True).pvalue)


@pytest.mark.parametrize(("n_tasks", "changed"), [(164, 0.1), (378, 0.2)])
def test_the_smallest_gain_shows_in_four_of_five_samples(n_tasks: int, changed: float) -> None:
    gain = smallest_gain(n_tasks, changed)
    shares = [(changed + gain) / 2, (changed - gain) / 2, 1 - changed]
    fixed, broken, _ = np.random.default_rng(0).multinomial(n_tasks, shares, size=20_000).T
    assert np.mean((mcnemar_exact(fixed, broken) <= 0.05) & (fixed > broken)) == pytest.approx(0.8, abs=0.01)


def test_too_few_changes_show_nothing() -> None:
    """Of two fixed tasks of 10 the exact p-value is 1/2."""
    assert np.isnan(smallest_gain(10, 0.2))


def test_the_interval_of_a_ratio_is_that_of_its_logarithm() -> None:
    rounds = [1.39, 1.54, 1.42, 1.45]
    scipys = stats.ttest_1samp(np.log(rounds), 0).confidence_interval(0.95)
    assert interval_of_ratio(rounds) == pytest.approx(np.exp([scipys.low, scipys.high]))
    assert np.isnan(interval_of_ratio([1.4])).all()
    assert interval_of_ratio([2, 2, 2]) == pytest.approx((2, 2))


def test_mean_band_counts_the_tasks_that_have_a_value() -> None:
    mean, low, high = mean_band([[1.0, 2.0, np.nan], [3.0, np.nan, np.nan]], np.random.default_rng(0))
    np.testing.assert_allclose(mean, [2, 2, np.nan])
    np.testing.assert_allclose(low, [1, 2, np.nan])
    np.testing.assert_allclose(high, [3, 2, np.nan])


def test_mean_band_covers_the_mean_as_often_as_it_says() -> None:
    """300 samples of 60 normal values each; 95% by a bootstrap of 60 is a little less."""
    rng = np.random.default_rng(1)
    bands = [mean_band(rng.normal(size=(60, 1)), rng) for _ in range(300)]
    covered = np.mean([low[0] <= 0 <= high[0] for _, low, high in bands])
    assert 0.90 <= covered <= 0.98
