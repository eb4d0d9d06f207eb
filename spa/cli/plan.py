"""What a run would cost, before anything runs: cells, tokens, hours, memory.

    spa plan experiment=paper_main device=a100

Takes the arguments of `spa run`; device=h100, a100 or cpu is what it is priced on.
"""

import sys

from spa.cli.hydra_app import cells, explained
from spa.errors import one_line_errors


@one_line_errors
def main() -> None:
    if explained(__doc__):
        return
    planned = cells(sys.argv[1:])
    from spa.runs import pricing

    print(pricing.render(pricing.total(map(pricing.price, planned)), planned[0].device))
