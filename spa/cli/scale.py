"""What results folders of very many cells, or of very many texts, cost to list, resume, aggregate and report."""

import argparse
import json
from pathlib import Path

from spa.bench.store import measure, measure_report, render
from spa.cli import standing
from spa.errors import one_line_errors
from spa.results.files import write_atomically
from spa.results.store import find_results


def look(folder: Path, cells: int) -> int:
    """What the status command does; the number of interrupted cells."""
    return standing.look(find_results([folder])).counts["interrupted"]


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[12500, 25000, 50000, 100000], help="numbers of cells")
    parser.add_argument("--report", action="store_true", help="the report of 20 cells of 378 tasks x 50 parts, instead")
    parser.add_argument("--scratch", type=Path, help="where the cells lie meanwhile (default: temporary files)")
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder of the JSON result")
    arguments = parser.parse_args()
    scratch = arguments.scratch
    result = measure_report(20, scratch) if arguments.report else measure(arguments.cells, look, scratch)
    path = arguments.out / f"{'report' if arguments.report else 'store'}-scale.json"
    write_atomically(path, json.dumps(result, indent=1) + "\n")
    print(f"{render(result)}\n\n{path}")
