"""What all figures share: their style, and the files that they become.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; line styles and markers tell the same in grey.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spa.report.tables import csv
from spa.results.files import write_atomically

COLUMN_WIDTH = 3.4  # inches: one column of a two-column page
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
STYLE: dict[Any, Any] = {
    "font.size": 7.5,
    "axes.titlesize": 8,
    "legend.fontsize": 6.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "pdf.fonttype": 42,  # TrueType outlines, which publishers ask for
}
DOTTED: dict[str, Any] = {"color": "0.35", "linestyle": (0, (1, 1.5))}  # a value to compare with


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure, and the rows that it draws."""

    name: str  # of its files, without suffix
    caption: str
    figure: Figure
    rows: pd.DataFrame

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


def _bytes(figure: Figure, form: str, metadata: dict[str, None]) -> bytes:
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format=form, dpi=200, metadata=metadata)
    return buffer.getvalue()
