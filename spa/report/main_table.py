"""The main table: Pass@1 of each run over omega, beside plain greedy decoding."""

from typing import Any

import numpy as np
import pandas as pd

from spa.analysis.formats import benchmark_name, p_text, percent, signed
from spa.omega import holds, omega_text
from spa.records import READING
from spa.report.tables import RUN, Format, Table, differing

NOTE = (
    "95% CI: Wilson score interval. Delta (points), fixed, broken and p (exact two-sided McNemar test) compare with "
    "plain greedy decoding (omega = 0) on the same tasks; n/a: no plain run to compare with."
)
INTERVAL_NOTE = "Of an omega interval the table shows the parts that hold evenly spaced omegas; summary.csv holds all."
SHOWN_OF_INTERVAL = 6


def main_table(summary: pd.DataFrame) -> Table:
    """Each model and benchmark: plain Pass@1, and SPA's at each omega with its comparison. Rows of `summary`.

    All values of a run are rows; of an interval, the parts that hold six evenly spaced omegas.
    """
    runs = [_thinned(run) for _, run in summary.groupby([*READING, "benchmark"], sort=False)]
    data = pd.concat(runs).sort_index(ignore_index=True) if runs else summary
    names, numbers = _names(data), _numbers(data)
    has_intervals = bool((data["omega_lo"] < data["omega_hi"]).any())
    return Table(
        name="main",
        title="Pass@1",
        data=data,
        shown=pd.DataFrame(names | numbers, dtype=object),
        n_names=len(names),
        notes=(NOTE, INTERVAL_NOTE) if has_intervals else (NOTE,),
        said_once=(*names, "Tasks (anchored)", "Plain (%)", RUN),
        has_heading=False,
    )


def _thinned(run: pd.DataFrame) -> pd.DataFrame:
    if (run["omega_lo"] == run["omega_hi"]).all():
        return run
    omegas = np.linspace(run["omega_lo"].min(), run["omega_hi"].max(), SHOWN_OF_INTERVAL)
    return run.iloc[np.unique(np.searchsorted(run["omega_lo"], omegas, side="right") - 1)]


def _names(data: pd.DataFrame) -> dict[str, Any]:
    """The columns that name a cell; further settings only where the runs of one model differ in them."""
    further = differing(data, ("method", "profile", "template", "extraction"))
    return {
        "Model": data["model"],
        "Weights": [dtype if q == "none" else f"{dtype}, {q}" for dtype, q in _pairs(data, "dtype", "quantization")],
        "Benchmark": data["benchmark"].map(benchmark_name),
        "Anchor (mask)": [f"{anchor} ({mask})" for anchor, mask in _pairs(data, "anchor", "mask")],
        **{name.capitalize(): data[name] for name in further},
    }


def _numbers(data: pd.DataFrame) -> dict[str, Any]:
    """The columns of numbers; omega 0 is not compared with itself."""
    end = data.groupby("key")["omega_hi"].transform("max")
    is_plain = holds(data["omega_lo"], data["omega_hi"], 0, end)

    def compared(column: str, form: Format) -> list[str]:
        values = zip(data[column], data["delta"].isna(), is_plain, strict=True)
        return ["n/a" if alone else "" if plain else form(value) for value, alone, plain in values]

    return {
        "Tasks (anchored)": [f"{tasks} ({anchored})" for tasks, anchored in _pairs(data, "n_tasks", "n_anchored")],
        "Plain (%)": ["n/a" if pd.isna(rate) else percent(rate) for rate in data["baseline_pass_at_1"]],
        "Omega": [omega_text(lo, hi) for lo, hi in _pairs(data, "omega_lo", "omega_hi")],
        "Pass@1 (%)": [percent(rate) for rate in data["pass_at_1"]],
        "95% CI": [f"{percent(low)} to {percent(high)}" for low, high in _pairs(data, "ci_low", "ci_high")],
        "Delta": compared("delta", signed),
        "Fixed": compared("fixed", str),
        "Broken": compared("broken", str),
        "p": compared("p_value", p_text),
        RUN: data["key"],
    }


def _pairs(data: pd.DataFrame, first: str, second: str) -> list[tuple[Any, Any]]:
    return list(zip(data[first], data[second], strict=True))
