"""SPA less plain decoding over omega: a line for each run over an interval, or for runs of single omegas together."""

import math
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from spa.records import ANCHOR, DEFAULTS, SETTINGS
from spa.report.figures.drawing import (
    BOOTSTRAP,
    COLOURS,
    COLUMN_WIDTH,
    DIFFERENCE,
    DOTTED,
    PLAIN,
    STYLE,
    TEXT_WIDTH,
    Drawing,
    draw_grid,
    named,
    slug,
    staircase,
)

IN_A_COLUMN = 2  # panels; more stand in two columns
PANEL_HEIGHT = 1.7
LEGEND_ROW = 0.14

USUAL = {"anchor": ANCHOR, "mask": DEFAULTS["mask"], "method": DEFAULTS["method"]}
PANEL = ["model", "benchmark"]
SERIES = [*(name for name in SETTINGS if name not in PANEL), "experiment"]
_DELTA = ["delta", "delta_low", "delta_high"]
_DRAWN = ["n_tasks", "pass_at_1", "baseline_pass_at_1", *_DELTA]
# Seven colours, seven markers and six line styles: only the 43rd series looks like the first.
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
_LINES: list[str | tuple[int, tuple[float, ...]]] = [
    "-",
    (0, (5, 1.5)),
    (0, (4, 1.2, 1, 1.2)),
    (0, (1.5, 1)),
    (0, (8, 2)),
    (0, (4, 1.2, 1, 1.2, 1, 1.2)),
]


def omega_curves(summary: pd.DataFrame) -> list[Drawing]:
    """The curves of each model: with the usual anchor and mask, then by anchor, and by mask."""
    rows = curve_rows(summary)
    return [
        Drawing(f"omega_curve_{name}{suffix}", _caption(part, by), omega_curve(part), part)
        for name, model in rows.groupby(rows["model"].map(slug))
        for suffix, by, part in _views(model)
    ]


