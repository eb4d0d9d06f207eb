"""Check this machine: versions, sandbox, data, and that canonical solutions pass and bad ones fail."""

import argparse
import logging

from spa.cli.doctor import BENCHMARKS, examine
from spa.errors import one_line_errors


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few canonical solutions of each benchmark, not all")
    parser.add_argument("--benchmarks", nargs="+", default=BENCHMARKS, metavar="NAME", help="default: all four")
    parser.add_argument("--sandbox", default="bubblewrap", help="bubblewrap (default) or apptainer:IMAGE")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for line in examine(arguments.quick, arguments.benchmarks, arguments.sandbox):
        print(line, flush=True)


if __name__ == "__main__":
    main()
