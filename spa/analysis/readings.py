"""Three readings of "SPA improves Pass@1", kept apart.

    every task      SPA on every task, at a given omega
    tuned           omega chosen on a share of the tasks, or on another cell, and used on the others
    test-triggered  plain where it passes some tests, SPA on the other tasks: the hidden tests, which is an upper bound
                    that no user can reach, or those that stand in the prompt

Letters: T tasks, G omegas of a curve's grid, S splits, B bootstrap resamples. Each cell starts from the same seed: the
cells of some tasks have the same splits and resamples, and another cell in the folder changes no number of this one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from spa.analysis.curves import Bools, Curve, Floats, on_common_tasks
from spa.statistics import CONFIDENCE, delta_interval, holm, mcnemar_exact, resamples

SPLITS = 1000
SHARES = (0.15, 0.2)  # of the tasks, to choose omega on: the paper's readers differ
SHARE = 0.2  # the one by which claims are judged
SPLITS_OF_RESAMPLE = 25
FIXED = (0.1, 0.2, 0.3)  # omegas at which every task is beside the tuned reading
_SEED = 0
_ROWS = 5000  # splits that are multiplied at a time


@dataclass(frozen=True, eq=False)
class Tuned:
    """The tuned reading of one cell, over S random splits of its tasks."""

    n_tuning: int  # tasks on which omega is chosen
    omegas: Floats  # (S,) chosen
    deltas: Floats  # (S,) SPA - plain on the tasks that omega was not chosen on
    resampled: Floats  # (B,) the mean of such deltas in each bootstrap resample of the tasks

    @property
    def delta(self) -> float:
        return float(self.deltas.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of `delta`: other tasks, another choice of omega."""
        return percentiles(self.resampled)

    @property
    def p_value(self) -> float:
        """Two-sided, of no gain, by the bootstrap's standard error: its percentiles cannot tell small ones apart."""
        error = float(self.resampled.std())
        return float(2 * stats.norm.sf(abs(self.delta) / error)) if error else 1.0


def seeded() -> np.random.Generator:
    """A fresh generator, the same for every cell."""
    return np.random.default_rng(_SEED)


def percentiles(resampled: Floats) -> tuple[float, float]:
    """The 95% bootstrap interval of a statistic, from its values over resamples."""
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def monte_carlo_error(resampled: Floats) -> float:
    """The standard error of an end of `percentiles`, the less certain one, for want of resamples (Maritz-Jarrett)."""
    return float(stats.mstats.mjci(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).max())


@lru_cache(maxsize=4)
def task_weights(n_tasks: int) -> NDArray[np.float32]:
    """The resamples (B, T) of any cell of so many tasks."""
    return resamples(n_tasks, seeded())


@lru_cache(maxsize=1024)  # tables, figures and claims ask for the same ones
def tune(curve: Curve, share: float = SHARE) -> Tuned:
    """Choose omega on a random share of the tasks and measure it on the others, in 1,000 splits.

    Of the grid's omegas that pass most tuning tasks, the one closest to 0 is taken. The interval repeats the protocol
    on resamples of the tasks, whose copies of a task stay on one side of a split. Needs two tasks.
    """
    return tune_against(curve, curve.plain, share)


