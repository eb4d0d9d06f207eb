import pytest
from synthetic import curve, outcomes

from spa.analysis.optimum import optimum_rows


def test_the_optimum_of_a_curve() -> None:
    (row,) = optimum_rows([curve(outcomes([0.2, 0.5, 0.9, 0.9, 0.3], 40))]).itertuples()
    assert (row.best_lo, row.kept_lo, row.kept_hi, row.tried_hi) == pytest.approx((0.2, 0.2, 0.3, 0.4))
    assert (row.highest_pass_at_1, row.steps, row.falls_after_rises) == (0.9, 4, 1)
