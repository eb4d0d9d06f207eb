"""The report's answer, derived by stated rules from the tuned readings of the usual anchor, mask, method and profile.

A difference whose 95% interval lies above 0 is a gain, one whose interval lies below 0 a loss; the others cannot be
told from 0. Gains alone are a yes, losses without a gain a no.
"""

from dataclasses import dataclass

import pandas as pd

from spa.analysis.formats import benchmark_name, signed

QUESTION = "Does Selective Prompt Anchoring write more correct programs than plain decoding?"
UNKNOWN = "Nothing can be said yet: that takes a plain run, and SPA with the anchor description at an omega beside 0."


@dataclass(frozen=True)
class Headline:
    """What stands above everything else."""

    answer: str  # a sentence
    scope: str  # what was run; empty where nothing can be said
    model: str  # the main one, whose curves stand beside the answer; empty likewise


def headline(tuned: pd.DataFrame) -> Headline:
    """tuned: rows of `readings.tuned_rows` at one share, one for each cell of the usual settings."""
    if tuned.empty:
        return Headline(UNKNOWN, "", "")
    models, benchmarks = tuned["model"].unique(), [benchmark_name(name) for name in sorted(tuned["benchmark"].unique())]
    tasks = sorted(tuned["n_tasks"].unique())
    span = f"{tasks[0]}" if len(tasks) == 1 else f"{tasks[0]} to {tasks[-1]}"
    scope = (
        f"Run: {', '.join(models)} on {', '.join(benchmarks)} ({span} tasks each). "
        "SPA amplifies the task's description; omega, its weight, is chosen on "
        f"{tuned['share'].iloc[0]:.0%} of the tasks, and Pass@1 is measured on the others. "
        "Intervals are paired bootstraps over tasks, not corrected for their number."
    )
    return Headline(answer(tuned), scope, main_model(tuned))


def answer(tuned: pd.DataFrame) -> str:
    """The sentence. tuned: as `headline` takes it, not empty."""
    gains, losses = tuned[tuned["delta_low"] > 0], tuned[tuned["delta_high"] < 0]
    others = tuned.drop(index=[*gains.index, *losses.index])
    place = f"on {_count(tuned['model'], 'model')} and {_count(tuned['benchmark'], 'benchmark')}"
    told = _told(gains, losses, others)
    return f"{_verdict(len(gains), len(losses), len(others))}: {place}, {told}{_allowed(others)}."


def main_model(tuned: pd.DataFrame) -> str:
    """The model with most tasks over its benchmarks; of equals, that of the highest plain Pass@1. tuned: not empty."""
    totals = tuned.groupby("model").agg(tasks=("n_tasks", "sum"), plain=("plain_pass_at_1", "mean"))
    return str(totals.sort_values(["tasks", "plain"], ascending=False, kind="stable").index[0])


def _verdict(n_gains: int, n_losses: int, n_others: int) -> str:
    if n_gains and n_losses:
        return "It depends"
    if n_gains:
        return "Partly" if n_others else "Yes"
    return "No" if n_losses else "Not measurably"


def _told(gains: pd.DataFrame, losses: pd.DataFrame, others: pd.DataFrame) -> str:
    """How many differences are of each kind."""
    between, n_all = "between SPA's Pass@1 and plain greedy decoding's", len(gains) + len(losses) + len(others)
    if len(others) == n_all > 1:
        return f"none of {n_all} differences {between} can be told from 0 ({_points(others)})"
    kinds = [(gains, "is a gain", "are gains"), (losses, "is a loss", "are losses")]
    kinds.append((others, "cannot be told from 0", "cannot be told from 0"))
    told = [
        (len(rows), f"{one if len(rows) == 1 else many} ({_points(rows)})") for rows, one, many in kinds if len(rows)
    ]
    if len(told) == 1:
        return f"{'the difference' if n_all == 1 else f'all {n_all} differences'} {between} {told[0][1]}"
    parts = [f"{number} {text}" for number, text in told]
    return f"of {n_all} differences {between} {', '.join(parts[:-1])} and {parts[-1]}"


def _points(rows: pd.DataFrame) -> str:
    low, high = signed(rows["delta"].min()), signed(rows["delta"].max())
    return f"{low} points" if low == high else f"{low} to {high} points"


def _allowed(others: pd.DataFrame) -> str:
    """How sure it is that there is no gain."""
    if others.empty:
        return ""
    most, whose = (
        others["delta_high"].max(),
        "its 95% interval allows" if len(others) == 1 else "their 95% intervals allow",
    )
    return f"; the largest gain that {whose} is {signed(most)} points" if most > 0 else ""


def _count(values: pd.Index | pd.Series, noun: str) -> str:
    number = values.nunique()
    return f"{number} {noun}" + ("" if number == 1 else "s")
