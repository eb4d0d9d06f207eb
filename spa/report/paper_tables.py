"""The paper's tables, recomputed: a function of the evidence for each.

Every table says in its notes which of the three readings it shows. A table that the data do not allow is None.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from spa.analysis import published, readings
from spa.analysis.ablation import anchor_rows
from spa.analysis.curves import SAMPLED, Curve
from spa.analysis.evidence import Evidence, Speed
from spa.analysis.formats import benchmark_name, p_text, percent, signed
from spa.analysis.optimum import optimum_rows
from spa.analysis.readings import FIXED, SHARE, SPLITS, SPLITS_OF_RESAMPLE
from spa.records import ANCHOR, DEFAULTS, SETTINGS
from spa.report.tables import Format, Table, differing, plain_table, shown_as
from spa.statistics import RESAMPLES

Columns = dict[str, tuple[str, Format]]  # heading -> column of the data, and how it is written

TITLES = {
    "paper": "Main table: plain greedy decoding and SPA, tuned",
    "every_task": "SPA on every task",
    "tuned": "SPA with omega tuned on a share of the tasks",
    "fixed": "SPA with omega tuned, and on every task at one omega",
    "transfer": "SPA with omega tuned on another cell",
    "test_triggered": "SPA where tests fail",
    "optimum": "The best omega, and the steps of the curve",
    "anchors": "Anchor ablation",
    "published": "Published numbers beside ours",
    "cost": "Cost of SPA",
}
NEEDS = {
    "paper": "the anchor description at several omegas, and a plain run",
    "every_task": "an omega other than 0, and a plain run",
    "tuned": "an omega other than 0, and a plain run",
    "fixed": "an omega other than 0, and a plain run",
    "transfer": "several models, or several families of benchmarks",
    "test_triggered": "an omega other than 0, and a plain run",
    "optimum": "an omega other than 0, and a plain run",
    "anchors": "several anchors, all else alike",
    "cost": "the benchmark of speed (make bench)",
}
INTERVAL = (
    f"Intervals: 95%, paired bootstrap over tasks, {RESAMPLES:,} resamples: with others an end moves by about 6% of "
    "the standard error. Delta: points, SPA less plain greedy decoding (omega 0)."
)
CHOSEN = (
    f"Tuned reading: omega is chosen on a random share of the tasks and measured on the others, over {SPLITS:,} "
    f"splits; of an interval, among {SAMPLED} evenly spaced omegas. Of equally good ones that closest to 0 is taken. "
    "Of a curve that is flat on these tasks this reading is negative by itself: an omega chosen because it passes more "
    "of the tuning tasks passes fewer of the others (table fixed has every task at one omega beside it)."
)
RESAMPLED = f"The interval: the same with {SPLITS_OF_RESAMPLE} splits of each of {RESAMPLES:,} resamples of the tasks."
TUNED = f"{CHOSEN} SPA: plain plus delta. {RESAMPLED}"
AT_FIXED = "At: every task at that omega, which was not chosen by these results; empty where it was not tried."
HERE = f"Here {SHARE:.0%}."
SPREAD = "Split: 5th, 50th and 95th percentile of delta over the splits. Omega: likewise, of the omega chosen."
TESTS = (
    "p: exact two-sided McNemar test; Holm: adjusted over all rows of the CSV file. Where few tasks are fixed or "
    "broken the bootstrap interval is too narrow, and where none is, it is 0 to 0: there go by p."
)
EVERY_TASK = "SPA on every task at a given omega; of an interval, at evenly spaced ones."
FEW = 5  # omegas of a cell that a table shows, where there are more than twice as many
THINNED = f"Of more than {2 * FEW} omegas {FEW} evenly spaced ones are shown; the table's CSV file has all."
TRIGGERED = (
    "Test-triggered reading: plain where it passes the trigger's tests, SPA elsewhere. With the hidden tests this is "
    "an upper bound that no user can reach, and it cannot lose; the visible tests are those that the prompt shows. On "
    "MBPP that is one of the hidden tests, so there it cannot lose either. A second text of any kind gains by such a "
    "rule: an interval above 0 says nothing of SPA, and a test against chance would say no more."
)
TRANSFER = (
    "Omega is the best on all tasks of the cell that it is tuned on (of an interval, the best of "
    f"{SAMPLED} evenly spaced ones), and used on all tasks of the other. Two models on one benchmark share the tasks."
)
OPTIMUM = (
    "Peak: the highest Pass@1 of all omegas, in hindsight. May be best: from the first to the last omega that a paired "
    "bootstrap comparison with the best does not exclude (95%). Steps: what is left of the curve after neighbours "
    "whose paired interval covers 0 are pooled; falls after rises: more than one is not unimodal."
)
ANCHORS = (
    "Each anchor's omega is tuned for itself, on the same splits. Less description: its delta less description's. "
    "Random, where it was run, is the control: as many tokens of the rest of the prompt, the template's too, in one "
    'stretch where there is one; "where as long": on the tasks alone whose rest has as many.'
)
PUBLISHED = (
    "Ours: plain Pass@1 or SPA's in the tuned reading (Wilson interval), or delta (paired bootstrap interval). The "
    "interval is that of other tasks like these; the published number is of these tasks too, so that the difference "
    "stands as it is. Less evalplus: our plain Pass@1 less ours under EvalPlus' prompt, by the same extraction (paired "
    "bootstrap). Empty where nobody could verify a number, or nothing was run."
)
CLOSING = f"Pass@1. Tuned: omega is chosen on {SHARE:.0%} of the tasks and measured on the others."
COST = "Time of SPA over that of plain decoding, our engine at batch 16: median, lowest and highest of the rounds."

_TUNED = "tuned"
_MODEL: Columns = {"Model": ("model", str), "Weights": ("weights", str)}
_CELL: Columns = {**_MODEL, "Benchmark": ("benchmark", benchmark_name), "Anchor (mask)": ("anchored", str)}
_RATES: Columns = {
    "Tasks": ("n_tasks", str),
    "Plain (%)": ("plain_pass_at_1", percent),
    "SPA (%)": ("spa_pass_at_1", percent),
    "Delta": ("delta", signed),
    "from": ("delta_low", signed),
    "to": ("delta_high", signed),
}
_COUNTS: Columns = {"Fixed": ("fixed", str), "Broken": ("broken", str)}
_TESTED: Columns = {**_COUNTS, "p": ("p_value", p_text), "Holm": ("p_holm", p_text)}
_omega = "{:.3g}".format
_OMEGA: Columns = {"Omega": ("omega", _omega)}
_SHARE: Columns = {"Share": ("share", "{:.0%}".format)}
_SPREAD: Columns = {
    **{f"Split {p}": (f"split_p{p}", signed) for p in ("5", "50", "95")},
    **{f"Omega {p}": (f"omega_p{p}", _omega) for p in ("5", "50", "95")},
}
_FIXED: Columns = {
    "Tasks": ("n_tasks", str),
    **{
        heading: (f"{name}{end}", signed)
        for name, title in {"tuned": "Tuned", **{f"at_{omega}": f"At {omega}" for omega in FIXED}}.items()
        for heading, end in ((title, ""), (f"{title} from", "_low"), (f"{title} to", "_high"))
    },
}
_OPTIMUM: Columns = {
    "Tasks": ("n_tasks", str),
    "Plain (%)": ("plain_pass_at_1", percent),
    "Peak (%)": ("highest_pass_at_1", percent),
    "at": ("best_lo", _omega),
    "May be best from": ("kept_lo", _omega),
    "to": ("kept_hi", _omega),
    "Tried up to": ("tried_hi", _omega),
    "Steps": ("steps", str),
    "Falls after rises": ("falls_after_rises", str),
}
_RIVAL: Columns = {
    "Less description": ("less_description", signed),
    "less from": ("less_low", signed),
    "less to": ("less_high", signed),
}
_PUBLISHED: Columns = {
    "Model": ("model", str),
    "Benchmark": ("benchmark", benchmark_name),
    "Quantity": ("quantity", str),
    "Published setting": ("setting", str),
}
_COMPARED: Columns = {
    "Published (%)": ("published", percent),
    "Ours (%)": ("ours", percent),
    "from": ("ours_low", percent),
    "to": ("ours_high", percent),
    "Difference": ("difference", signed),
    "Less evalplus": ("less_leaderboard", signed),
    "less from": ("less_low", signed),
    "less to": ("less_high", signed),
    "Our template": ("template", str),
    "Our extraction": ("extraction", str),
    "Our weights": ("weights", str),
    "Source": ("source", str),
}
_CONDITIONS: Columns = {"Conditions": ("conditions", str)}
_COST: Columns = {
    "Ratio": ("ratio", "{:.2f}".format),
    "lowest": ("ratio_low", "{:.2f}".format),
    "highest": ("ratio_high", "{:.2f}".format),
    "Plain (tokens/s)": ("plain_tokens_per_second", "{:.1f}".format),
    "SPA (tokens/s)": ("spa_tokens_per_second", "{:.1f}".format),
}


def tables(evidence: Evidence) -> list[Table]:
    """The tables that the evidence allows."""
    curves = evidence.curves
    tested, tuned = [INTERVAL, TESTS], readings.tuned_rows(curves)
    origin: dict[str, tuple[str, Format]] = {
        "Tuned on": ("source_model", str),
        "of": ("source_benchmark", benchmark_name),
    }
    trigger: dict[str, tuple[str, Format]] = {"Trigger": ("trigger", str), **_OMEGA, "Triggered": ("n_triggered", str)}
    made = [
        models_by_benchmarks(curves),
        _thinned("every_task", _OMEGA | _RATES | _TESTED, readings.every_task_rows(curves), [EVERY_TASK, *tested]),
        _table("tuned", _CELL, _SHARE | _RATES | _SPREAD, tuned, [TUNED, _certainty(tuned), SPREAD, INTERVAL]),
        _table("fixed", _CELL, _FIXED, readings.fixed_rows(curves), [f"{CHOSEN} {RESAMPLED} {HERE}", AT_FIXED]),
        _table(
            "transfer", _CELL | origin, _OMEGA | _RATES | _TESTED, readings.transfer_rows(curves), [TRANSFER, *tested]
        ),
        _thinned("test_triggered", trigger | _RATES | _COUNTS, readings.triggered_rows(curves), [TRIGGERED, INTERVAL]),
        _table("optimum", _CELL, _OPTIMUM, optimum_rows(curves), [OPTIMUM]),
        _table("anchors", _CELL, _RATES | _RIVAL, anchor_rows(curves), [ANCHORS, TUNED, INTERVAL]),
        _table("published", _PUBLISHED, _COMPARED, published.compare(published.read(), curves), [PUBLISHED]),
        _table("cost", _CONDITIONS, _COST, cost_rows(evidence.speed), [COST]),
    ]
    return [table for table in made if table is not None]


def missing_tables(made: Iterable[Table]) -> list[str]:
    """A sentence for each table that could not be made."""
    names = {table.name for table in made}
    return [f"No table '{TITLES[name]}': it needs {needs}." for name, needs in NEEDS.items() if name not in names]


def models_by_benchmarks(curves: Iterable[Curve]) -> Table | None:
    """The paper's main table: models by benchmarks, each with plain, SPA and delta, in the tuned reading."""
    described = [curve for curve in curves if curve.anchor == ANCHOR and curve.settings.items() >= DEFAULTS.items()]
    rows = readings.tuned_rows(described)
    if rows.empty:
        return None
    rows = _named(rows[rows["share"] == SHARE]).reset_index(drop=True)
    cells = {}
    for names, model in rows.groupby(["model", "weights", "template"], sort=False):
        for row in model.to_dict("records"):
            name = benchmark_name(row["benchmark"])
            cells[names, (name, "Plain")] = percent(row["plain_pass_at_1"])
            cells[names, (name, "SPA")] = percent(row["spa_pass_at_1"])
            interval = f"{signed(row['delta_low'])} to {signed(row['delta_high'])}"
            cells[names, (name, "Delta")] = f"{signed(row['delta'])} ({interval})"
    models = list(dict.fromkeys(names for names, _ in cells))
    columns = [(benchmark_name(b), part) for b in sorted(set(rows["benchmark"])) for part in ("Plain", "SPA", "Delta")]
    several = len({names[:2] for names in models}) < len(models)
    shown = [
        [*names[: 3 if several else 2], *(cells.get((names, column), "") for column in columns)] for names in models
    ]
    first = [("Model", ""), ("Weights", ""), *([("Template", "")] if several else [])]
    frame = pd.DataFrame(shown, columns=pd.MultiIndex.from_tuples([*first, *columns]), dtype=object)
    return Table("paper", TITLES["paper"], rows, frame, len(first), (f"{TUNED} {HERE} {_certainty(rows)}", INTERVAL))


