"""Methods beside each other over omega: Pass@1 less plain greedy decoding's, a panel for each method."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from spa.records import SETTINGS
from spa.report.figures.drawing import (
    BOOTSTRAP,
    COLOURS,
    COLUMN_WIDTH,
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

IN_A_COLUMN = 3  # panels beside each other; more share the width of two columns
PANEL_HEIGHT = 1.35
WIDE = 10  # a grid that reaches beyond this omega stands on a logarithmic axis from 1 on
AROUND = 1.0  # inches above and below the panels: titles, the axis, the legend

PANEL = ["method", "anchor", "mask"]  # a column of panels each
LINE = [name for name in SETTINGS if name not in PANEL]  # a line of panels each
_GREEK = ("alpha", "gamma", "omega")


def drawings(rows: pd.DataFrame) -> list[Drawing]:
    """A figure for each model of `analysis.methods.method_curves`."""
    return [
        Drawing(f"methods_{slug(str(model))}", _caption(str(model)), method_figure(part), part.reset_index(drop=True))
        for model, part in (rows.groupby("model", sort=False) if len(rows) else ())
    ]


def method_figure(rows: pd.DataFrame) -> Figure:
    """One model's differences to plain decoding, in points with paired 95% intervals. rows: not empty.

    Methods stand beside each other, benchmarks and other settings below each other. An interval of omegas is a step
    function with a band, single omegas are points with bars. A method that was not run on a benchmark leaves a gap.
    """
    column, line = rows.groupby(PANEL, sort=False).ngroup(), rows.groupby(LINE, sort=False).ngroup()
    n_columns, n_lines = column.nunique(), line.nunique()
    width = COLUMN_WIDTH if n_columns <= IN_A_COLUMN else TEXT_WIDTH
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, PANEL_HEIGHT * n_lines + AROUND), layout="constrained")
        grid = figure.subplots(n_lines, n_columns, squeeze=False, sharey="row", sharex="col")
        drawn: dict[tuple[int, ...], tuple[Axes, pd.DataFrame]] = {}
        for place, axis in np.ndenumerate(grid):
            panel = rows[(line == place[0]) & (column == place[1])]
            if panel.empty:
                axis.remove()
            else:
                _draw_panel(axis, panel)
                drawn[place] = axis, panel
        for number in range(n_lines):
            axis, panel = drawn[min(place for place in drawn if place[0] == number)]
            axis.set_ylabel(_line_label(rows, panel))
        for number in range(n_columns):
            places = [place for place in drawn if place[1] == number]
            _name_method(*drawn[min(places)])
            _name_axis(*drawn[max(places)])
        figure.suptitle(rows["model"].iloc[0], x=0.01, ha="left")
        entries = {PLAIN: Line2D([], [], linewidth=0.7, **DOTTED), BOOTSTRAP: Patch(color="0.87")}
        figure.legend(
            list(entries.values()), list(entries), loc="outside lower left", ncols=2, frameon=False, handlelength=3
        )
    return figure


def _draw_panel(axis: Axes, rows: pd.DataFrame) -> None:
    if (rows["omega_lo"] < rows["omega_hi"]).any():
        omega, delta, low, high = staircase(rows, "delta", "delta_low", "delta_high")
        axis.step(omega, delta * 100, where="post", color=COLOURS[0], linewidth=1.1)
        axis.fill_between(omega, low * 100, high * 100, step="post", color=COLOURS[0], alpha=0.15, linewidth=0)
    else:
        omega, delta, low, high = (rows[name].to_numpy() for name in ("omega_lo", "delta", "delta_low", "delta_high"))
        axis.vlines(omega, low * 100, high * 100, color=COLOURS[0], linewidth=0.8)
        axis.plot(omega, delta * 100, "o", color=COLOURS[0], markersize=3)
        if omega[-1] > WIDE:
            axis.set_xscale("symlog", linthresh=1)
    axis.axhline(0, zorder=1, linewidth=0.7, **DOTTED)
    draw_grid(axis, "y")


def _name_method(axis: Axes, rows: pd.DataFrame) -> None:
    """The method, and in smaller type the anchor and the mask of its second prompt."""
    method, anchor, mask = rows[PANEL].iloc[0]
    axis.set_title(method, pad=21)
    second_prompt = f"{anchor}\n{mask}"
    axis.text(0, 1.03, second_prompt, transform=axis.transAxes, va="bottom", fontsize=7, color="0.35")


def _name_axis(axis: Axes, rows: pd.DataFrame) -> None:
    """Omega, and how it follows from the weight that the method's authors write."""
    scale, at_zero = rows[["scale", "scale_at_zero"]].iloc[0]
    symbol = rf"$\{scale}$" if scale in _GREEK else scale
    equal = "" if scale == "omega" else f" = {symbol}" + (f" \N{MINUS SIGN} {at_zero:g}" if at_zero else "")
    axis.set_xlabel(rf"$\omega${equal}")
    axis.tick_params(labelbottom=True)
    if axis.get_xscale() == "linear":
        axis.locator_params(axis="x", nbins=3, steps=[1, 2.5, 5, 10])
    axis.xaxis.set_major_formatter("{x:g}")


def _line_label(rows: pd.DataFrame, line: pd.DataFrame) -> str:
    """The benchmark, and what else the lines of panels differ in."""
    differing = [name for name in LINE if name != "benchmark" and rows[name].nunique() > 1]
    names = [named(line["benchmark"].iloc[0]), *line[differing].iloc[0]]
    return "\n".join([*names, "less plain (points)"])


def _caption(model: str) -> str:
    return (
        f"Pass@1 of {model} over omega, less that of plain greedy decoding on the same tasks, by each method with its "
        f"anchor and mask. Bands and bars: {BOOTSTRAP}s, paired over tasks."
    )
