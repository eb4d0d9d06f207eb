"""What a run would cost, before anything runs: the arguments of `spa run`, and device=h100, a100 or cpu.

spa plan experiment=paper_main device=a100
"""

import sys

from spa.cli.hydra_app import cells
from spa.errors import one_line_errors


@one_line_errors
def main() -> None:
    if not sys.argv[1:] or {"-h", "--help"} & set(sys.argv):
        print(__doc__)
        return
    planned = cells(sys.argv[1:])
    from spa.runs import pricing

    print(pricing.render(pricing.total(map(pricing.price, planned)), planned[0].device))
