"""One cell, or a sweep: generate with Selective Prompt Anchoring, score, write tables, figures and the report.

    spa run model=smollm2_135m benchmark=humaneval anchor=description omega=0.2
    spa run experiment=quickstart
    spa run -m model=deepseek_coder_1_3b,codellama_7b benchmark=humaneval_plus,mbpp_plus omega=0..0.5

A run that was interrupted goes on where it stopped; a finished one is not repeated. -m runs a cell for each combination
of values that are separated by commas. In a checkout `python scripts/run.py` is the same.
"""

import sys
from pathlib import Path

from spa.cli.hydra_app import explained, launch, sweep
from spa.config import Cell
from spa.errors import one_line_errors

finished: set[Path] = set()


def cell(given: Cell) -> None:
    from spa.runs.run_cell import run_cell  # torch and transformers take seconds to import

    run_cell(given)
    finished.add(given.results_dir)


@one_line_errors
def main() -> None:
    if explained(__doc__):
        return
    code = launch(cell)
    if finished or sweep.folders:
        from spa.report import build
        from spa.results.store import Results

        if there := [results for folder in sorted(finished | sweep.folders) if (results := Results(folder)).runs()]:
            print(build.build(there).closing())
    if line := sweep.closing():
        print(line)
    sys.exit(code)
