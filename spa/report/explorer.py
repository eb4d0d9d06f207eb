"""Runs -> what the report's explorer shows: every program and verdict over omega, packed for the browser.

A series is what one slider runs through: one run over an interval, or all runs of single omegas with equal settings.
A packed value is the base64 text of zlib-compressed JSON, which a browser's DecompressionStream("deflate") reads.
Each series is packed by itself, so that the page decodes only what is looked at.
"""

import base64
import json
import re
import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spa.analysis.aggregate import BASELINE, JudgedRun, Reading
from spa.omega import Interval, has_zero, omega_set_text
from spa.records import OWN, READING, SETTINGS, OfSolution, Span
from spa.results.judged import judged

OMEGA_DIGITS = 7  # a breakpoint is known to about 1e-5
RATE_DIGITS = 5
STEP = ["n_tasks", "n_passed", "ci_low", "ci_high", "baseline_pass_at_1", "delta", "delta_low", "delta_high"]
STEP += ["fixed", "broken", "p_value"]


@dataclass(frozen=True)
class Series:
    """What one slider runs through."""

    model: str
    benchmarks: list[str]
    anchor: str
    mask: str
    method: str
    settings: str  # what tells it apart from others that are alike in all of these
    runs: list[str]
    several: bool  # steps
    data: str  # packed `_contents`


@dataclass(frozen=True)
class Explorer:
    series: list[Series]
    prompts: str  # packed: the distinct prompts of all series, in a list


class Outcome(NamedTuple):
    """What became of a program; a status is None where there is none."""

    base_status: str | None
    plus_status: str | None
    reason: str
    finish_reason: str

    def status(self, benchmark: str) -> str | None:
        """What counts on a benchmark: on a plus one the plus tests decide where the base tests pass."""
        if self.finish_reason == "budget" or (benchmark.endswith("_plus") and self.plus_status is None):
            return None
        return self.plus_status if benchmark.endswith("_plus") and self.base_status == "pass" else self.base_status


@dataclass(frozen=True)
class Sample(OfSolution):
    """What is read of a line of samples.jsonl."""

    task_id: str
    solution: str
    omega_lo: float
    omega_hi: float
    prompt_text: str
    completion_ids: list[int]
    finish_reason: str
    anchor_spans: list[Span]


class Line(NamedTuple):
    omega_lo: float
    omega_hi: float
    is_plain: bool
    solution: str
    outcome: Outcome
    completion_ids: "array[int]"


@dataclass
class Task:
    prompt_text: str
    anchor_spans: list[Span]
    lines: list[Line] = field(default_factory=list)


def explorer(runs: Iterable[JudgedRun], tasks: pd.DataFrame, summary: pd.DataFrame) -> Explorer:
    """The series of distinct readings, in the order of `aggregate.summary`, whose rows are the slider's steps.

    A run without a verdict is left out. Where runs of a series hold the same omega, that with most verdicts is shown.
    """
    by_reading = {run.reading: run for run in runs}
    plain = _plain_readings(by_reading, tasks)
    prompts: dict[str, int] = {}
    series = []
    for readings in _sliders(by_reading, tasks, summary):
        steps = summary[_of(summary, readings)]
        steps = steps.sort_values("n_tasks", ascending=False, kind="stable")
        steps = steps.drop_duplicates(["benchmark", "omega_lo"]).sort_values(["benchmark", "omega_lo"])
        lines: dict[str, Task] = {}
        for reading in readings:
            if omegas := set(steps.loc[_of(steps, [reading]), "omega_lo"]):
                _read(by_reading[reading], lines, omegas)
        plain_lines = _plain_lines(lines)
        if not any(plain_lines.values()) and readings[0] in plain:
            other: dict[str, Task] = {}
            _read(by_reading[plain[readings[0]]], other, {0.0})
            plain_lines = _plain_lines(other)
        manifest = by_reading[readings[0]].manifest
        series.append(
            Series(
                model=manifest.model,
                benchmarks=list(steps["benchmark"].unique()),
                anchor=manifest.anchor,
                mask=manifest.mask,
                method=manifest.method,
                settings=_settings_text([by_reading[reading] for reading in readings]),
                runs=[key for key, _ in readings],
                several=bool(steps["benchmark"].duplicated().any()),
                data=packed(_contents(lines, plain_lines, steps, prompts)),
            )
        )
    return Explorer(series, packed(list(prompts)))


def _of(summary: pd.DataFrame, readings: list[Reading]) -> NDArray[np.bool_]:
    """Which rows are theirs."""
    return pd.MultiIndex.from_frame(summary[READING]).isin(readings)


def packed(content: Any) -> str:
    """JSON, compressed, as text: equal contents give equal text."""
    return base64.b64encode(zlib.compress(json.dumps(content, separators=(",", ":")).encode(), level=9)).decode()


def _sliders(by_reading: dict[Reading, JudgedRun], tasks: pd.DataFrame, summary: pd.DataFrame) -> list[list[Reading]]:
    """The readings of each series, in the summary's order."""
    identity = tasks.drop_duplicates(READING).astype(str).set_index(READING, drop=False)
    series: dict[tuple[str, ...], list[Reading]] = {}
    for key, extraction in summary[READING].drop_duplicates().itertuples(index=False):
        reading = key, extraction
        alone = key if isinstance(by_reading[reading].manifest.omegas, Interval) else ""
        same = (*identity.loc[reading, ["experiment", *SETTINGS, "plain_identity"]], alone)
        series.setdefault(same, []).append(reading)
    return list(series.values())