def curve_rows(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows that the omega curves draw: each series with an omega beside 0, one run for each omega.

    What has no plain run to compare with is left out. Where two runs of a series hold the same omega, the one with more
    tasks is drawn. Of experiments that differ in nothing but their tasks, those with the most are. Where SPA has a
    curve other methods have none: `method_curves` compares them.
    """
    series = [*PANEL, *SERIES]
    beside_zero = (summary["omega_lo"] != 0) | (summary["omega_hi"] != 0)
    rows = summary[
        summary["delta"].notna() & beside_zero.groupby([summary[name] for name in series]).transform("any").astype(bool)
    ]
    most, of_all = (rows.groupby(group)["n_tasks"].transform("max") for group in (series, SETTINGS))
    rows = rows[most == of_all]
    rows = rows[_is_usual(rows, "method")]
    rows = rows.sort_values(
        [*series, "omega_lo", "omega_hi", "n_tasks", "key"], ascending=[*(len(series) + 2) * [True], False, True]
    )
    rows = rows.drop_duplicates([*series, "omega_lo", "omega_hi"])
    return rows[[*series, "key", "omega_lo", "omega_hi", *_DRAWN]].reset_index(drop=True)


def omega_curve(rows: pd.DataFrame) -> Figure:
    """Pass@1 less plain decoding's (points) over omega: a panel for each model and benchmark, a line for each series.

    `rows` as `curve_rows` gives them, not empty. Single omegas are points joined by a line, an interval is a step
    function; up to two lines have 95% bands, by a paired bootstrap. All panels have one scale.
    """
    with mpl.rc_context(STYLE):
        number = rows.groupby(SERIES).ngroup()  # a series looks the same in every panel
        has_bands, n_models = _has_bands(rows), rows["model"].nunique()
        rows = rows.assign(label=_labels(rows), number=number)
        panels = list(rows.groupby(PANEL))
        n_columns = 1 if len(panels) <= IN_A_COLUMN else 2
        n_rows = math.ceil(len(panels) / n_columns)
        legend_rows = math.ceil((2 + number.nunique()) / (2 * n_columns))
        height = PANEL_HEIGHT * n_rows + LEGEND_ROW * (3 + legend_rows)
        figure = Figure(figsize=(COLUMN_WIDTH if n_columns == 1 else TEXT_WIDTH, height), layout="constrained")
        grid = figure.subplots(n_rows, n_columns, squeeze=False, sharex=True, sharey=True).ravel()
        axes, spare = grid[: len(panels)], grid[len(panels) :]
        for axis in spare:
            axis.remove()
        for axis, ((model, benchmark), panel) in zip(axes, panels, strict=True):
            _draw_panel(axis, panel, has_bands)
            plain = sorted({f"{rate:.1%}" for rate in panel["baseline_pass_at_1"]})
            cell = [str(benchmark)] if n_models == 1 else [str(model), str(benchmark)]
            axis.set_title(f"{named(*cell)}: plain {', '.join(plain)}")
        axes[-1].locator_params(axis="x", nbins=6)
        for leftmost in axes[::n_columns]:
            leftmost.set_ylabel(DIFFERENCE)
        for lowest in axes[-n_columns:]:
            lowest.set_xlabel(r"Anchoring weight $\omega$")
            lowest.tick_params(labelbottom=True)
        if n_models == 1:
            figure.suptitle(rows["model"].iloc[0], x=0.01, ha="left")
        figure.align_ylabels()
        entries: dict[str, Artist] = {
            text: line for axis in axes for line, text in zip(*axis.get_legend_handles_labels(), strict=True)
        }
        if has_bands:
            entries[BOOTSTRAP] = Patch(color="0.87")
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside lower left",
            ncols=2 * n_columns,
            frameon=False,
            handlelength=3,
        )
    return figure


def _views(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Suffix, description and rows of the figures of one model; each row is in one of them."""
    anchor, mask = (_is_usual(rows, column) for column in ("anchor", "mask"))
    views = [("", "", anchor & mask), ("_anchors", ", by anchor", mask), ("_masks", ", by mask", anchor)]
    views.append(("_all", ", all series", anchor | True))
    drawn = anchor & False
    for suffix, by, chosen in views:
        if (chosen & ~drawn).any():
            part = rows[chosen]
            compared = part.groupby(SERIES).ngroup().groupby([part[name] for name in PANEL]).transform("nunique") > 1
            yield suffix, by, part[compared | (not suffix)].reset_index(drop=True)
        drawn |= chosen


def _is_usual(rows: pd.DataFrame, column: str) -> pd.Series:
    """All rows of a benchmark that was not run with the usual anchor, mask or method."""
    usual = rows[column] == USUAL[column]
    return usual | ~usual.groupby([rows[name] for name in PANEL]).transform("any")


def _caption(rows: pd.DataFrame, by: str) -> str:
    bands = f" Bands: {BOOTSTRAP}s, paired over tasks." if _has_bands(rows) else ""
    return (
        f"{rows['model'].iloc[0]} over omega{by}: SPA's Pass@1 less plain greedy decoding's on the same tasks.{bands}"
    )


def _has_bands(rows: pd.DataFrame) -> bool:
    """The bands of more than two lines would hide each other."""
    return max(panel.groupby(SERIES).ngroups for _, panel in rows.groupby(PANEL)) <= 2


def _labels(rows: pd.DataFrame) -> pd.Series:
    """What the series differ in; the experiment only where nothing else tells them apart."""
    several = [column for column in SERIES if rows[column].nunique() > 1]
    further = [column for column in several if column in SETTINGS]
    if further and rows.groupby(further).ngroups == rows.groupby(SERIES).ngroups:
        several = further
    names = rows[several or ["anchor"]].replace("", "no experiment")
    return names.agg(", ".join, axis=1)


def _draw_panel(axis: Axes, panel: pd.DataFrame, has_bands: bool) -> None:
    for _, series in panel.groupby(SERIES):
        is_part = series["omega_lo"] < series["omega_hi"]
        for _, interval in series[is_part].groupby("key"):
            _draw_steps(axis, interval, has_bands)
        if not is_part.all():
            _draw_points(axis, series[~is_part], has_bands)
    axis.axhline(0, label=PLAIN, zorder=1, linewidth=0.7, **DOTTED)
    draw_grid(axis, "y")


def _draw_points(axis: Axes, rows: pd.DataFrame, has_bands: bool) -> None:
    omega, delta, low, high = (rows[name].to_numpy(dtype=float) for name in ["omega_lo", *_DELTA])
    style = _line_style(rows)
    axis.plot(omega, delta * 100, marker=MARKERS[rows["number"].iloc[0] % len(MARKERS)], markersize=3.5, **style)
    if not has_bands:
        return
    if len(rows) > 1:
        axis.fill_between(omega, low * 100, high * 100, color=style["color"], alpha=0.15, linewidth=0)
    else:  # a band of no width would not be seen
        axis.vlines(omega, low * 100, high * 100, color=style["color"], linewidth=0.8)


def _draw_steps(axis: Axes, rows: pd.DataFrame, has_bands: bool) -> None:
    omega, delta, low, high = staircase(rows, *_DELTA)
    style = _line_style(rows)
    axis.step(omega, delta * 100, where="post", **style)
    if has_bands:
        axis.fill_between(omega, low * 100, high * 100, step="post", color=style["color"], alpha=0.15, linewidth=0)


def _line_style(series: pd.DataFrame) -> dict[str, Any]:
    number, label = series[["number", "label"]].iloc[0]
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": _LINES[number % len(_LINES)],
        "linewidth": 1.1,
        "label": label,
    }
