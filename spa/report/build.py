"""All that readers of a results folder want, from whatever has finished: tables, figures, one HTML page.

No output depends on the clock, on the folder's place or on hash order: the same results give the same bytes.
"""

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from spa.analysis import aggregate, claims, evidence, headline, methods
from spa.errors import SpaError
from spa.records import OWN
from spa.report import page, paper_tables
from spa.report.explorer import explorer
from spa.report.figures import dilution, intervals, method_curves, omega_curves
from spa.report.figures.drawing import slug
from spa.report.main_table import main_table
from spa.report.methods_table import methods_table
from spa.report.missing import missing_of_runs
from spa.report.run_facts import run_facts
from spa.report.tables import csv
from spa.results.files import write_atomically
from spa.results.store import Results

MISSING_SHOWN = 5  # sentences on a terminal


@dataclass(frozen=True)
class Built:
    """What `build` wrote, and the results in short for a terminal."""

    table: str
    missing: list[str]  # one sentence for each thing of the runs that is not there or not finished
    absent: list[str]  # one sentence for each of the paper's tables that the results do not allow
    summary: Path
    tables: list[Path]
    figures: list[Path]
    report: Path

    def closing(self) -> str:
        """What a command prints at its end: the table, what is missing, where to look."""
        more = len(self.missing) - MISSING_SHOWN
        missing = [*self.missing[:MISSING_SHOWN], *([f"... and {more} more, in the report"] if more > 0 else [])]
        return "\n\n".join(part for part in [self.table, "\n".join(missing), f"report: {_shown(self.report)}"] if part)


def _shown(path: Path) -> Path:
    """The path relative to the current folder, where it lies below it."""
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
    summary, found = aggregate.summary(judged), evidence.read(results, cells, judged)
    main, papers, verdicts = main_table(summary), paper_tables.tables(found), claims.judge(found)
    compared = methods.comparisons(found.curves)
    made = [main, *papers, *methods_table(methods.method_rows(compared))]
    written = {
        target.tables_folder / f"{table.name}.{form}": text for table in made for form, text in table.forms().items()
    }
    others = {target.summary_path: csv(summary), target.claims_path: claims.markdown(verdicts)}
    for path, content in {**others, **written}.items():
        write_atomically(path, content)

    measured = list({place.key: place for folder in results for place in folder.attentions()}.values())
    drawings = [*omega_curves.omega_curves(summary), *method_curves.drawings(methods.method_curves(compared))]
    drawings += intervals.drawings(papers)
    drawings += itertools.chain.from_iterable(map(dilution.draw, measured))
    files = [drawing.save(target.figures_folder) for drawing in drawings]
    missing, absent = missing_of_runs(results, cells, summary, measured), paper_tables.missing_tables(papers)
    tuned = next((table.data for table in papers if table.name == "paper"), pd.DataFrame())
    answer = headline.headline(tuned)
    shown = {
        drawing.name: page.Figure(saved[0].read_bytes(), drawing.name, drawing.caption, drawing.inches)
        for drawing, saved in zip(drawings, files, strict=True)
    }
    html = page.render(
        title=", ".join(sorted({folder.folder.resolve().name for folder in results})),
        headline=answer,
        tuned=tuned,
        curves=shown.pop(f"omega_curve_{slug(answer.model)}", None),
        verdicts=verdicts,
        tables=made,
        figures=list(shown.values()),
        remarks=intervals.remarks(papers),
        explorer=explorer(cells, judged, summary),
        missing=missing,
        absent=absent,
        runs=[run_facts(cell) for cell in cells if cell.extraction == OWN],
    )
    write_atomically(target.report_path, html)
    saved = list(itertools.chain.from_iterable(files))
    return Built(
        paper_tables.closing(found.curves, summary),
        missing,
        absent,
        target.summary_path,
        list(written),
        saved,
        target.report_path,
    )
