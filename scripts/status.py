"""What of a results folder is done, running or interrupted, failed, left."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from spa.aggregate import load
from spa.errors import one_line_errors
from spa.status import status_table
from spa.store import find_results


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "results_dir",
        type=Path,
        metavar="RESULTS_DIR",
        help="a folder that holds runs/, or a parent of several such folders",
    )
    arguments = parser.parse_args()
    width = None if sys.stdout.isatty() else 200  # a pipe has no width: keep a run on one line
    Console(width=width).print(status_table(load(find_results([arguments.results_dir]))))


if __name__ == "__main__":
    main()