def _plain_readings(by_reading: dict[Reading, JudgedRun], tasks: pd.DataFrame) -> dict[Reading, Reading]:
    """For each run the one with omega 0 and most tasks among those that are equal at omega 0."""
    runs = tasks.drop_duplicates(READING).astype(dict.fromkeys([*READING, *BASELINE], str))
    n_tasks = tasks.groupby(READING, observed=True)["task_id"].nunique().rename("n").reset_index()
    runs = runs.merge(n_tasks.astype(dict.fromkeys(READING, str)), on=READING)
    found: dict[Reading, Reading] = {}
    for _, equal in runs.sort_values(["n", "key"], ascending=[False, True]).groupby(BASELINE, sort=False):
        readings = list(equal[READING].itertuples(index=False, name=None))
        plain = [reading for reading in readings if has_zero(by_reading[reading].manifest.omegas)]
        found |= dict.fromkeys(readings, plain[0]) if plain else {}
    return found


def _plain_lines(tasks: dict[str, Task]) -> dict[str, Line | None]:
    """The line of each task that holds omega 0."""
    return {task_id: next((line for line in task.lines if line.is_plain), None) for task_id, task in tasks.items()}


def _read(run: JudgedRun, into: dict[str, Task], omegas: set[float]) -> None:
    """Add the lines of a run to its tasks; of a run of single omegas, those of `omegas`."""
    for each in judged(run.run, run.manifest, Sample, run.extraction):
        sample, score = each.sample, each.score
        if sample.omega_lo == sample.omega_hi and sample.omega_lo not in omegas:
            continue
        outcome = Outcome(None, None, "", sample.finish_reason)
        if score:
            outcome = Outcome(score.base_status, score.plus_status, score.reason, sample.finish_reason)
        task = into.setdefault(sample.task_id, Task(sample.prompt_text, sample.anchor_spans))
        ids = array("i", sample.completion_ids)
        is_plain = sample.holds(0.0, run.manifest.omegas.hi)
        task.lines.append(Line(sample.omega_lo, sample.omega_hi, is_plain, sample.solution, outcome, ids))


def _settings_text(runs: list[JudgedRun]) -> str:
    first = runs[0].manifest
    omegas = [run.manifest.omega for run in runs]
    together = omegas[0] if len(runs) == 1 else sorted({omega for values in omegas for omega in values})
    parts = [first.experiment, f"ω {omega_set_text(together)}", first.profile, first.template]
    parts += [runs[0].extraction] if runs[0].extraction != OWN else []
    parts += [first.dtype, first.weights_text, ", ".join(run.key for run in runs)]
    return ", ".join(part for part in parts if part and part != "none")


def _contents(
    tasks: dict[str, Task], plain: dict[str, Line | None], steps: pd.DataFrame, prompts: dict[str, int]
) -> dict[str, Any]:
    """A series as the page reads it. Texts, outcomes and prompts are kept once, and named by their place.

    steps: for each benchmark the columns of its summary rows. tasks: for each its lines in columns; `hi` is null where
    the next line begins, `token` the place of the first token that differs from the plain text's, null where none does;
    `plain` is the text and the outcome at omega 0.
    """
    texts: dict[str, int] = {}
    outcomes: dict[Outcome, int] = {}

    def number(line: Line) -> tuple[int, int]:
        return texts.setdefault(line.solution, len(texts)), outcomes.setdefault(line.outcome, len(outcomes))

    entries = []
    for task_id in sorted(tasks, key=_natural):
        task, at_zero = tasks[task_id], plain.get(task_id)
        lines = sorted(task.lines, key=lambda line: line.omega_lo)
        starts = [line.omega_lo for line in lines]
        entries.append(
            {
                "id": task_id,
                "prompt": prompts.setdefault(task.prompt_text, len(prompts)),
                "spans": task.anchor_spans,
                "plain": number(at_zero) if at_zero else None,
                "lo": _rounded(starts, OMEGA_DIGITS),
                "hi": [
                    None if line.omega_hi == following else round(line.omega_hi, OMEGA_DIGITS)
                    for line, following in zip_longest(lines, starts[1:])
                ],
                "text": [number(line)[0] for line in lines],
                "outcome": [number(line)[1] for line in lines],
                "token": [_first_difference(line, at_zero) if at_zero else None for line in lines],
            }
        )
    benchmarks = {str(name): rows for name, rows in steps.groupby("benchmark", sort=False)}
    return {
        "steps": [
            {name: _rounded(rows[name], OMEGA_DIGITS) for name in ("omega_lo", "omega_hi")}
            | {name: _rounded(rows[name], RATE_DIGITS) for name in STEP}
            for rows in benchmarks.values()
        ],
        "outcomes": [
            {"statuses": [outcome.status(name) for name in benchmarks], **outcome._asdict()} for outcome in outcomes
        ],
        "texts": list(texts),
        "tasks": entries,
    }


def _rounded(values: Iterable[float], digits: int) -> list[float | None]:
    return [None if pd.isna(value) else round(float(value), digits) for value in values]


def _first_difference(line: Line, plain: Line) -> int | None:
    """The place of the first token at which two texts part; the shorter one's end counts as a token."""
    pairs: Iterator[tuple[int | None, int | None]] = zip_longest(line.completion_ids, plain.completion_ids)
    return next((place for place, (ours, theirs) in enumerate(pairs) if ours != theirs), None)


def _natural(task_id: str) -> list[tuple[int, str]]:
    """Task 2 comes before task 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", task_id)]
