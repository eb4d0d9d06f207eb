"""What is missing of runs and attention measurements, or not finished: a sentence for each thing."""

from collections.abc import Iterator, Sequence

import pandas as pd

from spa.analysis.aggregate import JudgedRun, progress
from spa.analysis.formats import benchmark_name
from spa.records import NOT_PLAIN, OWN
from spa.results.attention_files import Attention
from spa.results.store import Results


def missing_of_runs(
    results: Sequence[Results], runs: Sequence[JudgedRun], summary: pd.DataFrame, measured: Sequence[Attention]
) -> list[str]:
    """The sentences; `runs` and `measured` are the folders' runs and measurements, `summary` is made from `runs`."""
    return [
        *_incomplete(results, runs),
        *(sentence for run in runs for sentence in _missing_of_run(run)),
        *_without_plain(summary),
        *_missing_of_attention(measured),
    ]


def _incomplete(results: Sequence[Results], runs: Sequence[JudgedRun]) -> Iterator[str]:
    """How many runs are not complete, and which are in no table because nothing of them is there yet."""
    empty = {run.key for folder in results for run in folder.begun()} - {run.key for run in runs}
    statuses = {run.key: run.manifest.status for run in runs}
    complete = sum(status == "complete" for status in statuses.values())
    if complete < len(statuses) + len(empty):
        yield f"{complete} of {len(statuses) + len(empty)} runs are complete."
    for key in sorted(empty):
        yield f"Run {key}: begun, but nothing of it is there."


def _by(extraction: str) -> str:
    return "" if extraction == OWN else f", extraction {extraction}"


def _missing_of_run(run: JudgedRun) -> Iterator[str]:
    done, status = progress(run), run.manifest.status
    name = f"{run.manifest.model}, {benchmark_name(run.manifest.benchmark)}, run {run.key}{_by(run.extraction)}"
    if done.done < done.total or status != "complete":
        what = "tasks over the whole interval" if isinstance(run.manifest.omega, dict) else "samples"
        state = "failed" if status == "failed" else "unfinished"
        yield f"{name}: {state}: {done.done} of {done.total} {what} are there."
    if done.given_up:
        yield f"{name}: parts of the interval given up (budget), counted in no rate: {done.given_up}."
    if done.not_plain:
        what = "samples whose answer has an equality of its own"
        yield f"{name}: {NOT_PLAIN}, counted as not passed: {done.not_plain} {what}."
    if warning := run.manifest.scoring and run.manifest.scoring.warning:
        yield f"{name}: {warning}."
    if unscored := done.lines - done.given_up - done.scored:
        yield f"{name}: not scored: {unscored} of {done.lines} samples."


def _without_plain(summary: pd.DataFrame) -> Iterator[str]:
    alone = summary[summary["delta"].isna()]
    for key, model in alone[["key", "model"]].drop_duplicates().itertuples(index=False):
        yield f"{model}, run {key}: no plain run (omega 0) of the same settings to compare with."


def _missing_of_attention(measured: Sequence[Attention]) -> Iterator[str]:
    for place in measured:
        manifest = place.manifest()
        name = f"{manifest.model}, {benchmark_name(manifest.benchmark)}, attention {place.key}"
        if manifest.status != "complete":
            yield f"{name}: unfinished: {manifest.n_tasks} tasks are measured."
        if left_out := manifest.n_without_anchor:
            yield f"{name}: {left_out} tasks have no such anchor and are left out."
