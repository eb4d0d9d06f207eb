"""Three readings of "SPA improves Pass@1", kept apart.

    every task      SPA on every task, at a given omega
    tuned           omega chosen on a share of the tasks, or on another cell, and used on the others
    test-triggered  plain where it passes some tests, SPA on the other tasks: the hidden tests, which is an upper bound
                    that no user can reach, or those that stand in the prompt

Letters: T tasks, G omegas of a curve's grid, S splits, B bootstrap resamples. Each cell starts from the same seed: the
cells of some tasks have the same splits and resamples, and another cell in the folder changes no number of this one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spa.analysis.curves import Bools, Curve, Floats
from spa.statistics import CONFIDENCE, delta_interval, holm, mcnemar_exact, resamples

SPLITS = 1000
SHARES = (0.15, 0.2)  # of the tasks, to choose omega on: the paper's readers differ
SHARE = 0.2  # the one by which claims are judged
RESAMPLES, SPLITS_OF_RESAMPLE = 400, 25
_SEED = 0


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


def seeded() -> np.random.Generator:
    """A fresh generator, the same for every cell."""
    return np.random.default_rng(_SEED)


def percentiles(resampled: Floats) -> tuple[float, float]:
    """The 95% bootstrap interval of a statistic, from its values over resamples."""
    low, high = np.quantile(resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


@lru_cache(maxsize=1024)  # tables, figures and claims ask for the same ones
def tune(curve: Curve, share: float = SHARE) -> Tuned:
    """Choose omega on a random share of the tasks and measure it on the others, in 1,000 splits.

    Of the grid's omegas that pass most tuning tasks, the one closest to 0 is taken. The interval repeats the protocol
    on resamples of the tasks, whose copies of a task stay on one side of a split. Needs two tasks.
    """
    return tune_against(curve, curve.plain, share)


def tune_against(curve: Curve, reference: Bools, share: float = SHARE) -> Tuned:
    """As `tune`, but the gain is over the outcomes `reference` (T,), such as another model's."""
    rng, n_tasks = seeded(), curve.n_tasks
    n_tuning = min(max(1, round(share * n_tasks)), n_tasks - 1)
    order = np.argsort(np.abs(curve.grid), kind="stable")
    outcomes = curve.on_grid[:, order].astype(np.float32)
    gains = outcomes - reference[:, None].astype(np.float32)

    def measure(weights: NDArray[np.float32], n_splits: int) -> tuple[NDArray[np.intp], Floats]:
        """The choices (B * S,) and held-out gains (B, S) of splits of tasks that count `weights` (B, T)."""
        is_tuning = np.tile(np.arange(n_tasks) < n_tuning, (len(weights) * n_splits, 1))
        tuning = rng.permuted(is_tuning, axis=1) * np.repeat(weights, n_splits, axis=0)
        chosen = np.argmax(tuning @ outcomes, axis=1)
        gained = np.repeat(weights @ gains, n_splits, axis=0) - tuning @ gains
        n_held_out = np.repeat(weights.sum(axis=1), n_splits) - tuning.sum(axis=1)
        deltas = gained[np.arange(len(chosen)), chosen] / np.maximum(n_held_out, 1)
        return chosen, deltas.reshape(len(weights), n_splits).astype(float)

    chosen, deltas = measure(np.ones((1, n_tasks), dtype=np.float32), SPLITS)
    drawn = np.rint(resamples(n_tasks, rng, RESAMPLES) * n_tasks)
    resampled = measure(drawn, SPLITS_OF_RESAMPLE)[1].mean(axis=1)
    return Tuned(n_tuning, curve.grid[order][chosen], deltas[0], resampled)


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
                    **_spread("split", tuned.deltas),
                    **_spread("omega", tuned.omegas),
                    "keys": " ".join(curve.keys),
                }
            )
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
