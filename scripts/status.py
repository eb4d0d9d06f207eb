"""What of results folders is done, running (with rate and time left), failed, interrupted, missing."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from spa.cli.monitor import rendered, watch
from spa.cli.status import look
from spa.errors import one_line_errors
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
    parser.add_argument("--watch", action="store_true", help="look again every few seconds, until Ctrl-C")
    parser.add_argument("--seconds", type=float, default=5.0, help="between two looks (default 5)")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 200)  # a pipe has no width: keep a run on one line
    if arguments.watch:
        watch(lambda: look(find_results(arguments.results_dir)), console, arguments.seconds)
    else:
        console.print(rendered(look(find_results(arguments.results_dir))))


if __name__ == "__main__":
    main()
