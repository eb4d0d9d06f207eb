"""The figures of `attention/<key>/`: attention dilution, and how well SPA stands for embeddings that are scaled.

Numbers are means over tasks of each task's own mean, with 95% bootstrap bands over the tasks.
"""

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from spa.report.figures.drawing import BOOTSTRAP, COLUMN_WIDTH, DOTTED, STYLE, Drawing, draw_grid, named
from spa.results.attention_files import Attention
from spa.statistics import mean_band

MEASURES = {
    "self_last": "Self-attention, last layer",
    "self_all": "Self-attention, mean of all layers",
    "gradient": "Gradient by the embeddings",
}
BINS = {"position": 20, "relative_position": 1 / 12}  # widths; the gradient has 12 steps a text
_ENDS_APART = ("gradient", "relative_position")  # the first bin is each text's first step, the last its last one
_SERIES = ["axis", "measure", "branch", "part"]
_AXES = {"position": "Tokens written", "relative_position": "Part of the text written"}
_PARTS = {"prompt": ("prompt", "#0072B2", "o"), "anchor": ("anchored text", "#D55E00", "s")}
_BRANCHES: dict[str, Any] = {"plain": "-", "spa": (0, (4, 1.5))}


def draw(measured: Attention) -> Iterator[Drawing]:
    """The figures of one folder, from its files alone; none where nothing was measured."""
    manifest = measured.manifest()
    shares, scales = pd.read_csv(measured.shares_path), pd.read_csv(measured.approximation_path)
    title = named(manifest.model, manifest.benchmark, manifest.anchor)
    tasks = f"Means over {manifest.n_tasks} tasks; bands: {BOOTSTRAP}s over tasks."
    if len(shares):
        rows = dilution_rows(shares, np.random.default_rng(0))
        caption = (
            "Attention of the steps that wrote the texts. The dotted lines are what attention spread evenly over all "
            "tokens would give; a bin is drawn where half of the tasks have it. The gradient is taken at 12 steps of "
            "each text: the first sees the prompt alone, and the last writes the token that ends the text, such as a "
            f"closing fence; both stand apart, as hollow points. {tasks}"
        )
        figure = dilution(rows, title, manifest.omega)
        yield Drawing(f"attention_dilution_{measured.key}", caption, figure, rows)
    if len(scales):
        rows = approximation_rows(scales, np.random.default_rng(0))
        caption = (
            "SPA's logits beside those of anchored embeddings that are really scaled, away from the mask's. "
            f"Logit shift: what moves the plain logits. {tasks}"
        )
        yield Drawing(f"approximation_{measured.key}", caption, approximation(rows, title), rows)


