"""SPA beside its neighbours: the gain of each method over plain decoding, over its weight."""

import math

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spa.method import OWN_SCALES
from spa.report.figures.drawing import COLOURS, COLUMN_WIDTH, DOTTED, STYLE, Drawing, draw_grid

PANEL_HEIGHT = 1.35  # inches
PANEL = ["model", "benchmark", "panel"]
CAPTION = (
    "Gain over plain decoding of SPA and its neighbours on {panel}, over the weight of each. Bands and bars: 95%, "
    "paired bootstrap over tasks."
)


def drawings(rows: pd.DataFrame) -> list[Drawing]:
    """A figure for each model and benchmark of `ablation.difference_rows`, which may be empty."""
    found = []
    for (model, benchmark, panel), part in rows.groupby(PANEL, sort=False) if len(rows) else ():
        slug = "".join(letter if letter.isalnum() else "_" for letter in f"{model}_{benchmark}".lower())
        drawing = method_figure(part)
        found.append(Drawing(f"methods_{slug}", CAPTION.format(panel=panel), drawing, part.reset_index(drop=True)))
    return found


def method_figure(rows: pd.DataFrame) -> Figure:
    """A panel for each cell, in their order, with a common scale of points and a scale of weights of its own."""
    cells = [cell for _, cell in rows.groupby(["method", "anchor", "mask"], sort=False)]
    with mpl.rc_context(STYLE):
        n_rows = math.ceil(len(cells) / 2)
        figure = Figure(figsize=(COLUMN_WIDTH * 2, PANEL_HEIGHT * n_rows), layout="constrained")
        grid = figure.subplots(n_rows, 2, squeeze=False, sharey=True)
        axes, spare = grid.ravel()[: len(cells)], grid.ravel()[len(cells) :]
        for axis in spare:
            axis.remove()
        for axis, cell in zip(axes, cells, strict=True):
            _draw(axis, cell)
        for axis in grid[:, 0]:
            axis.set_ylabel("less plain (points)")
    return figure


def _draw(axis: Axes, cell: pd.DataFrame) -> None:
    method, anchor, mask = cell[["method", "anchor", "mask"]].iloc[0]
    is_interval = bool((cell["omega_lo"] < cell["omega_hi"]).any())
    (_draw_steps if is_interval else _draw_points)(axis, cell)
    axis.axhline(0, linewidth=0.7, zorder=1, **DOTTED)
    axis.set_title(f"{method}: {anchor} ({mask})", loc="left")
    name, at_zero = OWN_SCALES.get(method, ("", 0))
    own = f" = {name}{f' - {at_zero}' if at_zero else ''}" if name else ""
    axis.set_xlabel(rf"$\omega${own}")
    draw_grid(axis, "y")


def _draw_steps(axis: Axes, cell: pd.DataFrame) -> None:
    """An interval, whose parts meet."""
    omega = np.append(cell["omega_lo"], cell["omega_hi"].iloc[-1])
    value, low, high = (
        np.append(cell[name], cell[name].iloc[-1]) * 100 for name in ("delta", "delta_low", "delta_high")
    )
    axis.step(omega, value, where="post", color=COLOURS[0], linewidth=1.1)
    axis.fill_between(omega, low, high, step="post", color=COLOURS[0], alpha=0.15, linewidth=0)


def _draw_points(axis: Axes, cell: pd.DataFrame) -> None:
    """Single omegas, at even distances: those of the package reach from 0.1 to 19."""
    places = np.arange(len(cell))
    value, low, high = (cell[name].to_numpy() * 100 for name in ("delta", "delta_low", "delta_high"))
    axis.vlines(places, low, high, color=COLOURS[0], linewidth=0.9)
    axis.plot(places, value, "o", color=COLOURS[0], markersize=3.5)
    axis.set_xticks(places, [f"{omega:.3g}" for omega in cell["omega_lo"]])
