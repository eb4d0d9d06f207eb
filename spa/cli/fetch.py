"""Bring what a run needs to this machine, once; the arguments of `spa run`. Afterwards it runs without a network.

spa fetch experiment=paper_main
"""

import logging
import sys

from spa.cli.hydra_app import cells
from spa.errors import one_line_errors


@one_line_errors
def main() -> None:
    if {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    wanted = cells(sys.argv[1:])
    from spa.runs.fetching import fetch

    for line in fetch(wanted):
        print(line, flush=True)
