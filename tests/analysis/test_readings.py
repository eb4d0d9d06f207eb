import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic import curve, outcomes

from spa.analysis import readings
from spa.analysis.readings import monte_carlo_error, pool, tune, tune_against
from spa.statistics import RESAMPLES


def test_a_better_omega_is_chosen_and_measured_on_the_others() -> None:
    """10 tasks, of which plain passes none and omega 0.2 passes the first five: every split chooses 0.2 or 0."""
    cell = curve(outcomes([0, 0, 0.5], 10))
    tuned = tune(cell)
    assert tuned.n_tuning == 2
    chose = tuned.omegas == 0.2
    assert set(tuned.omegas) == {0.0, 0.2}  # 0 where neither tuning task passes at any omega
    assert set(np.round(tuned.deltas[chose] * 8)) == {3, 4}  # one or two of the five are among the tuning tasks
    assert set(tuned.deltas[~chose]) == {0}
    assert chose.mean() == pytest.approx(1 - (5 * 4) / (10 * 9), abs=0.05)
    assert tuned.delta == pytest.approx(tuned.deltas.mean())


def test_of_equally_good_omegas_the_one_closest_to_plain_is_taken() -> None:
    same = np.repeat(outcomes([0.5], 20), 3, axis=1)
    assert set(tune(curve(same, [-0.3, 0.1, 0.2])).omegas) == {0.1}


def test_an_omega_that_always_helps_has_its_gain_and_an_interval() -> None:
    tuned = tune(curve(outcomes([0.2, 0.8], 50)))
    low, high = tuned.interval
    assert tuned.delta == pytest.approx(0.6, abs=0.01)
    assert 0.4 < low < 0.6 < high < 0.8


def test_the_same_cell_has_the_same_numbers_whatever_stands_beside_it() -> None:
    first, again = (tune(curve(outcomes([0.2, 0.4], 30))) for _ in range(2))
    np.testing.assert_array_equal(first.deltas, again.deltas)
    np.testing.assert_array_equal(first.resampled, again.resampled)


def test_the_shares_are_those_of_the_tasks() -> None:
    cell = curve(outcomes([0.2, 0.4], 164))
    assert [tune(cell, share).n_tuning for share in readings.SHARES] == [25, 33]


def test_tuning_against_another_outcome() -> None:
    cell = curve(outcomes([0.2, 0.8], 50))
    assert tune_against(cell, cell.passed[:, 1]).delta == pytest.approx(0, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("gain", [0.0, 0.1, 0.25])
def test_the_tuned_interval_covers_what_the_protocol_gains(gain: float) -> None:
    """What it gains: omega chosen on 33 tasks, used on any number of others. The interval covers in 90% or more."""
    rng, omegas = np.random.default_rng(0), np.linspace(0, 1, 11)
    rates = 0.5 + gain * np.exp(-(((omegas - 0.4) / 0.2) ** 2)) * (omegas > 0)

    def drawn(n_tasks: int) -> np.ndarray:
        difficulty = np.tile(rng.random((n_tasks, 1)), 11)
        for column in range(1, 11):
            fresh = rng.random(n_tasks) < 0.15
            difficulty[:, column] = np.where(fresh, rng.random(n_tasks), difficulty[:, column - 1])
        return difficulty < rates

    truth = np.mean([rates[np.argmax(drawn(33).sum(axis=0))] - rates[0] for _ in range(2000)])
    ends = np.array([tune(curve(drawn(164))).interval for _ in range(100)])
    assert np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])) >= 0.87


def test_the_tuned_interval_is_that_of_single_splits() -> None:
    """The protocol written out for each resample: its spread is that of `resampled`, and so is its centre."""
    cell, rng = curve(outcomes([0.2, 0.5, 0.4], 30)), np.random.default_rng(1)
    found = []
    for _ in range(1500):
        drawn = rng.integers(30, size=30)
        tuning = rng.permutation(30)[:6]
        is_tuning = np.isin(drawn, tuning)
        passed = cell.passed[drawn]
        omega = np.argmax(passed[is_tuning].sum(axis=0))
        held_out = passed[~is_tuning]
        found.append((held_out[:, omega].mean() - held_out[:, 0].mean()) if len(held_out) else 0)
    resampled = tune(cell).resampled
    assert len(resampled) == RESAMPLES
    assert resampled.mean() == pytest.approx(np.mean(found), abs=0.01)
    assert resampled.std() < np.std(found)  # 25 splits of each


