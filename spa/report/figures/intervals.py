"""Figures that compare cells: a row for each, with a point and an interval. `drawings` makes those that data allow."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from spa.analysis.claims import RATIOS
from spa.analysis.readings import SHARE
from spa.records import ANCHOR, DEFAULTS, SETTINGS
from spa.report.figures.drawing import (
    BOOTSTRAP,
    COLOURS,
    COLUMN_WIDTH,
    DIFFERENCE,
    DOTTED,
    STYLE,
    Drawing,
    draw_grid,
    named,
)
from spa.report.tables import Table

ROW_HEIGHT = 0.17  # inches
PANEL_HEIGHT = 0.32  # of a panel's title and margins
AXIS_HEIGHT = 0.65  # with the legend
DRAWN = ["panel", "label", "value", "low", "high", "box_low", "box_high"]

Form = Literal["bootstrap", "splits", "plausible", "rounds"]  # what an interval means: each looks different
_FORMS: dict[Form, tuple[str, dict[str, Any], str, dict[str, Any]]] = {  # the point and the interval, with their names
    "bootstrap": ("tuned", {"color": COLOURS[0], "marker": "o"}, BOOTSTRAP, {"color": COLOURS[0], "linewidth": 1.1}),
    "splits": (
        "mean of the splits",
        {"color": "0.2", "marker": "d"},
        "their 5th to 95th percentile",
        {"color": "0.45", "linewidth": 0.7},
    ),
    "plausible": (
        "highest Pass@1",
        {"color": "0", "marker": "|", "markeredgewidth": 1.2, "markersize": 6},
        "omegas that may be the best",
        {"color": COLOURS[4], "linewidth": 5, "alpha": 0.45},
    ),
    "rounds": (
        "median of the rounds",
        {"color": COLOURS[2], "marker": "s"},
        "lowest to highest",
        {"color": COLOURS[2], "linewidth": 1.1, "linestyle": (0, (3, 1.2))},
    ),
}
_BOX: dict[str, Any] = {"color": "0.8"}


def drawings(tables: Iterable[Table]) -> list[Drawing]:
    """Anchor ablation, spread of the tuning splits, best omegas and cost, where their tables are there.

    Cells of which no omega is excluded as the best are not drawn: `without_optimum` counts them.
    """
    data = {table.name: table.data for table in tables}
    none = pd.DataFrame(columns=["anchor", "method", "share", "kept_lo", "kept_hi", "tried_lo", "tried_hi"])
    tuned, optimum = data.get("tuned", none), _described(data.get("optimum", none))
    made: list[tuple[str, str, str, pd.DataFrame, tuple[float, ...], Form]] = [
        (
            "anchors",
            "Anchor ablation: gain over plain decoding, omega tuned for each anchor.",
            DIFFERENCE,
            _points(data.get("anchors", none), "delta", "delta_low", "delta_high", label="anchor"),
            (0.0,),
            "bootstrap",
        ),
        (
            "tuning",
            f"Omega chosen on {SHARE:.0%} of the tasks: gain over plain decoding on the others, in 1,000 splits. The "
            "spread is that of the choice of tasks, not the uncertainty of the mean.",
            DIFFERENCE,
            _points(
                _described(tuned[tuned["share"] == SHARE]), "delta", "split_p5", "split_p95", ("split_p25", "split_p75")
            ),
            (0.0,),
            "splits",
        ),
        (
            "optimum",
            "Best omega. Bar: from the first to the last omega that a paired bootstrap comparison with the best does "
            f"not exclude (95%). {without_optimum(optimum)}".strip(),
            r"Anchoring weight $\omega$",
            _rows(optimum[~_excludes_nothing(optimum)], "best_lo", "kept_lo", "kept_hi"),
            (),
            "plausible",
        ),
        (
            "cost",
            "Time of SPA over that of plain decoding. Dotted: the two ratios that versions of the paper state.",
            "SPA / plain, time",
            _cost(data.get("cost", none)),
            tuple(RATIOS.values()),
            "rounds",
        ),
    ]
    return [
        Drawing(name, caption, interval_figure(rows, axis, lines, form), rows)
        for name, caption, axis, rows, lines, form in made
        if len(rows)
    ]


def remarks(tables: Iterable[Table]) -> list[str]:
    """What stands where a figure would show nothing: a sentence on the best omega where no cell excludes any."""
    rows = [_described(table.data) for table in tables if table.name == "optimum"]
    return [without_optimum(each) for each in rows if _excludes_nothing(each).all()]


def without_optimum(rows: pd.DataFrame) -> str:
    """A sentence on the cells of which no omega is excluded; empty where there is none. rows: of the table optimum."""
    n_cells, n_all = int(_excludes_nothing(rows).sum()), len(rows)
    which = (
        "the only cell" if n_all == 1 else f"all {n_all} cells" if n_cells == n_all else f"{n_cells} of {n_all} cells"
    )
    told = "no omega that was tried can be excluded as the best one (95%, paired bootstrap comparison with the best)"
    return f"In {which} {told}." if n_cells else ""


def _excludes_nothing(rows: pd.DataFrame) -> "pd.Series[bool]":
    return (rows["kept_lo"] == rows["tried_lo"]) & (rows["kept_hi"] == rows["tried_hi"])


def interval_figure(rows: pd.DataFrame, axis_label: str, lines: Sequence[float], form: Form) -> Figure:
    """`rows` with the columns DRAWN, not empty: a panel for each `panel`, in their order; boxes may be NaN.

    `lines` are values to compare with.
    """
    panels = [panel for _, panel in rows.groupby("panel", sort=False)]
    heights = [PANEL_HEIGHT + ROW_HEIGHT * len(panel) for panel in panels]
    point_name, point, interval_name, interval = _FORMS[form]
    marked: dict[str, Any] = {"markersize": 3.5, "linestyle": "none"} | point
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN_WIDTH, sum(heights) + AXIS_HEIGHT), layout="constrained")
        axes = figure.subplots(len(panels), squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        for axis, panel in zip(axes, panels, strict=True):
            places = np.arange(len(panel))[::-1]
            for value in lines:
                axis.axvline(value, linewidth=0.7, zorder=1, **DOTTED)
            axis.hlines(places, panel["low"], panel["high"], **interval)
            widths = panel["box_high"] - panel["box_low"]
            axis.barh(places, widths, left=panel["box_low"], height=0.55, zorder=0.5, **_BOX)
            axis.plot(panel["value"], places, **marked)
            axis.set_yticks(places, panel["label"])
            axis.set_ylim(-0.6, len(panel) - 0.4)
            axis.set_title(" ")  # keeps the room of the title, which begins left of the labels
            place: dict[str, Any] = {"xy": (0.01, 1.04), "xycoords": ("figure fraction", "axes fraction")}
            axis.annotate(panel["panel"].iloc[0], **place, fontsize=8).set_in_layout(False)
            axis.tick_params(axis="y", length=0)
            draw_grid(axis, "x")
        axes[-1].locator_params(axis="x", nbins=5)
        axes[-1].set_xlabel(axis_label)
        entries: dict[str, Artist] = {point_name: Line2D([], [], **marked), interval_name: Line2D([], [], **interval)}
        if rows["box_low"].notna().any():
            entries["their quartiles"] = Patch(**_BOX)
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside lower left",
            ncols=2,
            frameon=False,
            handlelength=2,
        )
    return figure


def _described(rows: pd.DataFrame) -> pd.DataFrame:
    """SPA's cells of the default anchor, where there are any: the ablation and the comparison show the others."""
    for name, usual in (("method", DEFAULTS["method"]), ("anchor", ANCHOR)):
        rows = rows[rows[name] == usual] if (rows[name] == usual).any() else rows
    return rows