def tune_against(curve: Curve, reference: Bools, share: float = SHARE) -> Tuned:
    """As `tune`, but the gain is over the outcomes `reference` (T,), such as another model's."""
    n_tasks = curve.n_tasks
    n_tuning = min(max(1, round(share * n_tasks)), n_tasks - 1)
    order = np.argsort(np.abs(curve.grid), kind="stable")
    ones = np.ones(n_tasks)
    outcomes = np.column_stack([curve.on_grid[:, order], reference, ones]).astype(np.float32)  # (T, G + 2)

    def measure(tuning: NDArray[np.uint8], counts: NDArray[np.float32]) -> tuple[NDArray[np.intp], Floats]:
        """The choices (S,) and held-out gains (S,) of splits `tuning` (S, T) of tasks drawn so often, (., T)."""
        parts = (tuning[at : at + _ROWS].astype(np.float32) for at in range(0, len(tuning), _ROWS))
        passed = np.concatenate([part @ outcomes for part in parts])
        chosen = np.argmax(passed[:, :-2], axis=1)
        held_out = np.repeat(counts @ outcomes, len(tuning) // len(counts), axis=0) - passed
        gained = held_out[np.arange(len(tuning)), chosen] - held_out[:, -2]
        return chosen, gained / np.maximum(held_out[:, -1], 1).astype(float)

    tuning, tuning_of_resamples = _splits(n_tasks, n_tuning)
    chosen, deltas = measure(tuning, ones[None].astype(np.float32))
    resampled = measure(tuning_of_resamples, np.rint(task_weights(n_tasks) * n_tasks))[1]
    return Tuned(n_tuning, curve.grid[order][chosen], deltas, resampled.reshape(-1, SPLITS_OF_RESAMPLE).mean(axis=1))


@lru_cache(maxsize=4)
def _splits(n_tasks: int, n_tuning: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """How often splits have each task on the tuning side: of the tasks (S, T), and of their resamples (B * S', T)."""
    (rng,) = seeded().spawn(1)
    counts = np.rint(task_weights(n_tasks) * n_tasks).astype(np.uint8)

    def draw(n_splits: int) -> NDArray[np.uint8]:
        return rng.permuted(np.tile((np.arange(n_tasks) < n_tuning).astype(np.uint8), (n_splits, 1)), axis=1)

    return draw(SPLITS), draw(len(counts) * SPLITS_OF_RESAMPLE) * np.repeat(counts, SPLITS_OF_RESAMPLE, axis=0)


def pool(curves: Sequence[Curve]) -> tuple[float, float, float]:
    """The mean tuned gain of several cells, each counting once, with its interval; NaN where there is none.

    The cells of one family are read on the tasks that all of them have, which a resample draws alike for all; those
    of another family are drawn apart.
    """
    families: dict[str, list[Curve]] = {}
    for curve in curves:
        families.setdefault(curve.family, []).append(curve)
    common = [on_common_tasks(family) for family in families.values()]
    if not common or min(family[0].n_tasks for family in common) < 2:
        return float("nan"), float("nan"), float("nan")
    tuned = [[tune(curve) for curve in family] for family in common]
    # A roll keeps cells of equally many tasks, which have the same draws, from moving together.
    resampled = sum(np.roll(each.resampled, place) for place, family in enumerate(tuned) for each in family)
    delta = sum(each.delta for family in tuned for each in family) / len(curves)
    return (delta, *percentiles(np.asarray(resampled) / len(curves)))


def tuned_rows(curves: Iterable[Curve]) -> pd.DataFrame:
    """A row for each cell with omegas and each share: the tuned reading, and the spread of its splits."""
    rows = []
    for curve in curves:
        for share in SHARES if curve.has_omegas and curve.n_tasks > 1 else ():
            tuned, plain = tune(curve, share), float(curve.plain.mean())
            low, high = tuned.interval
            rows.append(
                {
                    **curve.settings,
                    "share": share,
                    "n_tuning": tuned.n_tuning,
                    "n_tasks": curve.n_tasks,
                    "plain_pass_at_1": plain,
                    "spa_pass_at_1": plain + tuned.delta,
                    "delta": tuned.delta,
                    "delta_low": low,
                    "delta_high": high,
                    "monte_carlo_error": monte_carlo_error(tuned.resampled),
                    **_spread("split", tuned.deltas),
                    **_spread("omega", tuned.omegas),
                    "keys": " ".join(curve.keys),
                }
            )
    return pd.DataFrame(rows)


def fixed_rows(curves: Iterable[Curve]) -> pd.DataFrame:
    """A row for each cell with omegas: the tuned gain, and beside it that of every task at each omega of FIXED.

    The columns of an omega that the cell has not tried are NaN.
    """
    rows: list[dict[str, float | int | str]] = []
    for curve in curves:
        if not curve.has_omegas or curve.n_tasks < 2:
            continue
        tuned = tune(curve)
        gains: dict[str, tuple[float, ...]] = {"tuned": (tuned.delta, *tuned.interval)}
        for omega in FIXED:
            column, gains[f"at_{omega}"] = curve.column(omega), (np.nan,) * 3
            if column is not None:
                compared = against_plain(curve, curve.passed[:, column])
                gains[f"at_{omega}"] = tuple(float(compared[name]) for name in ("delta", "delta_low", "delta_high"))
        row: dict[str, float | int | str] = {**curve.settings, "n_tasks": curve.n_tasks}
        for name, ends in gains.items():
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), ends, strict=True))
        rows.append(row | {"keys": " ".join(curve.keys)})
    return pd.DataFrame(rows)