def test_what_more_resamples_would_change() -> None:
    """Of a normal statistic 6% of its standard error: sqrt(0.025 * 0.975 / 2000) over the density at 1.96."""
    errors = [monte_carlo_error(np.random.default_rng(seed).normal(size=RESAMPLES)) for seed in range(20)]
    assert np.mean(errors) == pytest.approx(np.sqrt(0.025 * 0.975 / RESAMPLES) / stats.norm.pdf(1.96), rel=0.15)
    ends = [np.quantile(np.random.default_rng(seed).normal(size=RESAMPLES), 0.025) for seed in range(400)]
    assert np.std(ends) == pytest.approx(0.06, rel=0.15)


def test_the_p_value_is_that_of_the_standard_error() -> None:
    tuned = tune(curve(outcomes([0.2, 0.3], 50)))
    assert tuned.p_value == pytest.approx(2 * stats.norm.sf(tuned.delta / tuned.resampled.std()))
    assert tune(curve(outcomes([0.2, 0.2], 50))).p_value == 1


def test_pooled_cells_of_the_same_tasks_move_together() -> None:
    """Two equal cells are as certain as one; one of other tasks makes the mean more certain."""
    cell, twin = (curve(outcomes([0.2, 0.5], 50), model=model) for model in ("A", "B"))
    other = curve(outcomes([0.2, 0.5], 50), benchmark="mbpp")
    delta, low, high = pool([cell, twin])
    assert (delta, low, high) == pytest.approx((tune(cell).delta, *tune(cell).interval))
    _, apart_low, apart_high = pool([cell, other])
    assert (apart_high - apart_low) / (high - low) == pytest.approx(1 / np.sqrt(2), rel=0.1)
    assert np.isnan(pool([])).all()


def test_pooled_cells_are_read_on_their_common_tasks() -> None:
    cell = curve(outcomes([0.2, 0.5], 50))
    part = cell.of(cell.task_ids[:20])
    assert pool([cell, part]) == pytest.approx(pool([part]))
    assert np.isnan(pool([cell.of(cell.task_ids[:9]), cell.of(cell.task_ids[10:])])).all()


def test_a_curve_that_is_flat_on_its_tasks_reads_negative() -> None:
    """Each omega fixes as many tasks as it breaks; over samples of tasks whose truth is flat the mean is 0."""
    rng = np.random.default_rng(0)
    flat = np.zeros((60, 4), dtype=bool)
    for omega in range(4):
        flat[rng.permutation(60)[:30], omega] = True
    assert tune(curve(flat)).delta < -0.01
    samples = [tune(curve(rng.random((60, 4)) < 0.5)).delta for _ in range(100)]
    assert np.mean(samples) == pytest.approx(0, abs=2.5 * np.std(samples) / 10)


def test_fixed_omegas_by_hand() -> None:
    """Omega 0.1 fixes two of ten tasks, omega 0.2 breaks one, and 0.3 was not tried."""
    (row,) = readings.fixed_rows([curve(outcomes([0.5, 0.7, 0.4], 10)), curve(outcomes([0.5], 10))]).to_dict("records")
    assert (row["at_0.1"], row["at_0.2"]) == pytest.approx((0.2, -0.1))
    assert row["at_0.1_low"] <= 0.2 <= row["at_0.1_high"]
    assert np.isnan([row["at_0.3"], row["at_0.3_low"], row["at_0.3_high"]]).all()
    assert row["tuned"] == tune(curve(outcomes([0.5, 0.7, 0.4], 10))).delta


def test_tuned_rows() -> None:
    cells = [curve(outcomes([0.2, 0.8], 50)), curve(outcomes([0.2], 50), model="Plain only")]
    rows = readings.tuned_rows(cells)
    assert list(rows["share"]) == [0.15, 0.2]
    assert list(rows["n_tuning"]) == [8, 10]
    assert set(rows["model"]) == {"Tiny 1M"}
    row = rows.iloc[1]
    assert row["spa_pass_at_1"] - row["plain_pass_at_1"] == pytest.approx(row["delta"])
    assert row["delta_low"] < row["delta"] < row["delta_high"]
    assert row["split_p5"] <= row["split_p50"] <= row["split_p95"]


