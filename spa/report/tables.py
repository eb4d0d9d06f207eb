"""Tidy data -> tables, and their text forms. Fractions become per cent only here, when they are rendered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from tabulate import tabulate

from spa.analysis.formats import benchmark_name
from spa.omega import omega_text

NOTE = (
    "95% CI: Wilson score interval. Delta (points), fixed, broken and p (exact two-sided McNemar test) compare with "
    "plain greedy decoding (omega = 0) on the same tasks; n/a: no plain run to compare with."
)
INTERVAL_NOTE = "Of an omega interval the table shows the parts that hold evenly spaced omegas; summary.csv holds all."

Format = Callable[[Any], str]

_SHOWN_OF_INTERVAL = 6


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers, and how they are shown: `shown` has rows of `data` as strings under readable headings."""

    name: str  # of its files, without suffix
    title: str
    data: pd.DataFrame
    shown: pd.DataFrame
    n_names: int  # columns of `shown`, from the left, that name a row
    notes: tuple[str, ...]

    @property
    def headings(self) -> list[str]:
        """One line each, where `shown` has two levels of them."""
        return [" ".join(filter(None, [name] if isinstance(name, str) else name)) for name in self.shown.columns]

    @property
    def alignment(self) -> list[str]:
        return ["left" if column < self.n_names else "right" for column in range(self.shown.shape[1])]

    def forms(self) -> dict[str, str]:
        """Its files' contents, by suffix."""
        return {"md": self.markdown(), "tex": self.latex(), "csv": csv(self.data)}

    def markdown(self) -> str:
        """A pipe table, its notes below."""
        body = pipe_table(self.shown.to_numpy().tolist(), self.headings, self.alignment)
        return "\n\n".join([f"# {self.title}", body, *self.notes]) + "\n"

    def latex(self) -> str:
        """A `tabular` in booktabs style, to stand in a table environment of the paper's own; the notes are comments."""
        comments = "".join(f"% {note}\n" for note in ["Needs \\usepackage{booktabs}.", self.title, *self.notes])
        columns = "".join(side[0] for side in self.alignment)
        return comments + self.shown.to_latex(index=False, escape=True, column_format=columns, multicolumn_format="c")


def pipe_table(rows: Sequence[Sequence[str]], headings: Sequence[str], alignment: Sequence[str]) -> str:
    """Markdown, of cells as they stand; alignment: "left" or "right" for each column."""
    table: str = tabulate(rows, headings, tablefmt="pipe", disable_numparse=True, colalign=alignment)
    return table


def shown_as(data: pd.DataFrame, headings: Mapping[str, tuple[str, Format]]) -> pd.DataFrame:
    """`data` as strings: for each heading a column and its format; None and NaN stay empty."""
    return pd.DataFrame(
        {
            heading: ["" if pd.isna(value) else form(value) for value in data[column]]
            for heading, (column, form) in headings.items()
        },
        dtype=object,
    )


def main_table(summary: pd.DataFrame) -> pd.DataFrame:
    """Each model and benchmark: plain Pass@1, and SPA's at each omega with its comparison. Rows of `summary`.

    All values of a run are rows; of an interval, the parts that hold six evenly spaced omegas.
    """
    runs = [_thinned(run) for _, run in summary.groupby(["key", "benchmark"], sort=False)]
    return pd.concat(runs).sort_index(ignore_index=True) if runs else summary


def rendered(table: pd.DataFrame) -> pd.DataFrame:
    """A main table as strings under readable headings, the ones that name the cell first."""
    is_plain = (table["omega_lo"] == 0) | ((table["omega_lo"] < 0) & (table["omega_hi"] > 0))

    def compared(column: str, form: str, scale: float = 1) -> list[str]:
        values = zip(table[column], table["delta"].isna(), is_plain, strict=True)
        return ["n/a" if alone else "" if plain else form.format(value * scale) for value, alone, plain in values]

    columns = {
        "Model": table["model"],
        "Weights": [dtype if q == "none" else f"{dtype}, {q}" for dtype, q in _pairs(table, "dtype", "quantization")],
        "Benchmark": table["benchmark"].map(benchmark_name),
        "Anchor (mask)": [f"{anchor} ({mask})" for anchor, mask in _pairs(table, "anchor", "mask")],
        **{name.capitalize(): table[name] for name in _told_apart_by(table)},
        "Tasks (anchored)": [f"{tasks} ({anchored})" for tasks, anchored in _pairs(table, "n_tasks", "n_anchored")],
        "Plain (%)": ["n/a" if pd.isna(rate) else f"{rate * 100:.1f}" for rate in table["baseline_pass_at_1"]],
        "Omega": [omega_text(lo, hi) for lo, hi in _pairs(table, "omega_lo", "omega_hi")],
        "Pass@1 (%)": [f"{rate * 100:.1f}" for rate in table["pass_at_1"]],
        "95% CI": [f"{low * 100:.1f} to {high * 100:.1f}" for low, high in _pairs(table, "ci_low", "ci_high")],
        "Delta": ["0.0" if points in ("+0.0", "-0.0") else points for points in compared("delta", "{:+.1f}", 100)],
        "Fixed": compared("fixed", "{}"),
        "Broken": compared("broken", "{}"),
        "p": ["<0.001" if value == "0.000" else value for value in compared("p_value", "{:.3f}")],
        "Run": table["key"],
    }
    return pd.DataFrame(columns, dtype=object)