def _points(
    rows: pd.DataFrame, value: str, low: str, high: str, box: tuple[str, str] | None = None, label: str = "benchmark"
) -> pd.DataFrame:
    """As `_rows`, of differences of rates in points."""
    drawn = _rows(rows, value, low, high, box, label)
    numbers = DRAWN[2:]
    return drawn.assign(**{name: drawn[name] * 100 for name in numbers}) if len(drawn) else drawn


def _rows(
    rows: pd.DataFrame, value: str, low: str, high: str, box: tuple[str, str] | None = None, label: str = "benchmark"
) -> pd.DataFrame:
    """The columns DRAWN: a panel for each model, or model and benchmark, a label for what its rows differ in."""
    if rows.empty:
        return rows
    names = rows.assign(benchmark=rows["benchmark"].map(named))
    within = ["model"] if label == "benchmark" else ["model", "benchmark"]
    further = [name for name in SETTINGS if name not in (*within, label)]
    differing = [name for name in further if (names.groupby([*within, label])[name].nunique() > 1).any()]
    return pd.DataFrame(
        {
            "panel": names[within].agg(", ".join, axis=1),
            "label": names[[label, *differing]].agg(", ".join, axis=1),
            "value": rows[value],
            "low": rows[low],
            "high": rows[high],
            "box_low": rows[box[0]] if box else np.nan,
            "box_high": rows[box[1]] if box else np.nan,
        }
    )


def _cost(rows: pd.DataFrame) -> pd.DataFrame:
    if rows.empty:
        return rows
    names = rows["benchmark_file"].str.removeprefix("bench/").str.removesuffix(".json")
    numbers = {"value": rows["ratio"], "low": rows["ratio_low"], "high": rows["ratio_high"]}
    return pd.DataFrame({"panel": "Batch 16", "label": names, **numbers, "box_low": np.nan, "box_high": np.nan})
