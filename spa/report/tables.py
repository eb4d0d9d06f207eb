"""Tables as readers get them: as Markdown, LaTeX and CSV files, on the HTML page, and on a terminal."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from tabulate import tabulate

RUN = "Run"  # the heading of a column of run keys; the page makes links of them

Format = Callable[[Any], str]


@dataclass(frozen=True, eq=False)
class Table:
    """Numbers, and how they are shown: `shown` has rows of `data` as strings under readable headings."""

    name: str  # of its files, without suffix
    title: str
    data: pd.DataFrame
    shown: pd.DataFrame
    n_names: int  # columns of `shown`, from the left, that name a row
    notes: tuple[str, ...]
    said_once: tuple[str, ...] = ()  # columns that files and page leave empty where a row of equal names repeats them
    has_heading: bool = True  # whether the files state the title

    @property
    def headings(self) -> list[str]:
        """One line each, where `shown` has two levels of them."""
        return [" ".join(filter(None, [name] if isinstance(name, str) else name)) for name in self.shown.columns]

    @property
    def alignment(self) -> list[str]:
        """ "left" for the columns that name something, "right" for numbers."""
        return [
            "left" if column < self.n_names or heading == RUN else "right"
            for column, heading in enumerate(self.headings)
        ]

    @property
    def columns(self) -> list[tuple[str, str]]:
        """Heading and alignment of each."""
        return list(zip(self.headings, self.alignment, strict=True))

    @property
    def rows(self) -> list[list[str]]:
        """As files and page show them."""
        rows: list[list[str]] = self._sparse().to_numpy().tolist()
        return rows

    def forms(self) -> dict[str, str]:
        """Its files' contents, by suffix."""
        return {"md": self.markdown(), "tex": self.latex(), "csv": csv(self.data)}

    def markdown(self) -> str:
        """A pipe table, its notes below."""
        body = pipe_table(self.rows, self.headings, self.alignment)
        heading = [f"# {self.title}"] if self.has_heading else []
        return "\n\n".join([*heading, body, *self.notes]) + "\n"

    def latex(self) -> str:
        """A `tabular` in booktabs style, to stand in a table environment of the paper's own; the notes are comments."""
        heading = [self.title] if self.has_heading else []
        comments = "".join(f"% {note}\n" for note in ["Needs \\usepackage{booktabs}.", *heading, *self.notes])
        columns = "".join(side[0] for side in self.alignment)
        body: str = self._sparse().to_latex(index=False, escape=True, column_format=columns, multicolumn_format="c")
        return comments + body

    def _sparse(self) -> pd.DataFrame:
        """`shown` that says once what its next rows repeat."""
        repeats = self.shown == self.shown.shift()
        same_names = repeats.iloc[:, : self.n_names].all(axis=1)
        columns = {name: self.shown[name].mask(same_names & repeats[name], "") for name in self.said_once}
        return self.shown.assign(**columns)


def pipe_table(rows: Sequence[Sequence[str]], headings: Sequence[str], alignment: Sequence[str]) -> str:
    """Markdown, of cells as they stand; alignment: "left" or "right" for each column."""
    return _tabulated(rows, headings, alignment, "pipe")


def plain_table(rows: Sequence[Sequence[str]], headings: Sequence[str], alignment: Sequence[str]) -> str:
    """The same for a terminal."""
    return _tabulated(rows, headings, alignment, "simple")


def differing(data: pd.DataFrame, names: Iterable[str]) -> list[str]:
    """The columns in which the rows of some model differ."""
    by_model = data.groupby("model")
    return [name for name in names if (by_model[name].nunique() > 1).any()]


def shown_as(data: pd.DataFrame, headings: Mapping[str, tuple[str, Format]]) -> pd.DataFrame:
    """`data` as strings: for each heading a column and its format; None and NaN stay empty."""
    return pd.DataFrame(
        {
            heading: ["" if pd.isna(value) else form(value) for value in data[column]]
            for heading, (column, form) in headings.items()
        },
        dtype=object,
    )


def csv(data: pd.DataFrame) -> str:
    """The numbers as they are: fractions, unrounded."""
    return data.to_csv(index=False, lineterminator="\n")


def _tabulated(rows: Sequence[Sequence[str]], headings: Sequence[str], alignment: Sequence[str], form: str) -> str:
    sides = alignment if rows else None  # tabulate aligns no columns without a row
    table: str = tabulate(rows, headings, tablefmt=form, disable_numparse=True, colalign=sides)
    return table
