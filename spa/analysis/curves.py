"""Cells as matrices: which task passes at which omega, and which passes with plain decoding.

Letters: T tasks, P omegas or parts of an interval in ascending order.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spa.analysis.aggregate import Reading, outcomes
from spa.omega import holds
from spa.records import READING, SETTINGS

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

# Reading -> task_id -> whether the plain solution passes the visible tests.
Visible = Mapping[Reading, Mapping[str, bool]]

SAMPLED = 21  # evenly spaced omegas: 0.05 apart in an interval of length 1


@dataclass(frozen=True, eq=False)
class Curve:
    """One cell: the verdicts of the tasks that have one at every omega and at omega 0.

    The cell's runs are one interval's, or those of single omegas together.
    """

    settings: dict[str, str]  # by the names of SETTINGS
    keys: tuple[str, ...]  # of the runs, and of the one that holds omega 0
    lo: Floats  # (P,)
    hi: Floats  # (P,), equal to lo for single omegas
    passed: Bools  # (T, P)
    plain: Bools  # (T,)
    visible: Floats  # (T,): 1 where the plain solution passes its visible tests, 0 where not, NaN where nobody tried
    as_long: Bools  # (T,): whether as many tokens are anchored as its anchor asks for (anchor=random)
    task_ids: pd.Index
    plain_identity: str = ""  # equal where the plain texts must be: `aggregate.BASELINE` says what else is

    @property
    def model(self) -> str:
        return self.settings["model"]

    @property
    def benchmark(self) -> str:
        return self.settings["benchmark"]

    @property
    def anchor(self) -> str:
        return self.settings["anchor"]

    @property
    def family(self) -> str:
        return self.benchmark.removesuffix("_plus")

    @property
    def n_tasks(self) -> int:
        return len(self.task_ids)

    @property
    def has_omegas(self) -> bool:
        """Whether there is a curve: some omega beside 0."""
        return bool(((self.lo != 0) | (self.hi != 0)).any())

    @cached_property
    def grid(self) -> Floats:
        """(G,): all single omegas; of an interval, those of SAMPLED evenly spaced ones that some part holds."""
        if (self.lo == self.hi).all():
            return self.lo
        omegas = np.linspace(self.lo[0], self.hi[-1], SAMPLED)
        return omegas[[self.column(omega) is not None for omega in omegas]]

    @cached_property
    def on_grid(self) -> Bools:
        """(T, G): `passed` at the grid's omegas."""
        held = (self.column(omega) for omega in self.grid)
        return self.passed[:, [column for column in held if column is not None]]

    def column(self, omega: float) -> int | None:
        """The column that holds an omega; None where none does."""
        columns = np.flatnonzero(holds(self.lo, self.hi, omega, self.hi[-1]))
        return int(columns[0]) if len(columns) else None

    def of(self, task_ids: pd.Index) -> "Curve":
        """The curve of these of its tasks, in this order."""
        if task_ids.equals(self.task_ids):
            return self
        rows = self.task_ids.get_indexer(task_ids)
        own = {name: getattr(self, name)[rows] for name in ("passed", "plain", "visible", "as_long")}
        return replace(self, task_ids=task_ids, **own)


def curves(tasks: pd.DataFrame, visible: Visible) -> list[Curve]:
    """The cells of `aggregate.tasks` that have a plain run to compare with and tasks in common with it, by settings."""
    paired = tasks[tasks["plain"].notna()]
    cells: dict[tuple[Any, ...], list[pd.DataFrame]] = {}
    for _, run in paired.groupby([*READING, "benchmark"], observed=True):
        cells.setdefault(tuple(run[[*SETTINGS, "plain_identity"]].iloc[0]), []).append(run)
    found = (_curve(_chosen(cells[names]), visible) for names in sorted(cells, key=_by_size))
    return [curve for curve in found if curve is not None]


def on_common_tasks(curves: Sequence[Curve]) -> list[Curve]:
    """The curves, each of the tasks that all of them have, in the first one's order."""
    common = curves[0].task_ids
    for curve in curves[1:]:
        common = common.intersection(curve.task_ids)
    return [curve.of(common) for curve in curves]


def _by_size(names: tuple[str, ...]) -> list[list[tuple[float, str]]]:
    """Sorts 6.7B before 33B: numbers by value, other text as text."""
    parts = [re.findall(r"(\d+(?:\.\d+)?)|(\D+)", name) for name in names]
    return [[(float(number or "inf"), text) for number, text in name] for name in parts]


def _curve(run: pd.DataFrame, visible: Visible) -> Curve | None:
    lo, hi, counted, passed, of_task = outcomes(run)
    whole = counted.all(axis=1)
    if not whole.any():
        return None
    first, passed = run.iloc[of_task[whole]], passed[whole]
    if (lo < hi).any():  # parts that only tasks left out told apart
        begins = np.flatnonzero(np.append(True, (passed[:, 1:] != passed[:, :-1]).any(axis=0) | (lo[1:] != hi[:-1])))
        lo, hi, passed = lo[begins], hi[np.append(begins[1:], len(hi)) - 1], passed[:, begins]
    names = zip(*(first[name] for name in ("plain_key", "extraction", "task_id")), strict=True)
    tried = [visible.get((key, extraction), {}).get(task) for key, extraction, task in names]
    return Curve(
        settings={name: str(first[name].iloc[0]) for name in SETTINGS},
        keys=tuple(sorted({*run["key"], *first["plain_key"]})),
        lo=lo,
        hi=hi,
        passed=passed,
        plain=first["plain"].to_numpy(dtype=bool),
        visible=np.array([np.nan if passes is None else float(passes) for passes in tried]),
        as_long=first["as_long"].to_numpy(dtype=bool),
        task_ids=pd.Index(first["task_id"].astype(str)),
        plain_identity=str(first["plain_identity"].iloc[0]),
    )


def _chosen(runs: list[pd.DataFrame]) -> pd.DataFrame:
    """The interval of most tasks and then of most omegas; where there is none, all single omegas, once each."""

    def rank(run: pd.DataFrame) -> tuple[int, float]:
        return run["task_id"].nunique(), run["omega_hi"].max() - run["omega_lo"].min()

    intervals = [run for run in runs if (run["omega_lo"] < run["omega_hi"]).any()]
    if intervals:
        return max(intervals, key=rank)
    return pd.concat(runs).drop_duplicates(["task_id", "omega_lo"])