def sparse(shown: pd.DataFrame) -> pd.DataFrame:
    """A rendered table that says once what its next rows repeat."""
    names = _names(shown)
    repeats = shown == shown.shift()
    same_cell = repeats[names].all(axis=1)
    once = [*names, "Tasks (anchored)", "Plain (%)", "Run"]
    return shown.assign(**{column: shown[column].mask(same_cell & repeats[column], "") for column in once})


def notes(table: pd.DataFrame) -> list[str]:
    """What a reader of the rendered table must know."""
    return [NOTE, INTERVAL_NOTE] if (table["omega_lo"] < table["omega_hi"]).any() else [NOTE]


def text(table: pd.DataFrame) -> str:
    """For a terminal: a heading for each model, benchmark and anchor, and its rows below."""
    shown = rendered(table)
    names = _names(shown)
    return "\n\n".join(
        ", ".join(str(name) for name in cell) + "\n" + _tabulated(rows.drop(columns=names), "simple")
        for cell, rows in shown.groupby(names, sort=False)
    )


def markdown(table: pd.DataFrame) -> str:
    """The main table as a pipe table, its notes below."""
    return "\n\n".join([_tabulated(sparse(rendered(table)), "pipe"), *notes(table)]) + "\n"


def latex(table: pd.DataFrame) -> str:
    r"""A `tabular` in booktabs style, to stand in a table environment of the paper's own; the notes are comments."""
    shown = sparse(rendered(table))
    comments = "".join(f"% {note}\n" for note in ["Needs \\usepackage{booktabs}.", *notes(table)])
    columns = "".join(side[0] for side in alignment(shown))
    return comments + shown.to_latex(index=False, escape=True, column_format=columns)


def alignment(shown: pd.DataFrame) -> list[str]:
    """ "left" for the columns that name something, "right" for numbers."""
    textual = {*_names(shown), "Run"}
    return ["left" if column in textual else "right" for column in shown.columns]


def csv(table: pd.DataFrame) -> str:
    """The numbers as they are: fractions, unrounded."""
    return table.to_csv(index=False, lineterminator="\n")


def _thinned(run: pd.DataFrame) -> pd.DataFrame:
    if (run["omega_lo"] == run["omega_hi"]).all():
        return run
    omegas = np.linspace(run["omega_lo"].min(), run["omega_hi"].max(), _SHOWN_OF_INTERVAL)
    return run.iloc[np.unique(np.searchsorted(run["omega_lo"], omegas, side="right") - 1)]


def _told_apart_by(table: pd.DataFrame) -> list[str]:
    """The further settings in which the table's runs of one model differ."""
    by_model = table.groupby("model")
    return [name for name in ("profile", "template") if (by_model[name].nunique() > 1).any()]


def _names(shown: pd.DataFrame) -> list[str]:
    """The columns that name the cell: those before its numbers."""
    columns = list(shown.columns)
    return columns[: columns.index("Tasks (anchored)")]


def _pairs(table: pd.DataFrame, first: str, second: str) -> list[tuple[Any, Any]]:
    return list(zip(table[first], table[second], strict=True))


def _tabulated(shown: pd.DataFrame, form: str) -> str:
    rows, headers = shown.to_numpy().tolist(), list(shown.columns)
    lines: str = tabulate(
        rows, headers, tablefmt=form, disable_numparse=True, colalign=alignment(shown) if rows else None
    )
    return lines