def _certainty(tuned: pd.DataFrame) -> str:
    worst = tuned["monte_carlo_error"].max() if len(tuned) else 0
    return f"The standard error of an interval's end, for want of more resamples, is at most {worst * 100:.2f} points."


def closing(curves: Iterable[Curve], summary: pd.DataFrame) -> str:
    """The results for a terminal: a row for each cell, with plain, SPA and their difference; empty without a cell.

    SPA is at the cell's omega where there is but one beside 0, else tuned. Single omegas of `aggregate.summary` that
    have no plain run to compare with stand alone. What tells no cells apart is left out.
    """
    rows: list[Mapping[Any, Any]] = [_closing_row(curve) for curve in curves]
    alone = summary[summary["delta"].isna() & (summary["omega_lo"] == summary["omega_hi"])]
    alone = alone.assign(spa_pass_at_1=alone["pass_at_1"], omega=alone["omega_lo"].map(_omega))
    rows += alone[[*SETTINGS, "n_tasks", "spa_pass_at_1", "omega"]].to_dict("records")
    if not rows:
        return ""
    shared = dict.fromkeys(("plain_pass_at_1", "spa_pass_at_1", "delta", "delta_low", "delta_high"))
    data = _named(pd.DataFrame([{**shared, **row} for row in rows]))
    names = {heading: _CELL[heading] for heading in ("Model", "Benchmark")}
    names |= {"Anchor (mask)": _CELL["Anchor (mask)"]} if data["anchored"].nunique() > 1 else {}
    names |= {name.capitalize(): (name, str) for name in differing(data, ("weights", "template", "extraction"))}
    shown = shown_as(data, {**names, **_RATES})
    low, high = shown.pop("from"), shown.pop("to")
    shown = shown.assign(**{"95%": (low + " to " + high).where(low != "", ""), "Omega": data["omega"]})
    sides = ["left"] * len(names) + ["right"] * (shown.shape[1] - len(names))
    table = plain_table(shown.to_numpy().tolist(), list(shown.columns), sides)
    return f"{table}\n\n{CLOSING}" if (data["omega"] == _TUNED).any() else table


