"""Attention dilution in one cell, plain and at one omega: decode, measure, figures. Takes the keys of `spa run`."""

import sys
from pathlib import Path

from spa.cli.hydra_app import launch
from spa.config import Cell
from spa.errors import one_line_errors

finished: set[Path] = set()


def cell(given: Cell) -> None:
    from spa.runs.attention_dilution import measure_cell  # torch and transformers take seconds to import

    measure_cell(given)
    finished.add(given.results_dir)


@one_line_errors
def main() -> None:
    code = launch(cell)
    if finished:
        from spa.report import build
        from spa.results.store import Results

        print(build.build([Results(folder) for folder in sorted(finished)]).closing())
    sys.exit(code)
