"""Run folders -> one tidy table.

`load` reads a folder's runs into cells, `tasks` gives one row for each verdict, `summary` one row for each Pass@1.
Only samples that are finished and scored count: an unscored line, or a part of an interval that was given up
(finish_reason "budget"), enters no rate.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spa.errors import SpaError
from spa.statistics import mcnemar_exact, wilson
from spa.store import Results, Run, solution_sha

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

SETTINGS = ["model", "benchmark", "anchor", "mask", "profile", "template", "dtype", "quantization"]
IDENTITY = ["experiment", "key", *SETTINGS]
SUMMARY = [
    *IDENTITY,
    *["omega_lo", "omega_hi", "n_tasks", "n_anchored", "n_passed", "pass_at_1", "ci_low", "ci_high"],
    *["baseline_pass_at_1", "delta", "fixed", "broken", "p_value"],
]
# Omega 0 never reads the masked prompt: what is plain for one anchor and mask is plain for all.
BASELINE = ["model", "benchmark", "profile", "template", "dtype", "quantization", "plain_identity"]

_VERDICT = ["task_id", "solution_sha", "base_status", "plus_status"]
_SAMPLE = ["task_id", "solution_sha", "omega_lo", "omega_hi", "anchored", "given_up"]
_TASKS = [*IDENTITY, "plain_identity", "task_id", "omega_lo", "omega_hi", "anchored", "passed"]


@dataclass(frozen=True)
class Cell:
    """One run folder in memory.

    `lines` has a row for each line of samples.jsonl: task_id, omega_lo, omega_hi, anchored, given_up, and the verdicts
    base_status and plus_status, which are missing where the line is not scored; base_status is "suspect" where evalplus
    passes what a second look does not.
    """

    run: Run
    manifest: dict[str, Any]
    lines: pd.DataFrame

    def field(self, name: str) -> Any:
        """A field of the manifest that every run has; SpaError where this one lacks it."""
        if name not in self.manifest:
            raise SpaError(
                f"{self.run.manifest_path} has no field '{name}'; run its cell again to restore the manifest"
            )
        return self.manifest[name]

    @property
    def experiment(self) -> str:
        return self.manifest.get("experiment") or ""

    @property
    def quantization(self) -> str:
        """The run's quantization and, where the model ships lossy weights, theirs."""
        parts = [self.manifest.get("weights"), self.field("quantization")]
        return "+".join(part for part in parts if part and part != "none") or "none"

    @property
    def scored(self) -> pd.Series:
        """Which lines enter the rates."""
        return self.lines["base_status"].notna() & ~self.lines["given_up"]


@dataclass(frozen=True)
class Progress:
    """How far a run is, over the tasks that its manifest selects."""

    done: int  # samples of values; of an interval, tasks whose parts cover all of it
    total: int
    lines: int
    scored: int
    given_up: int


def load(results: Iterable[Results]) -> list[Cell]:
    """Every run of the folders, in the folders' order and by key."""
    return [_load(run) for folder in results for run in folder.runs()]


def distinct(cells: Iterable[Cell]) -> list[Cell]:
    """One cell for each key, the one with most scored samples, by key."""

    def rank(cell: Cell) -> tuple[str, int, int, str, str]:
        return cell.run.key, -int(cell.scored.sum()), -len(cell.lines), cell.experiment, str(cell.run.folder)

    return [next(same) for _, same in groupby(sorted(cells, key=rank), key=lambda cell: cell.run.key)]


def progress(cell: Cell) -> Progress:
    """How much of a cell is there: samples of a grid, or tasks whose whole interval is covered."""
    selected = cell.lines["task_id"].isin(cell.field("task_ids"))
    lines, omega, n_tasks = cell.lines[selected], cell.field("omega"), int(cell.field("n_tasks"))
    if isinstance(omega, dict):
        covered = (lines["omega_hi"] - lines["omega_lo"]).groupby(lines["task_id"]).sum()
        done, total = int((covered > (omega["hi"] - omega["lo"]) * (1 - 1e-9)).sum()), n_tasks
    else:
        done, total = len(lines), n_tasks * len(omega)
    given_up = int(lines["given_up"].sum())
    return Progress(done, total, len(lines), int(cell.scored[selected].sum()), given_up)


