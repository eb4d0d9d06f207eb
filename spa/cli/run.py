"""One cell: generate, score, tables and figures. `-m` sweeps; see --help."""

import sys
from pathlib import Path

from spa.cli.hydra_app import launch, swept
from spa.config import Cell
from spa.errors import one_line_errors

finished: set[Path] = set()


def cell(given: Cell) -> None:
    from spa.runs.run_cell import run_cell  # torch and transformers take seconds to import

    run_cell(given)
    finished.add(given.results_dir)


@one_line_errors
def main() -> None:
    code = launch(cell)
    if finished or swept:
        from spa.report import build
        from spa.results.store import Results

        if there := [results for folder in sorted(finished | swept) if (results := Results(folder)).runs()]:
            print(build.build(there).closing())
    sys.exit(code)
