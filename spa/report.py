"""Everything that a results folder's readers want, from whatever has finished: tables, figures, one HTML page.

No output depends on the clock, on the folder's place or on hash order: the same results give the same bytes.
"""

import base64
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from spa import aggregate, figures, tables
from spa.aggregate import Cell
from spa.errors import SpaError
from spa.store import Results, write_atomically


@dataclass(frozen=True)
class Built:
    """What `build` wrote, and the main table for a terminal."""

    table: str
    missing: list[str]  # one sentence for each thing that is not there or not finished
    summary: Path
    tables: list[Path]
    figures: list[Path]
    report: Path

    def closing(self) -> str:
        """What a command prints at its end: the table, what is missing, where to look."""
        images = [path for path in self.figures if path.suffix == ".png"]
        places = [f"{'figure':<8}{_shown(path)}" for path in images] + [f"{'report':<8}{_shown(self.report)}"]
        return "\n\n".join(part for part in [self.table, "\n".join(self.missing), "\n".join(places)] if part)


def _shown(path: Path) -> Path:
    """The path as one types it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def build(results: list[Results], out: Path | None = None) -> Built:
    """Write summary.csv, tables/, figures/ and report.html into `out`, by default the folders' common parent.

    Raises SpaError where no folder holds a run.
    """
    cells = aggregate.distinct(aggregate.load(results))
    if not cells:
        places = ", ".join(str(folder.folder) for folder in results) or "no folder"
        raise SpaError(f"there is no run in {places}; run a cell first (python scripts/run.py) or give its results_dir")
    target = Results(out or Path(os.path.commonpath([folder.folder.resolve() for folder in results])))
    summary = aggregate.summary(aggregate.tasks(cells))
    table = tables.main_table(summary)
    written = {
        target.tables_folder / "main.md": tables.markdown(table),
        target.tables_folder / "main.tex": tables.latex(table),
        target.tables_folder / "main.csv": tables.csv(table),
    }
    for path, content in {target.summary_path: tables.csv(summary), **written}.items():
        write_atomically(path, content)

    drawn, images = [], []
    for name, rows in _curves(summary):
        saved = figures.save(figures.omega_curve(rows), rows, target.figures_folder, name)
        drawn += saved
        images.append((name, base64.b64encode(saved[0].read_bytes()).decode()))
    missing = list(_missing(cells, summary))
    shown = tables.sparse(tables.rendered(table))
    page = _template().render(
        title=", ".join(sorted({folder.folder.resolve().name for folder in results})),
        columns=list(zip(shown.columns, tables.alignment(shown), strict=True)),
        rows=shown.to_numpy().tolist(),
        notes=tables.notes(table),
        images=images,
        missing=missing,
        runs=[_provenance(cell) for cell in cells],
    )
    write_atomically(target.report_path, page)
    return Built(tables.text(table), missing, target.summary_path, list(written), drawn, target.report_path)


def _curves(summary: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """A figure for each model: its file name without suffix, and its rows."""
    rows = figures.curve_rows(summary)
    for slug, model in rows.groupby(rows["model"].str.lower().str.replace(r"[^a-z0-9]+", "_", regex=True)):
        yield f"omega_curve_{slug}", model.reset_index(drop=True)


def _missing(cells: list[Cell], summary: pd.DataFrame) -> Iterator[str]:
    for cell in cells:
        done, status = aggregate.progress(cell), cell.field("status")
        run = f"{cell.field('model')}, {tables.benchmark_name(cell.field('benchmark'))}, run {cell.run.key}"
        if done.done < done.total or status != "complete":
            what = "tasks over the whole interval" if isinstance(cell.field("omega"), dict) else "samples"
            state = "failed" if status == "failed" else "unfinished"
            yield f"{run}: {state}: {done.done} of {done.total} {what} are there."
        if done.given_up:
            yield f"{run}: parts of the interval given up (budget), counted in no rate: {done.given_up}."
        if suspect := int((cell.lines["base_status"] == "suspect").sum()):
            what = "samples that evalplus passes and a second look does not"
            yield f"{run}: suspect, counted as not passed: {suspect} {what}."
        if warning := (cell.manifest.get("scoring") or {}).get("warning"):
            yield f"{run}: {warning}."
        if unscored := done.lines - done.given_up - done.scored:
            yield f"{run}: not scored: {unscored} of {done.lines} samples."
    alone = summary[summary["delta"].isna()]
    for key, model in alone[["key", "model"]].drop_duplicates().itertuples(index=False):
        yield f"{model}, run {key}: no plain run (omega 0) of the same settings to compare with."


def _provenance(cell: Cell) -> dict[str, str]:
    """A card: what produced the run's texts and verdicts, and how much of it is there. Without times."""
    manifest, done = cell.manifest, aggregate.progress(cell)
    scoring = manifest.get("scoring") or {}
    data = manifest.get("data") or {}
    card = {
        "Run": cell.run.key,
        "Experiment": cell.experiment,
        "Model": cell.field("model"),
        "Weights": manifest.get("weights") or "as published",
        "dtype, quantization": f"{cell.field('dtype')}, {cell.field('quantization')}",
        "Benchmark": tables.benchmark_name(cell.field("benchmark")),
        "Data": ", ".join(f"{name} {data[name]}" for name in ["source", "md5"] if data.get(name)),
        "Profile, template": f"{cell.field('profile')}, {cell.field('template')}",
        "Anchor, mask": f"{cell.field('anchor')}, {cell.field('mask')}",
        "Omega": tables.omega_set_text(cell.field("omega")),
        "Tasks": f"{cell.field('n_tasks')} ({cell.field('n_anchored')} with the anchor)",
        "Done": f"{done.done} of {done.total}, {done.scored} of {done.lines} lines scored",
        "Sandbox": scoring.get("sandbox") or "",
        "Suspect": str(int((cell.lines["base_status"] == "suspect").sum())),
        "Plus tests": "yes" if scoring.get("plus") else "no",
        "Corrections": _flat(scoring.get("corrections")),
        "Scorer": scoring.get("scorer_id") or "",
        "Warnings": _flat(manifest.get("warnings")),
        "Command": _flat(manifest.get("command"), " "),
        "Versions": _flat(manifest.get("versions")),
        "Hardware": _flat(manifest.get("hardware")),
    }
    return {name: value or "none" for name, value in card.items()}


def _flat(value: Any, between: str = "; ") -> str:
    """A manifest's text, list or mapping as one line."""
    if isinstance(value, dict):
        return between.join(f"{name} {_flat(value[name], ', ')}" for name in value)
    if isinstance(value, list):
        return between.join(_flat(item, ", ") for item in value)
    return re.sub(r"\s+", " ", str(value)) if value is not None else ""


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("report.html.j2")
