"""Run folders -> one tidy table.

`load` reads runs, one extraction at a time; `tasks` keeps a row for each verdict, `summary` makes one for each Pass@1.
Only samples that are finished and scored count: an unscored line, or a part of an interval that was given up
(finish_reason "budget"), enters no rate.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spa import omega
from spa.records import NOT_PLAIN, OWN, READING, SETTINGS, Solution
from spa.results.judged import Judged, judged
from spa.results.manifest import Manifest
from spa.results.store import Results, Run, find_results
from spa.statistics import delta_interval, mcnemar_exact, wilson

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Verdicts = NDArray[np.void]  # of the fields VERDICT; `run` and `task` are numbers

Reading = tuple[str, str]  # a run by one extraction
IDENTITY = ["experiment", "key", *SETTINGS]
SUMMARY = [
    *IDENTITY,
    *["omega_lo", "omega_hi", "n_tasks", "n_anchored", "n_passed", "pass_at_1", "ci_low", "ci_high"],
    *["baseline_pass_at_1", "delta", "delta_low", "delta_high", "fixed", "broken", "p_value"],
]
# Omega 0 never reads the masked prompt: what is plain for one anchor and mask is plain for all.
BASELINE = ["model", "benchmark", "profile", "template", "extraction", "dtype", "quantization", "plain_identity"]

VERDICT = [
    *[("run", "i4"), ("task", "i4"), ("omega_lo", "f8"), ("omega_hi", "f8")],
    *[("is_plain", "?"), ("anchored", "?"), ("as_long", "?"), ("passed", "?")],
]
_STEP = ["omega_lo", "omega_hi", "n_tasks", "n_anchored", "n_passed", "n_paired", "n_plain", "fixed", "broken"]


class Line(NamedTuple):
    """A line of samples.jsonl with its verdict; up to `as_long` in the order of VERDICT."""

    task_id: str
    omega_lo: float
    omega_hi: float
    is_plain: bool  # it holds omega 0
    anchored: bool
    as_long: bool  # it anchors as many tokens as its anchor asks for (anchor=random)
    given_up: bool
    passed_base: bool | None  # None where it is not scored
    passed_plus: bool | None  # likewise, or where there are no plus tests
    not_plain: bool
    passed_visible: bool | None  # None where nobody tried

    @property
    def counts(self) -> bool:
        """Whether it enters the rates."""
        return self.passed_base is not None and not self.given_up


@dataclass(frozen=True)
class JudgedRun:
    """One run folder in memory, by one extraction."""

    run: Run
    manifest: Manifest
    extraction: str
    lines: list[Line]

    @property
    def key(self) -> str:
        """The run's key, which its folder is named by."""
        return self.run.key

    @property
    def reading(self) -> Reading:
        """What tells it from others, by the names of READING."""
        return self.key, self.extraction


@dataclass(frozen=True)
class Progress:
    """How far a run is, over the tasks that its manifest selects."""

    done: int  # samples of values; of an interval, tasks whose parts cover all of it
    total: int
    lines: int
    scored: int
    given_up: int
    not_plain: int


def load(results: Iterable[Results]) -> Iterator[JudgedRun]:
    """The extractions of one run for each key, by key: of the folders' runs of it, the one with most scored samples."""
    runs = sorted((run for folder in results for run in folder.runs()), key=lambda run: run.key)
    for _, same in groupby(runs, key=lambda run: run.key):
        chosen = min((_load(run, OWN) for run in same), key=_rank)
        yield chosen
        yield from (_load(chosen.run, extraction) for extraction in chosen.run.extractions() if extraction != OWN)


def load_results(folder: str | Path) -> pd.DataFrame:
    """The tidy table of a results folder, or of all that lie directly below: a row for each Pass@1 (summary.csv).

    Raises SpaError where there are none.
    """
    return summary(tasks(load(find_results([Path(folder)]))))


def progress(run: JudgedRun) -> Progress:
    """How much of a run is there: samples of a grid, or tasks whose whole interval is covered."""
    task_ids, omegas, n_tasks = set(run.manifest.task_ids), run.manifest.omegas, run.manifest.n_tasks
    lines = [line for line in run.lines if line.task_id in task_ids]
    if isinstance(omegas, omega.Interval):
        covered = dict.fromkeys(task_ids, 0.0)
        for line in lines:
            covered[line.task_id] += line.omega_hi - line.omega_lo
        whole = omega.size(omegas) * (1 - 1e-9)
        done, total = sum(width > whole for width in covered.values()), n_tasks
    else:
        done, total = len(lines), n_tasks * len(omegas.values)
    return Progress(
        done=done,
        total=total,
        lines=len(lines),
        scored=sum(line.counts for line in lines),
        given_up=sum(line.given_up for line in lines),
        not_plain=sum(line.not_plain for line in lines),
    )