def _closing_row(curve: Curve) -> dict[str, Any]:
    omegas = [omega for omega in curve.grid if omega != 0]
    row = {**curve.settings, "n_tasks": curve.n_tasks, "plain_pass_at_1": float(curve.plain.mean()), "omega": ""}
    if len(omegas) == 1:
        return {**row, **readings.every_task_rows([curve]).iloc[0], "omega": _omega(omegas[0])}
    tuned = readings.tuned_rows([curve])
    if tuned.empty:
        return row
    return {**row, **tuned[tuned["share"] == SHARE].iloc[0], "omega": _TUNED}


def cost_rows(speeds: Sequence[Speed]) -> pd.DataFrame:
    """A row for each benchmark of speed."""
    return pd.DataFrame(
        {
            "benchmark_file": f"bench/{speed.name}.json",
            "conditions": speed.conditions,
            "ratio": speed.ratio,
            "ratio_low": min(speed.rounds),
            "ratio_high": max(speed.rounds),
            "plain_tokens_per_second": speed.plain_tokens_per_second,
            "spa_tokens_per_second": speed.spa_tokens_per_second,
        }
        for speed in speeds
    )


def _table(name: str, names: Columns, numbers: Columns, data: pd.DataFrame, notes: Sequence[str]) -> Table | None:
    if data.empty:
        return None
    shown = shown_as(_named(data) if "quantization" in data else data, names | numbers)
    return Table(name, TITLES[name], data, shown, len(names), tuple(notes))


