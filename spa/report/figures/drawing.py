"""What all figures share: their style, and the files that they become.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; line styles and markers tell the same in grey.
"""

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from spa.analysis.formats import benchmark_name
from spa.report.tables import csv
from spa.results.files import write_atomically

COLUMN_WIDTH = 3.3  # inches: one column of a two-column page
TEXT_WIDTH = 6.9  # both columns
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
STYLE: dict[Any, Any] = {
    "font.size": 7.5,  # points, as all type from 7 to 9: it is printed at this size
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "figure.titlesize": 8.5,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "pdf.fonttype": 42,  # TrueType outlines, which publishers ask for
}
DOTTED: dict[str, Any] = {"color": "0.35", "linestyle": (0, (1, 1.5))}  # a value to compare with
BOOTSTRAP = "95% bootstrap interval"  # over tasks; of a difference, paired
PLAIN = r"plain greedy ($\omega = 0$)"
DIFFERENCE = "SPA \N{MINUS SIGN} plain (points)"


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure, and the rows that it draws."""

    name: str  # of its files, without suffix
    caption: str
    figure: Figure
    rows: pd.DataFrame

    @property
    def inches(self) -> tuple[float, float]:
        """Its width and height."""
        width, height = self.figure.get_size_inches()
        return float(width), float(height)

    def save(self, folder: Path) -> list[Path]:
        """Write a .png, a .pdf and, of the rows, a .csv; the same drawing gives the same bytes."""
        contents: dict[str, str | bytes] = {"png": png(self.figure), "pdf": pdf(self.figure), "csv": csv(self.rows)}
        paths = []
        for suffix, content in contents.items():
            paths.append(folder / f"{self.name}.{suffix}")
            write_atomically(paths[-1], content)
        return paths


def png(figure: Figure) -> bytes:
    """The figure at 200 dpi, without the drawing program's name."""
    return _bytes(figure, "png", {"Software": None})


def pdf(figure: Figure) -> bytes:
    """The figure with its fonts embedded, without a creation date."""
    return _bytes(figure, "pdf", {"CreationDate": None})


def draw_grid(panel: Axes, axis: Literal["x", "y"]) -> None:
    """Light lines across one axis, behind everything else."""
    panel.grid(axis=axis, color="0.9", linewidth=0.5)
    panel.set_axisbelow(True)


def named(*names: str) -> str:
    """Names in a line, benchmarks as papers write them."""
    return ", ".join(map(benchmark_name, names))


def slug(model: str) -> str:
    """A model's name as names of files have it."""
    return re.sub(r"[^a-z0-9]+", "_", model.lower())


def staircase(rows: pd.DataFrame, *columns: str) -> list[NDArray[np.float64]]:
    """The corners of step functions over the parts `omega_lo`, `omega_hi`: the omegas, and each column's values there.

    Each part's value stands at its start, the last one again at its end. Neighbours that do not meet, where a part was
    given up by every task, leave a gap of NaN.
    """
    starts, ends = rows["omega_lo"].to_numpy(dtype=float), rows["omega_hi"].to_numpy(dtype=float)
    gaps = np.flatnonzero(ends[:-1] != starts[1:]) + 1
    levels = (rows[column].to_numpy(dtype=float) for column in columns)
    omega = np.append(np.insert(starts, gaps, ends[gaps - 1]), ends[-1])
    return [omega, *(np.append(np.insert(level, gaps, np.nan), level[-1]) for level in levels)]


def _bytes(figure: Figure, form: str, metadata: dict[str, None]) -> bytes:
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format=form, dpi=200, metadata=metadata)
    return buffer.getvalue()