def test_every_task_by_hand() -> None:
    """Omega 0.1 fixes two of ten tasks, omega 0.2 breaks one: exact p-values 0.5 and 1."""
    passed = outcomes([0.5, 0.7, 0.4], 10)
    rows = readings.every_task_rows([curve(passed)])
    assert list(rows["omega"]) == [0.1, 0.2]
    assert list(rows["fixed"]) == [2, 0]
    assert list(rows["broken"]) == [0, 1]
    assert list(rows["delta"]) == pytest.approx([0.2, -0.1])
    assert list(rows["p_value"]) == pytest.approx([0.5, 1])
    assert list(rows["p_holm"]) == pytest.approx([1, 1])
    assert ((rows["delta_low"] <= rows["delta"]) & (rows["delta"] <= rows["delta_high"])).all()


def test_triggered_by_hand() -> None:
    """Plain passes A and B; SPA passes B and C; the visible tests pass for A and D."""
    cell = curve([[1, 0], [1, 1], [0, 1], [0, 0]], visible=[1, 0, 0, 1])
    hidden, visible = (rows for _, rows in readings.triggered_rows([cell]).groupby("trigger"))
    assert hidden[["spa_pass_at_1", "fixed", "broken", "n_triggered"]].to_numpy().tolist() == [[0.75, 1, 0, 2]]
    assert visible[["spa_pass_at_1", "fixed", "broken", "n_triggered"]].to_numpy().tolist() == [[0.75, 1, 0, 2]]
    blind = curve([[1, 0], [1, 1], [0, 1], [0, 0]], visible=[0, 0, 1, 1])
    rows = readings.triggered_rows([blind])
    assert rows.set_index("trigger").loc["visible", ["fixed", "broken"]].tolist() == [0, 1]
    assert not {"p_value", "p_holm"} & set(rows), "chance alone fixes more here than it breaks"


def test_without_visible_verdicts_only_the_upper_bound_is_there() -> None:
    rows = readings.triggered_rows([curve([[1, 0], [0, 1]], visible=[1, np.nan])])
    assert list(rows["trigger"]) == ["hidden"]


def test_transfer_by_hand() -> None:
    """Omega 0.1 is best on HumanEval, 0.2 on MBPP: each is used on the other, and on the other model."""
    a = curve(outcomes([0.2, 0.8, 0.4], 10))
    b = curve(outcomes([0.2, 0.3, 0.6], 10), benchmark="mbpp")
    c = curve(outcomes([0.5, 0.1, 0.1], 10), model="Other")
    d = curve(outcomes([0.5, 0.1, 0.1], 10), benchmark="humaneval_plus")
    rows = readings.transfer_rows([a, b, c, d])
    found = {
        (row.source_model, row.source_benchmark, row.model, row.benchmark): (row.omega, row.delta)
        for row in rows.itertuples()
    }
    assert found == {
        ("Tiny 1M", "humaneval", "Tiny 1M", "mbpp"): (0.1, pytest.approx(0.1)),
        ("Tiny 1M", "mbpp", "Tiny 1M", "humaneval"): (0.2, pytest.approx(0.2)),
        ("Tiny 1M", "humaneval", "Other", "humaneval"): (0.1, pytest.approx(-0.4)),
        ("Other", "humaneval", "Tiny 1M", "humaneval"): (0.0, 0.0),
    }


def test_transfer_needs_the_omega_there() -> None:
    a = curve(outcomes([0.2, 0.8], 10), [0, 0.1])
    b = curve(outcomes([0.2, 0.8], 10), [0, 0.15], benchmark="mbpp")
    assert readings.transfer_rows([a, b]).empty


def test_no_cell_gives_no_rows() -> None:
    for rows in (readings.tuned_rows, readings.fixed_rows, readings.every_task_rows, readings.triggered_rows):
        pd.testing.assert_frame_equal(rows([]), pd.DataFrame())
