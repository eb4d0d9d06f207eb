"""One self-contained HTML page of tables, figures, verdicts and programs.

The page loads nothing: style, script, figures and data are in it, and its Content-Security-Policy allows nothing else,
whatever a generated text holds.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from spa.analysis.claims import Verdict
from spa.analysis.formats import benchmark_name, percent, signed
from spa.analysis.headline import QUESTION, Headline
from spa.records import ANCHOR, DEFAULTS
from spa.report import terms
from spa.report.explorer import Explorer
from spa.report.run_facts import RunFacts
from spa.report.tables import RUN, Table

FOLDER = Path(__file__).parent / "html"
STYLES = ("report.css", "explorer.css")
SCRIPT = ("page.js",)
LIBRARIES = ("libraries.js",)
EXPLORER = ("data.js", "curve.js", "task.js", "explorer.js")  # with LIBRARIES and SCRIPT one module, in this order
PIXELS = 112  # of an inch of a figure: its type of 7 to 9 points is that of 11 to 14 pixels


@dataclass(frozen=True)
class Figure:
    """A PNG image, with the name of its files."""

    png: bytes
    name: str
    caption: str
    inches: tuple[float, float]  # the width and height that it was drawn for

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height on the page."""
        return round(self.inches[0] * PIXELS), round(self.inches[1] * PIXELS)

    @property
    def source(self) -> str:
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def render(
    *,
    title: str,
    headline: Headline,
    tuned: pd.DataFrame,
    curves: Figure | None,
    verdicts: Sequence[Verdict],
    tables: Sequence[Table],
    figures: Sequence[Figure],
    remarks: Sequence[str],
    explorer: Explorer,
    missing: Sequence[str],
    absent: Sequence[str],
    runs: Sequence[RunFacts],
) -> str:
    """The page. A section without content says so; that of the claims is left out.

    tuned: the rows that `headline` is made of; curves: the figure beside it; remarks: what stands for
    figures that would show nothing.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style = _joined(STYLES)
    script = _joined((*LIBRARIES, *EXPLORER, *SCRIPT) if explorer.series else SCRIPT)
    return environment.get_template("report.html.j2").render(
        title=title,
        question=QUESTION,
        headline=headline,
        cells=_cells(tuned),
        curves=curves,
        claims=_claims(verdicts),
        explanation=terms.explanation,
        tables=tables,
        figures=figures,
        remarks=remarks,
        run_heading=RUN,
        explorer=explorer,
        index=_index(explorer, headline.model),
        missing=missing,
        absent=absent,
        runs=runs,
        style=style,
        script=script,
        digest=_digest,
    )


def _cells(tuned: pd.DataFrame) -> dict[str, list[dict[str, str]]]:
    """The rows of the table beside the answer, by model."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in tuned.to_dict("records"):
        low, high = row["delta_low"], row["delta_high"]
        cell = {
            "benchmark": benchmark_name(row["benchmark"]),
            "plain": percent(row["plain_pass_at_1"]),
            "spa": percent(row["spa_pass_at_1"]),
            "delta": signed(row["delta"]),
            "interval": f"{signed(low)} to {signed(high)}",
            "kind": "gain" if low > 0 else "loss" if high < 0 else "",
            "omega": f"{row['omega_p50']:.3g}",
        }
        found.setdefault(f"{row['model']} ({row['weights']})", []).append(cell)
    return found


def _claims(verdicts: Sequence[Verdict]) -> list[tuple[Verdict, str, str]]:
    """Each claim with its badge and the badge's kind, which is empty where neither rule nor evidence says anything."""
    found = []
    for verdict in verdicts:
        decided, silent = verdict.verdict != "not enough data", verdict.evidence == "inconclusive"
        badge = verdict.verdict if decided or silent else f"other models: {verdict.evidence}"
        kind = verdict.verdict if decided else "" if silent else verdict.evidence
        found.append((verdict, badge, kind.replace(" ", "-")))
    return found


def _index(explorer: Explorer, model: str) -> dict[str, Any]:
    """What the explorer's selections offer: an entry for each series and benchmark, by their places.

    `start` is the entry that it opens at: a curve of the main model with the usual anchor, mask and method.
    """
    usual = {"anchor": ANCHOR, "mask": DEFAULTS["mask"], "method": DEFAULTS["method"]}
    entries: list[dict[str, Any]] = [
        {
            "model": series.model,
            "benchmark": benchmark_name(benchmark),
            "anchor": series.anchor,
            "mask": series.mask,
            "method": series.method,
            "run": series.settings,
            "keys": series.runs,
            "several": series.several,
            "series": place,
            "column": column,
        }
        for place, series in enumerate(explorer.series)
        for column, benchmark in enumerate(series.benchmarks)
    ]

    def fits(entry: dict[str, Any]) -> tuple[bool, bool, bool]:
        return entry["several"], entry["model"] == model, entry.items() >= usual.items()

    return {"entries": entries, "start": entries.index(max(entries, key=fits)) if entries else 0}


def _joined(names: Sequence[str]) -> Markup:
    return Markup("\n" + "\n".join((FOLDER / name).read_text("utf-8") for name in names))


def _digest(text: str) -> str:
    """An inline text's name in a Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