def tasks(judged: Iterable[JudgedRun]) -> pd.DataFrame:
    """One row for each (run, task, omega range, benchmark) with its verdict `passed`. Names are categorical.

    Scores with plus tests give rows for both benchmarks of a family: `humaneval` by the base tests alone, and
    `humaneval_plus`, which needs base and plus. `plain` is the task's verdict at omega 0 in the run `plain_key`: this
    run, else the one of the same settings that has most tasks there; both are missing where it lacks the task.
    """
    names: list[tuple[str, ...]] = []  # of each run and benchmark
    task_ids: dict[str, int] = {}

    def verdicts() -> Iterator[tuple[int, int, float, float, bool, bool, bool, bool]]:
        for run in judged:
            counted = [line for line in run.lines if line.counts]
            name = run.manifest.benchmark.removesuffix("_plus")
            base = [(line, bool(line.passed_base)) for line in counted]
            plus = [(line, line.passed_plus) for line in counted if line.passed_plus is not None]
            for benchmark, passes in ((name, base), (f"{name}_plus", plus)):
                for line, passed in passes:
                    task = task_ids.setdefault(line.task_id, len(task_ids))
                    yield len(names), task, *line[1:6], passed
                names.append(_names(run, benchmark))

    rows = pd.DataFrame(np.fromiter(verdicts(), dtype=VERDICT))
    runs = pd.DataFrame(names, columns=[*IDENTITY, "plain_identity"], dtype=str).astype("category")
    rows = _compared(rows, runs)
    table = runs.iloc[rows["run"]].reset_index(drop=True)
    table["task_id"] = pd.Categorical.from_codes(rows["task"].to_numpy(), pd.Index(task_ids, dtype=str))
    table["plain_key"] = runs["key"].iloc[rows["plain_run"]].array
    table.loc[rows["plain"].isna(), "plain_key"] = None
    return table.join(rows.drop(columns=["run", "task", "plain_run", "is_plain"]))


def summary(tasks: pd.DataFrame) -> pd.DataFrame:
    """The tidy table: Pass@1 of each run, benchmark and omega, against plain decoding (omega 0) where that was run.

    Pass@1 and its Wilson interval are over the tasks that have a verdict at that omega. `baseline_pass_at_1`, `delta`
    with its paired bootstrap interval, `fixed`, `broken` and `p_value` are over those of them that have a verdict at
    omega 0 too, and empty where none has.
    The parts of an interval are the coarsest on which both sets, of tasks counted and of tasks passed, are constant.
    """
    if tasks.empty:
        return pd.DataFrame(columns=SUMMARY)
    number = tasks.groupby([*READING, "benchmark"], observed=True).ngroup()
    identity = tasks.groupby(number)[IDENTITY].first().astype(str)
    steps = [_steps(run) for run in _split(tasks, number)]
    table = identity.loc[np.repeat(identity.index, [len(rows) for rows in steps])].reset_index(drop=True)
    table = table.join(_rates(pd.DataFrame(np.concatenate(steps), columns=_STEP)))
    table["run_lo"] = table.groupby("key")["omega_lo"].transform("min")  # runs of one omega each stand in its order
    order = [*SETTINGS, "experiment", "run_lo", "key", "omega_lo", "omega_hi"]
    return table.sort_values(order, ignore_index=True)[SUMMARY]


def outcomes(run: pd.DataFrame | Verdicts) -> tuple[Floats, Floats, Bools, Bools, NDArray[np.intp]]:
    """Where tasks are counted and where they pass: P omegas or parts of an interval, T tasks.

    Gives the ends of the parts, (P,) each, the two sets, (T, P) each, and the row of `run` where a task is first, (T,).
    """
    lo, hi = np.asarray(run["omega_lo"]), np.asarray(run["omega_hi"])
    is_interval = bool((lo < hi).any())
    edges = np.unique(np.concatenate([lo, hi]))
    starts, ends = (edges[:-1], edges[1:]) if is_interval else (edges, edges)
    first = np.searchsorted(starts, lo)
    stop = np.searchsorted(edges, hi) if is_interval else first + 1
    _, of_task, task = np.unique(np.asarray(run["task_id"]), return_index=True, return_inverse=True)

    def covered(which: Bools) -> Bools:
        """Each line opens at its first part and closes after its last: a running sum tells where a task has one."""
        change = np.zeros((len(of_task), len(starts) + 1), dtype=np.int16)
        np.add.at(change, (task[which], first[which]), 1)
        np.add.at(change, (task[which], stop[which]), -1)
        return np.asarray(change.cumsum(axis=1)[:, :-1] > 0)

    counted, passed = covered(np.ones(len(run), dtype=bool)), covered(np.asarray(run["passed"]))
    if is_interval:
        changes = ((counted[:, 1:] != counted[:, :-1]) | (passed[:, 1:] != passed[:, :-1])).any(axis=0)
        begins = np.flatnonzero(np.concatenate([[True], changes]))
        starts, ends = starts[begins], ends[np.append(begins[1:], len(ends)) - 1]
        counted, passed = counted[:, begins], passed[:, begins]
    kept = counted.any(axis=0)  # no task was finished in a gap
    return starts[kept], ends[kept], counted[:, kept], passed[:, kept], of_task