def tasks(cells: Iterable[Cell]) -> pd.DataFrame:
    """One row for each (run, task, omega range, benchmark) with its verdict `passed`.

    Scores with plus tests give rows for both benchmarks of a family: `humaneval` by the base tests alone, and
    `humaneval_plus`, which needs base and plus.
    """
    frames = []
    for cell in distinct(cells):
        lines = cell.lines[cell.scored]
        base = lines["base_status"] == "pass"
        both = (base & (lines["plus_status"] == "pass"))[lines["plus_status"].notna()]
        name = cell.field("benchmark").removesuffix("_plus")
        identity = {
            "experiment": cell.experiment,
            "key": cell.run.key,
            **{name: cell.field(name) or "" for name in ("model", "anchor", "mask", "profile", "template", "dtype")},
            "quantization": cell.quantization,
            "plain_identity": _plain_identity(cell.manifest),
        }
        for benchmark, passed in ((name, base), (f"{name}_plus", both)):
            rows = lines.loc[passed.index].assign(passed=passed, benchmark=benchmark, **identity)
            frames += [rows] if len(rows) else []
    return pd.concat(frames, ignore_index=True)[_TASKS] if frames else pd.DataFrame(columns=_TASKS)


def summary(tasks: pd.DataFrame) -> pd.DataFrame:
    """The tidy table: Pass@1 of each run, benchmark and omega, against plain decoding (omega 0) where that was run.

    Pass@1 and its Wilson interval are over the tasks that have a verdict at that omega. `baseline_pass_at_1`, `delta`,
    `fixed`, `broken` and `p_value` are over those of them that have a verdict at omega 0 too, and empty where none has.
    The parts of an interval are the coarsest on which both sets, of tasks counted and of tasks passed, are constant.
    """
    baselines = _baselines(tasks)
    rows = [
        _steps(run, _own_or_other(baselines, run.iloc[0])).assign(**{name: run[name].iloc[0] for name in IDENTITY})
        for _, run in tasks.groupby(["key", "benchmark"])
    ]
    if not rows:
        return pd.DataFrame(columns=SUMMARY)
    table = pd.concat(rows)
    table["run_lo"] = table.groupby("key")["omega_lo"].transform("min")  # runs of one omega each stand in its order
    order = [*SETTINGS, "experiment", "run_lo", "key", "omega_lo", "omega_hi"]
    return table.sort_values(order, ignore_index=True)[SUMMARY]


def _load(run: Run) -> Cell:
    manifest = run.manifest()
    scores = run.scores()
    scorer_id = (manifest.get("scoring") or {}).get("scorer_id") or (scores[-1].scorer_id if scores else None)
    verdicts = pd.DataFrame(
        [
            (s.task_id, s.solution_sha, "suspect" if s.suspect else s.base_status, s.plus_status)
            for s in scores
            if s.scorer_id == scorer_id
        ],
        columns=_VERDICT,
        dtype=object,
    ).drop_duplicates(["task_id", "solution_sha"], keep="last")
    samples = pd.DataFrame(
        [
            (s.task_id, solution_sha(s.solution), s.omega_lo, s.omega_hi, bool(s.anchor_spans), s.finish_reason)
            for s in run.samples()
        ],
        columns=[*_SAMPLE[:-1], "finish_reason"],
    ).astype({"omega_lo": float, "omega_hi": float, "anchored": bool})
    samples["given_up"] = samples["finish_reason"] == "budget"
    lines = samples[_SAMPLE].merge(verdicts, how="left", on=["task_id", "solution_sha"])
    return Cell(run, manifest, lines.drop(columns="solution_sha"))


def _plain_identity(manifest: dict[str, Any]) -> str:
    """What decides texts and verdicts at omega 0, beside the table's columns: token limits, prompts, tests."""
    identity = manifest.get("identity") or {}
    plain = {name: value for name, value in identity.items() if name not in ("anchor", "mask", "omega")}
    return json.dumps([plain, (manifest.get("data") or {}).get("md5")], sort_keys=True)


def _baselines(tasks: pd.DataFrame) -> list[tuple[pd.Series, pd.Series]]:
    """Each run and benchmark that holds omega 0: its identity, and `passed` at 0 by task_id; most tasks first."""
    found = []
    for _, run in tasks.groupby(["key", "benchmark"]):
        lo, hi = run["omega_lo"], run["omega_hi"]
        closed_at_zero = (hi == 0) & (hi == hi.max())
        plain = run[(lo == 0) | ((lo < 0) & ((hi > 0) | closed_at_zero))].sort_values("omega_lo")
        plain = plain.drop_duplicates("task_id", keep="last")
        if len(plain):
            found.append((run.iloc[0], plain.set_index("task_id")["passed"]))
    return sorted(found, key=lambda item: (-len(item[1]), item[0]["key"]))


