"""Figures that compare cells: a row for each, with a point and an interval. `drawings` makes those that data allow."""

from collections.abc import Iterable, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from spa.analysis.claims import RATIOS
from spa.analysis.formats import benchmark_name
from spa.analysis.readings import SHARE
from spa.records import ANCHOR, DEFAULTS, SETTINGS
from spa.report.figures.drawing import COLOURS, COLUMN_WIDTH, DOTTED, STYLE, Drawing, draw_grid
from spa.report.tables import Table

ROW_HEIGHT = 0.17  # inches
PANEL_HEIGHT = 0.32  # of a panel's title and margins
AXIS_HEIGHT = 0.4
DRAWN = ["panel", "label", "value", "low", "high", "box_low", "box_high"]


def drawings(tables: Iterable[Table]) -> list[Drawing]:
    """Anchor ablation, spread of the tuning splits, best omegas and cost, where their tables are there."""
    data = {table.name: table.data for table in tables}
    none = pd.DataFrame(columns=["anchor", "method", "share"])
    tuned = data.get("tuned", none)
    made = [
        (
            "anchors",
            "Anchor ablation: gain over plain decoding, omega tuned for each anchor; 95% paired bootstrap.",
            "SPA - plain (points)",
            _points(data.get("anchors", none), "delta", "delta_low", "delta_high", label="anchor"),
            (0.0,),
        ),
        (
            "tuning",
            f"Omega chosen on {SHARE:.0%} of the tasks: gain over plain decoding on the others. Point: mean of 1,000 "
            "splits; box: their quartiles; line: their 5th to 95th percentile.",
            "SPA - plain (points)",
            _points(
                _described(tuned[tuned["share"] == SHARE]), "delta", "split_p5", "split_p95", ("split_p25", "split_p75")
            ),
            (0.0,),
        ),
        (
            "optimum",
            "Best omega. Point: the highest Pass@1; line: from the first to the last omega that a paired bootstrap "
            "comparison with the best does not exclude (95%).",
            r"Anchoring weight $\omega$",
            _rows(_described(data.get("optimum", none)), "best_lo", "kept_lo", "kept_hi"),
            (),
        ),
        (
            "cost",
            "Time of SPA over that of plain decoding. Point: median; line: lowest to highest of the rounds; dotted: "
            "the two ratios that versions of the paper state.",
            "SPA / plain, time",
            _cost(data.get("cost", none)),
            tuple(RATIOS.values()),
        ),
    ]
    return [
        Drawing(name, caption, interval_figure(rows, axis, lines), rows)
        for name, caption, axis, rows, lines in made
        if len(rows)
    ]


def interval_figure(rows: pd.DataFrame, axis_label: str, lines: Sequence[float] = ()) -> Figure:
    """`rows` with the columns DRAWN, not empty: a panel for each `panel`, in their order; boxes may be NaN.

    `lines` are values to compare with.
    """
    panels = [panel for _, panel in rows.groupby("panel", sort=False)]
    heights = [PANEL_HEIGHT + ROW_HEIGHT * len(panel) for panel in panels]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN_WIDTH, sum(heights) + AXIS_HEIGHT), layout="constrained")
        axes = figure.subplots(len(panels), squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        for axis, panel in zip(axes, panels, strict=True):
            places = np.arange(len(panel))[::-1]
            for value in lines:
                axis.axvline(value, linewidth=0.7, zorder=1, **DOTTED)
            axis.hlines(places, panel["low"], panel["high"], color=COLOURS[0], linewidth=1.1)
            axis.barh(
                places,
                panel["box_high"] - panel["box_low"],
                left=panel["box_low"],
                height=0.55,
                color="0.8",
                zorder=0.5,
            )
            is_reference = (panel["label"] == ANCHOR).to_numpy()
            for chosen, marker in ((is_reference, "s"), (~is_reference, "o")):
                axis.plot(panel["value"][chosen], places[chosen], marker, color=COLOURS[0], markersize=3.5)
            axis.set_yticks(places, panel["label"])
            axis.set_ylim(-0.6, len(panel) - 0.4)
            axis.set_title(panel["panel"].iloc[0], loc="right")  # grows to the left, over the labels
            axis.tick_params(axis="y", length=0)
            draw_grid(axis, "x")
        axes[-1].locator_params(axis="x", nbins=5)
        axes[-1].set_xlabel(axis_label)
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
    named = rows.assign(benchmark=rows["benchmark"].map(benchmark_name))
    within = ["model"] if label == "benchmark" else ["model", "benchmark"]
    further = [name for name in SETTINGS if name not in (*within, label)]
    differing = [name for name in further if (named.groupby([*within, label])[name].nunique() > 1).any()]
    return pd.DataFrame(
        {
            "panel": named[within].agg(", ".join, axis=1),
            "label": named[[label, *differing]].agg(", ".join, axis=1),
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