def _load(run: Run, extraction: str) -> JudgedRun:
    manifest = run.manifest()
    end = manifest.omegas.hi

    def line(judged: Judged[Solution]) -> Line:
        sample, score = judged.sample, judged.score
        return Line(
            *(sample.task_id, sample.omega_lo, sample.omega_hi),
            *(sample.holds(0.0, end), bool(sample.anchor_spans), not sample.missing_tokens),
            given_up=sample.finish_reason == "budget",
            passed_base=score.passed("base") if score else None,
            passed_plus=score.passed() if score and score.plus_status else None,
            not_plain=score is not None and score.reason == NOT_PLAIN,
            passed_visible=judged.visible.passed if judged.visible else None,
        )

    lines = [line(each) for each in judged(run, manifest, Solution, extraction)]
    return JudgedRun(run, manifest, extraction, lines)


def _rank(run: JudgedRun) -> tuple[int, int, str, str]:
    scored = sum(line.counts for line in run.lines)
    return -scored, -len(run.lines), run.manifest.experiment, str(run.run.folder)


def _names(run: JudgedRun, benchmark: str) -> tuple[str, ...]:
    """IDENTITY and plain_identity; equal strings of many runs are one in memory."""
    settings = run.manifest.settings(run.extraction) | {"benchmark": benchmark}
    names = [run.manifest.experiment, run.key, *settings.values(), _plain_identity(run.manifest)]
    return tuple(map(sys.intern, names))


def _plain_identity(manifest: Manifest) -> str:
    """What decides texts and verdicts at omega 0, beside the table's columns: token limits, prompts, tests."""
    weighted = ("anchor", "mask", "method", "omega")
    plain = {name: value for name, value in manifest.identity.items() if name not in weighted}
    return json.dumps([plain, manifest.data.md5], sort_keys=True)


def _compared(rows: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """`rows` of VERDICT with `plain_run`, the number of the run to compare with, and `plain`, the verdict there."""
    plain = rows[rows["is_plain"]].drop_duplicates(["run", "task"], keep="last")
    n_plain = plain["run"].value_counts().reindex(runs.index, fill_value=0)
    fullest = n_plain.groupby([runs[name] for name in BASELINE]).transform("idxmax")
    compared = rows.assign(plain_run=n_plain.index.to_series().where(n_plain > 0, fullest).loc[rows["run"]].to_numpy())
    plain = plain[["run", "task", "passed"]].set_axis(["plain_run", "task", "plain"], axis=1)
    return compared.merge(plain.astype({"plain": "boolean"}), how="left", on=["plain_run", "task"])


def _split(tasks: pd.DataFrame, number: pd.Series) -> list[Verdicts]:
    """The verdicts of each run and benchmark, by its number, with `paired` and `plain`."""
    columns = {
        "task_id": pd.factorize(tasks["task_id"])[0],
        "paired": tasks["plain"].notna(),
        "plain": tasks["plain"].fillna(False),
        **{name: tasks[name] for name in ("omega_lo", "omega_hi", "anchored", "passed")},
    }
    order = np.argsort(number, kind="stable")
    verdicts = pd.DataFrame(columns).iloc[order].to_records(index=False)
    return np.split(np.asarray(verdicts), np.flatnonzero(np.diff(number.iloc[order])) + 1)


def _steps(run: Verdicts) -> Floats:
    """The counts of one run and benchmark: the columns _STEP at each omega or part of an interval."""
    lo, hi, counted, passed, of_task = outcomes(run)
    anchored, paired, plain = (run[name][of_task][:, None] for name in ("anchored", "paired", "plain"))  # (T, 1)
    sets = [counted, counted & anchored, passed, counted & paired, counted & plain]
    sets += [passed & paired & ~plain, counted & plain & ~passed]
    return np.stack([lo, hi, *(members.sum(axis=0) for members in sets)], axis=1)


def _rates(steps: pd.DataFrame) -> pd.DataFrame:
    """Counts -> rates, intervals and comparisons."""
    counts = steps.astype(dict.fromkeys(_STEP[2:], "int64"))
    n_tasks, n_passed, fixed, broken = (counts[name] for name in ["n_tasks", "n_passed", "fixed", "broken"])
    counts["pass_at_1"] = n_passed / n_tasks
    counts["ci_low"], counts["ci_high"] = wilson(n_passed, n_tasks)
    pairs = counts["n_paired"].clip(lower=1)
    ends = [_delta_interval(*each) for each in zip(fixed, broken, pairs, strict=True)]
    against_plain = pd.DataFrame(
        {
            "baseline_pass_at_1": counts["n_plain"] / pairs,
            "delta": (fixed - broken) / pairs,
            "delta_low": [low for low, _ in ends],
            "delta_high": [high for _, high in ends],
            "fixed": fixed.astype("Int64"),
            "broken": broken.astype("Int64"),
            "p_value": mcnemar_exact(fixed, broken),
        }
    ).where(counts["n_paired"] > 0, axis=0)
    return counts.drop(columns=["fixed", "broken"]).join(against_plain)


@lru_cache(maxsize=65536)
def _delta_interval(fixed: int, broken: int, pairs: int) -> tuple[float, float]:
    """Equal counts have equal intervals, whatever else is in the table."""
    low, high = delta_interval([fixed], [broken], [pairs], np.random.default_rng(0))
    return float(low[0]), float(high[0])
