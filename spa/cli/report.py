"""Tables, figures and the report of one or more results folders, from whatever has finished so far."""

import argparse
from pathlib import Path

from spa.errors import one_line_errors
from spa.report.build import build
from spa.results.store import find_results


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "results_dir",
        type=Path,
        nargs="+",
        metavar="RESULTS_DIR",
        help="a folder that holds runs/, or a parent of several such folders",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="where summary.csv, tables/, figures/ and report.html go; by default into the one results folder found, "
        "or into the common parent of several",
    )
    arguments = parser.parse_args()
    print(build(find_results(arguments.results_dir), arguments.out).closing())
