"""How attention to the prompt dilutes along the texts of one cell, plain and with SPA: decode, measure, draw figures.

    spa attention experiment=smollm2_attention

Takes the keys of `spa run`, and one omega. In a checkout `python scripts/attention.py` is the same.
"""

import sys
from pathlib import Path

from spa.cli.hydra_app import explained, launch
from spa.config import Cell
from spa.errors import one_line_errors

finished: set[Path] = set()


def cell(given: Cell) -> None:
    from spa.runs.attention_dilution import measure_cell  # torch and transformers take seconds to import

    measure_cell(given)
    finished.add(given.results_dir)


@one_line_errors
def main() -> None:
    if explained(__doc__):
        return
    code = launch(cell)
    if finished:
        from spa.report import build
        from spa.results.store import Results

        print(build.build([Results(folder) for folder in sorted(finished)]).closing())
    sys.exit(code)