def dilution_rows(shares: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Means and bands of both shares in bins of both axes, where at least half of the tasks have the bin.

    shares: as shares.csv has it. `x` is a bin's middle; `uniform` the share if all tokens got equal attention.
    """
    seen = shares["prompt_tokens"] + shares["position"]
    steps = pd.concat(
        shares[["task_id", "measure", "branch"]].assign(
            axis=axis,
            part=part,
            x=(np.floor(shares[axis] / width) + 0.5) * width,
            share=shares[f"{part}_share"],
            uniform=shares[f"{part}_tokens"] / seen,
        )
        for axis, width in BINS.items()
        for part in _PARTS
    )
    by_task = steps.groupby([*_SERIES, "task_id", "x"])[["share", "uniform"]].mean()
    return pd.concat([_bins(series, rng) for _, series in by_task.groupby(level=_SERIES)], ignore_index=True)


def _bins(by_task: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One series; `by_task` is indexed by the series, task and x."""
    table = by_task["share"].droplevel([*_SERIES]).unstack("x")  # (T, bins)
    mean, low, high = mean_band(table, rng)
    n_tasks = table.notna().sum().to_numpy()
    rows = pd.DataFrame({"x": table.columns, "mean": mean, "low": low, "high": high, "n_tasks": n_tasks})
    rows["uniform"] = by_task["uniform"].groupby(level="x").mean().to_numpy()
    identity = dict(zip(_SERIES, by_task.index[0][: len(_SERIES)], strict=True))
    return rows.assign(**identity)[[*_SERIES, *rows.columns]][n_tasks >= len(table) / 2]


def dilution(rows: pd.DataFrame, title: str, omega: float) -> Figure:
    """Shares (%) over absolute and relative position: a row of panels for each measure. rows: of `dilution_rows`."""
    measures = [measure for measure in MEASURES if measure in set(rows["measure"])]
    with mpl.rc_context(STYLE):
        height = 1.25 * len(measures) + 1.05
        figure = Figure(figsize=(COLUMN_WIDTH, height), layout="constrained")
        axes = figure.subplots(len(measures), len(_AXES), squeeze=False, sharex="col", sharey=True)
        for line, measure in zip(axes, measures, strict=True):
            for panel, axis in zip(line, _AXES, strict=True):
                shown = rows[(rows["measure"] == measure) & (rows["axis"] == axis)]
                _draw_shares(panel, shown, apart=(measure, axis) == _ENDS_APART and shown["x"].nunique() > 2)
            line[0].set_title(MEASURES[measure], loc="left")
            line[0].set_ylabel("Share (%)")
        for panel, label in zip(axes[-1], _AXES.values(), strict=True):
            panel.set_xlabel(label)
        figure.suptitle(title, x=0.01, ha="left", fontsize=8)
        lines: list[Any] = [
            Line2D([], [], color=colour, marker=marker, markersize=3, linestyle=style, linewidth=1.1)
            for _, colour, marker in _PARTS.values()
            for style in _BRANCHES.values()
        ]
        names = [
            f"{name}, {branch}" for name, _, _ in _PARTS.values() for branch in ("plain", rf"SPA $\omega={omega:g}$")
        ]
        lines += [Line2D([], [], linewidth=0.8, **DOTTED), Patch(color="0.87")]
        figure.legend(
            lines,
            [*names, "even attention", BOOTSTRAP],
            loc="outside lower left",
            ncols=2,
            frameon=False,
            handlelength=2.4,
            columnspacing=1,
        )
    return figure


def _draw_shares(panel: Axes, rows: pd.DataFrame, apart: bool) -> None:
    """apart: whether the first and the last point are steps of their own kind, which no line joins to the others."""
    for part, (_, colour, marker) in _PARTS.items():
        of_part = rows[rows["part"] == part]
        for branch, style in _BRANCHES.items():
            series = of_part[of_part["branch"] == branch]
            x, mean, low, high = (series[name].to_numpy() for name in ["x", "mean", "low", "high"])
            inner = slice(1, -1) if apart else slice(None)
            line: dict[str, Any] = {"color": colour, "linewidth": 1.1, "markersize": 2.2, "marker": marker}
            panel.plot(x[inner], mean[inner] * 100, linestyle=style, **line)
            panel.fill_between(x[inner], low[inner] * 100, high[inner] * 100, color=colour, alpha=0.15, linewidth=0)
            if apart:
                ends = [0, -1]
                panel.vlines(x[ends], low[ends] * 100, high[ends] * 100, color=colour, linewidth=0.8)
                hollow: dict[str, Any] = line | {"markersize": 3.2, "markerfacecolor": "white", "markeredgewidth": 0.8}
                panel.plot(x[ends], mean[ends] * 100, linestyle="none", **hollow)
        even = of_part.groupby("x")["uniform"].mean()  # of both branches, whose texts differ in length
        panel.plot(even.index, even * 100, linewidth=0.8, **DOTTED)
    panel.set_xlim(left=0)
    panel.set_ylim(0, 105)  # a point at 100% is whole
    panel.set_yticks(range(0, 101, 25))
    draw_grid(panel, "y")


def approximation_rows(scales: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Means and bands over omega of each column of approximation.csv, in long form; medians of a task's errors."""
    rows = []
    for column in ["logit_correlation", "shift_correlation", "relative_error", "argmax_agrees", "plain_argmax_agrees"]:
        values = scales.assign(value=scales[column].astype(float)).groupby(["task_id", "omega"])["value"]
        # A step where scaling moves next to nothing has any error: a median bears that.
        table = (values.median() if column == "relative_error" else values.mean()).unstack("omega")
        mean, low, high = mean_band(table, rng)
        rows.append(
            pd.DataFrame(
                {
                    "quantity": column,
                    "omega": table.columns,
                    "mean": mean,
                    "low": low,
                    "high": high,
                    "n_tasks": table.notna().sum().to_numpy(),
                }
            )
        )
    return pd.concat(rows, ignore_index=True)


def approximation(rows: pd.DataFrame, title: str) -> Figure:
    """Correlation, error and agreement of SPA and scaled embeddings over omega. rows: of `approximation_rows`."""
    panels: list[tuple[str, dict[str, str]]] = [
        ("Correlation", {"logit_correlation": "logits", "shift_correlation": "logit shift"}),
        ("Error / true shift", {"relative_error": "SPA"}),
        ("Same token (%)", {"argmax_agrees": "SPA", "plain_argmax_agrees": "plain greedy"}),
    ]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMN_WIDTH, 1.45 * len(panels) + 0.5), layout="constrained")
        for panel, (label, quantities) in zip(figure.subplots(len(panels), sharex=True), panels, strict=True):
            scale = 100 if label.endswith("(%)") else 1
            for (quantity, name), (_, colour, marker), style in zip(
                quantities.items(), _PARTS.values(), _BRANCHES.values(), strict=False
            ):
                series = rows[rows["quantity"] == quantity]
                x, mean, low, high = (series[column].to_numpy() for column in ["omega", "mean", "low", "high"])
                line: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": style, "linewidth": 1.1}
                panel.plot(x, mean * scale, markersize=3, label=name, **line)
                panel.fill_between(x, low * scale, high * scale, color=colour, alpha=0.15, linewidth=0)
            panel.set_ylabel(label)
            if label.startswith("Error"):
                panel.axhline(1, label="plain greedy", linewidth=0.8, **DOTTED)
                panel.set_ylim(bottom=0)
            panel.legend(frameon=False, handlelength=3)
            draw_grid(panel, "y")
        panel.set_xlabel(r"Anchoring weight $\omega$")
        panel.set_xlim(left=0)
        figure.suptitle(title, x=0.01, ha="left", fontsize=8)
    return figure
