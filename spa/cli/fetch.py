"""Bring what a run needs to this machine, once: models, data, expected outputs. Afterwards it runs without a network.

    spa fetch experiment=paper_main

Takes the arguments of `spa run`.
"""

import logging
import sys

from spa.cli.hydra_app import cells, explained
from spa.errors import one_line_errors


@one_line_errors
def main() -> None:
    if explained(__doc__):
        return
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    wanted = cells(sys.argv[1:])
    from spa.runs.fetching import fetch

    for line in fetch(wanted):
        print(line, flush=True)
