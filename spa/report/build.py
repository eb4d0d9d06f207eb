"""Everything that a results folder's readers want, from whatever has finished: tables, figures, one HTML page.

No output depends on the clock, on the folder's place or on hash order: the same results give the same bytes.
"""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from spa.analysis import aggregate, claims, evidence
from spa.analysis.aggregate import Cell
from spa.analysis.formats import benchmark_name
from spa.errors import SpaError
from spa.report import page, paper_tables, tables
from spa.report.cards import card
from spa.report.explorer import explorer
from spa.report.figures import dilution, intervals, omega_curves
from spa.results.attention_files import Attention
from spa.results.files import write_atomically
from spa.results.store import Results


@dataclass(frozen=True)
class Built:
    """What `build` wrote, and the main table for a terminal."""

    table: str
    missing: list[str]  # one sentence for each thing of the runs that is not there or not finished
    absent: list[str]  # one sentence for each of the paper's tables that the results do not allow
    summary: Path
    tables: list[Path]
    figures: list[Path]
    report: Path

    def closing(self) -> str:
        """What a command prints at its end: the table, what is missing, where to look."""
        images = [path for path in self.figures if path.suffix == ".png"]
        places = [f"{'figure':<8}{_shown(path)}" for path in images] + [f"{'report':<8}{_shown(self.report)}"]
        return "\n\n".join(part for part in [self.table, *map("\n".join, (self.missing, self.absent, places))] if part)


def _shown(path: Path) -> Path:
    """The path as one types it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def build(results: list[Results], out: Path | None = None) -> Built:
    """Write summary.csv, tables/, figures/, claims.md and report.html into `out`, or the folders' common parent.

    Raises SpaError where no folder holds a run.
    """
    cells = list(aggregate.load(results))
    if not cells:
        places = ", ".join(str(folder.folder) for folder in results) or "no folder"
        raise SpaError(f"there is no run in {places}; run a cell first (python scripts/run.py) or give its results_dir")
    target = Results(out or Path(os.path.commonpath([folder.folder.resolve() for folder in results])))
    judged = aggregate.tasks(cells)
    summary, found = aggregate.summary(judged), evidence.read(results, judged)
    table, papers, verdicts = tables.main_table(summary), paper_tables.tables(found), claims.judge(found)
    written = {
        target.tables_folder / "main.md": tables.markdown(table),
        target.tables_folder / "main.tex": tables.latex(table),
        target.tables_folder / "main.csv": tables.csv(table),
    }
    for each in papers:
        written |= {target.tables_folder / f"{each.name}.{form}": text for form, text in each.forms().items()}
    others = {target.summary_path: tables.csv(summary), target.claims_path: claims.markdown(verdicts)}
    for path, content in {**others, **written}.items():
        write_atomically(path, content)

    measured = list({place.key: place for folder in results for place in folder.attentions()}.values())
    drawings = [*omega_curves.omega_curves(summary), *intervals.drawings(papers)]
    drawings += itertools.chain.from_iterable(map(dilution.draw, measured))
    files = [omega_curves.save(each.figure, each.rows, target.figures_folder, each.name) for each in drawings]
    missing = [*_unfinished(results, cells), *_missing(cells, summary), *_unmeasured(measured)]
    absent = paper_tables.missing(papers)
    shown = tables.sparse(tables.rendered(table))
    html = page.render(
        title=", ".join(sorted({folder.folder.resolve().name for folder in results})),
        verdicts=verdicts,
        tables=[
            page.Table("Pass@1", shown, tables.alignment(shown), tables.notes(table)),
            *(
                page.Table(each.title, each.shown.set_axis(each.headings, axis=1), each.alignment, each.notes)
                for each in papers
            ),
        ],
        figures=[
            page.Figure(saved[0].read_bytes(), each.name, each.caption)
            for each, saved in zip(drawings, files, strict=True)
        ],
        explorer=explorer(cells, judged, summary),
        missing=missing,
        absent=absent,
        cards=[card(cell) for cell in cells],
    )
    write_atomically(target.report_path, html)
    saved = list(itertools.chain.from_iterable(files))
    return Built(tables.text(table), missing, absent, target.summary_path, list(written), saved, target.report_path)


def _unfinished(results: list[Results], cells: list[Cell]) -> Iterator[str]:
    """How many runs are not complete, and which are in no table because nothing of them is there yet."""
    empty = {run.key for folder in results for run in folder.begun()} - {cell.run.key for cell in cells}
    complete = sum(cell.field("status") == "complete" for cell in cells)
    if complete < len(cells) + len(empty):
        yield f"{complete} of {len(cells) + len(empty)} runs are complete."
    for key in sorted(empty):
        yield f"Run {key}: begun, but nothing of it is there."


def _missing(cells: list[Cell], summary: pd.DataFrame) -> Iterator[str]:
    for cell in cells:
        done, status = aggregate.progress(cell), cell.field("status")
        run = f"{cell.field('model')}, {benchmark_name(cell.field('benchmark'))}, run {cell.run.key}"
        if done.done < done.total or status != "complete":
            what = "tasks over the whole interval" if isinstance(cell.field("omega"), dict) else "samples"
            state = "failed" if status == "failed" else "unfinished"
            yield f"{run}: {state}: {done.done} of {done.total} {what} are there."
        if done.given_up:
            yield f"{run}: parts of the interval given up (budget), counted in no rate: {done.given_up}."
        if done.suspect:
            what = "samples that evalplus passes and a second look does not"
            yield f"{run}: suspect, counted as not passed: {done.suspect} {what}."
        if warning := (cell.manifest.get("scoring") or {}).get("warning"):
            yield f"{run}: {warning}."
        if unscored := done.lines - done.given_up - done.scored:
            yield f"{run}: not scored: {unscored} of {done.lines} samples."
    alone = summary[summary["delta"].isna()]
    for key, model in alone[["key", "model"]].drop_duplicates().itertuples(index=False):
        yield f"{model}, run {key}: no plain run (omega 0) of the same settings to compare with."


def _unmeasured(measured: list[Attention]) -> Iterator[str]:
    for place in measured:
        manifest = place.manifest()
        cell = f"{manifest['model']}, {benchmark_name(manifest['benchmark'])}, attention {place.key}"
        if manifest["status"] != "complete":
            yield f"{cell}: unfinished: {manifest['n_tasks']} tasks are measured."
        if left_out := manifest["n_without_anchor"]:
            yield f"{cell}: {left_out} tasks have no such anchor and are left out."