def transfer_rows(curves: Iterable[Curve]) -> pd.DataFrame:
    """Omega tuned on all tasks of one cell and used on all of another: a row for each such pair.

    The two differ in the model or in the family of benchmarks, not in both, and in no other setting that is ours to
    choose. A pair is left out where the target lacks the omega. The p-values are adjusted over all pairs.
    """
    curves = [curve for curve in curves if curve.has_omegas]
    rows: list[dict[str, float | int | str]] = []
    for source in curves:
        order = np.argsort(np.abs(source.grid), kind="stable")
        omega = float(source.grid[order][np.argmax(source.on_grid[:, order].sum(axis=0))])
        for target in curves:
            column = target.column(omega) if _transferable(source, target) else None
            if column is not None:
                tuned_on = {"source_model": source.model, "source_benchmark": source.benchmark}
                compared = against_plain(target, target.passed[:, column])
                rows.append({**target.settings, **tuned_on, "omega": omega, **compared})
    return _tested(rows)


def every_task_rows(curves: Iterable[Curve]) -> pd.DataFrame:
    """SPA on every task: a row for each cell and omega of its grid beside 0. The p-values are adjusted over all."""
    return _tested(
        {**curve.settings, "omega": omega, **against_plain(curve, curve.on_grid[:, column])}
        for curve in curves
        for column, omega in enumerate(curve.grid)
        if omega != 0
    )


def triggered_rows(curves: Iterable[Curve]) -> pd.DataFrame:
    """SPA only where the plain solution fails the trigger's tests: a row for each cell, trigger and omega beside 0.

    A task without visible tests keeps its plain solution. A cell whose visible tests were not run has no such row. No
    row has a p-value: a second text of any kind gains by such a rule, so chance alone fixes more than it breaks.
    """
    rows = []
    for curve in curves:
        kept_by = {"hidden": curve.plain, "visible": curve.visible == 1}
        if np.isnan(curve.visible).any():
            del kept_by["visible"]
        for trigger, kept in kept_by.items():
            for column, omega in enumerate(curve.grid):
                if omega != 0:
                    outcome = np.where(kept, curve.plain, curve.on_grid[:, column])
                    triggered = {"trigger": trigger, "omega": omega, "n_triggered": int((~kept).sum())}
                    rows.append({**curve.settings, **triggered, **against_plain(curve, outcome)})
    return pd.DataFrame(rows)


def against_plain(curve: Curve, outcome: Bools) -> dict[str, float | int | str]:
    """One outcome for each task (T,) beside plain decoding."""
    fixed, broken = int((outcome & ~curve.plain).sum()), int((~outcome & curve.plain).sum())
    low, high = delta_interval([fixed], [broken], [curve.n_tasks], seeded())
    return {
        "n_tasks": curve.n_tasks,
        "plain_pass_at_1": float(curve.plain.mean()),
        "spa_pass_at_1": float(outcome.mean()),
        "delta": (fixed - broken) / curve.n_tasks,
        "delta_low": float(low[0]),
        "delta_high": float(high[0]),
        "fixed": fixed,
        "broken": broken,
        "keys": " ".join(curve.keys),
    }


def _tested(rows: Iterable[dict[str, float | int | str]]) -> pd.DataFrame:
    """With the exact p-value of each row's comparison, and that adjusted over all rows."""
    table = pd.DataFrame(list(rows))
    if len(table):
        place = list(table.columns).index("broken") + 1
        table.insert(place, "p_value", mcnemar_exact(table["fixed"], table["broken"]))
        table.insert(place + 1, "p_holm", holm(table["p_value"]))
    return table


def _spread(name: str, values: Floats) -> dict[str, float]:
    return {f"{name}_p{p}": float(np.quantile(values, p / 100)) for p in (5, 25, 50, 75, 95)}


def _transferable(source: Curve, target: Curve) -> bool:
    same_model, same_family = source.model == target.model, source.family == target.family
    alike = all(source.settings[name] == target.settings[name] for name in ("anchor", "mask", "method", "profile"))
    plus = source.benchmark.endswith("_plus") == target.benchmark.endswith("_plus")
    return alike and plus and same_model != same_family
