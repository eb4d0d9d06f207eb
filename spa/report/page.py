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
from markupsafe import Markup

from spa.analysis.claims import Verdict
from spa.analysis.formats import benchmark_name
from spa.report.explorer import Explorer
from spa.report.run_facts import RunFacts
from spa.report.tables import RUN, Table

FOLDER = Path(__file__).parent / "html"
STYLES = ("report.css", "explorer.css")
SCRIPTS = ("data.js", "curve.js", "task.js", "explorer.js")  # one module, in this order


@dataclass(frozen=True)
class Figure:
    """A PNG image, with the name of its files."""

    png: bytes
    name: str
    caption: str

    @property
    def source(self) -> str:
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def render(
    *,
    title: str,
    verdicts: Sequence[Verdict],
    tables: Sequence[Table],
    figures: Sequence[Figure],
    explorer: Explorer,
    missing: Sequence[str],
    absent: Sequence[str],
    runs: Sequence[RunFacts],
) -> str:
    """The page. A section without content says so; that of the claims is left out."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style, script = _joined(STYLES), _joined(SCRIPTS)
    return environment.get_template("report.html.j2").render(
        title=title,
        verdicts=verdicts,
        tables=tables,
        figures=figures,
        run_heading=RUN,
        explorer=explorer,
        index=_index(explorer),
        missing=missing,
        absent=absent,
        runs=runs,
        style=style,
        script=script,
        digest=_digest,
    )


def _index(explorer: Explorer) -> list[dict[str, Any]]:
    """What the explorer's selections offer: an entry for each series and benchmark, by their places."""
    return [
        {
            "model": series.model,
            "benchmark": benchmark_name(benchmark),
            "anchor": series.anchor,
            "run": series.settings,
            "keys": series.runs,
            "several": series.several,
            "series": place,
            "column": column,
        }
        for place, series in enumerate(explorer.series)
        for column, benchmark in enumerate(series.benchmarks)
    ]


def _joined(names: Sequence[str]) -> Markup:
    return Markup("\n" + "\n".join((FOLDER / name).read_text("utf-8") for name in names))


def _digest(text: str) -> str:
    """An inline text's name in a Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