def _own_or_other(baselines: list[tuple[pd.Series, pd.Series]], run: pd.Series) -> pd.Series:
    own = [passed for of, passed in baselines if of["key"] == run["key"] and of["benchmark"] == run["benchmark"]]
    others = [passed for of, passed in baselines if of[BASELINE].equals(run[BASELINE])]
    return next(iter([*own, *others]), pd.Series(dtype=bool))


def _steps(run: pd.DataFrame, baseline: pd.Series) -> pd.DataFrame:
    """The rows of one run and benchmark; `baseline` holds `passed` at omega 0 by task_id.

    Shapes: T tasks, P omegas or parts of an interval.
    """
    lo, hi, counted, passed, task_ids = _outcomes(run)
    anchored = run.groupby("task_id")["anchored"].first().loc[task_ids].to_numpy()
    has_plain = task_ids.isin(baseline.index)
    plain = baseline.reindex(task_ids, fill_value=False).to_numpy(dtype=bool)[:, None]  # (T, 1)
    paired = counted & has_plain[:, None]  # (T, P)

    n_tasks, n_passed, n_paired = counted.sum(axis=0), passed.sum(axis=0), paired.sum(axis=0)
    fixed = (paired & passed & ~plain).sum(axis=0)
    broken = (paired & ~passed & plain).sum(axis=0)
    known, pairs = n_paired > 0, np.maximum(n_paired, 1)
    ci_low, ci_high = wilson(n_passed, n_tasks)
    against_plain = pd.DataFrame(
        {
            "baseline_pass_at_1": (paired & plain).sum(axis=0) / pairs,
            "delta": (fixed - broken) / pairs,
            "fixed": pd.array(fixed, dtype="Int64"),
            "broken": pd.array(broken, dtype="Int64"),
            "p_value": mcnemar_exact(fixed, broken),
        }
    ).where(pd.Series(known), axis=0)
    rates = pd.DataFrame(
        {
            "omega_lo": lo,
            "omega_hi": hi,
            "n_tasks": n_tasks,
            "n_anchored": (counted & anchored[:, None]).sum(axis=0),
            "n_passed": n_passed,
            "pass_at_1": n_passed / n_tasks,
            "ci_low": ci_low,
            "ci_high": ci_high,
        }
    )
    return pd.concat([rates, against_plain], axis=1)


def _outcomes(run: pd.DataFrame) -> tuple[Floats, Floats, Bools, Bools, pd.Index]:
    """The omegas or parts (P,), and which tasks are counted and which passed there, both (T, P), and the T task ids."""
    lo, hi = run["omega_lo"].to_numpy(dtype=float), run["omega_hi"].to_numpy(dtype=float)
    is_interval = bool((lo < hi).any())
    edges = np.unique(np.concatenate([lo, hi]))
    starts, ends = (edges[:-1], edges[1:]) if is_interval else (edges, edges)
    first = np.searchsorted(starts, lo)
    stop = np.searchsorted(edges, hi) if is_interval else first + 1
    task, task_ids = pd.factorize(run["task_id"], sort=True)

    def covered(which: Bools) -> Bools:
        """Each line opens at its first part and closes after its last: a running sum tells where a task has one."""
        change = np.zeros((len(task_ids), len(starts) + 1), dtype=np.int16)
        np.add.at(change, (task[which], first[which]), 1)
        np.add.at(change, (task[which], stop[which]), -1)
        return np.asarray(change.cumsum(axis=1)[:, :-1] > 0)

    counted = covered(np.ones(len(run), dtype=bool))
    passed = covered(run["passed"].to_numpy(dtype=bool))
    if is_interval:
        changes = ((counted[:, 1:] != counted[:, :-1]) | (passed[:, 1:] != passed[:, :-1])).any(axis=0)
        begins = np.flatnonzero(np.concatenate([[True], changes]))
        starts, ends = starts[begins], ends[np.append(begins[1:], len(ends)) - 1]
        counted, passed = counted[:, begins], passed[:, begins]
    kept = counted.any(axis=0)  # no task was finished in a gap
    return starts[kept], ends[kept], counted[:, kept], passed[:, kept], pd.Index(task_ids)