def _thinned(name: str, numbers: Columns, data: pd.DataFrame, notes: Sequence[str]) -> Table | None:
    """A table of cells at omegas that shows `FEW` evenly spaced ones, the last among them, where there are many."""
    reading, *others = notes
    table = _table(name, _CELL, numbers, data, [reading, THINNED, *others])
    return table and replace(table, shown=table.shown[_kept(data).to_numpy()].reset_index(drop=True))


def _kept(data: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows are shown, of each cell and trigger."""
    groups = data.groupby([name for name in (*SETTINGS, "trigger") if name in data])["omega"]
    place, size = groups.cumcount(), groups.transform("size")
    return (size <= 2 * FEW) | ((place + 1) * FEW // size > place * FEW // size)


def with_weights(data: pd.DataFrame) -> pd.DataFrame:
    """With a column `weights`: the kind of the model's."""
    exact = data["quantization"] == "none"
    return data.assign(weights=data["dtype"].where(exact, data["dtype"] + ", " + data["quantization"]))


def _named(data: pd.DataFrame) -> pd.DataFrame:
    """With the columns that name a cell to a reader."""
    method = data["method"].map(lambda name: "" if name == DEFAULTS["method"] else f", {name}")
    return with_weights(data).assign(anchored=data["anchor"] + " (" + data["mask"] + ")" + method)
