"""Compress results where they lie, to commit or send them; every command reads them as before, and adds to them too."""

import argparse
from pathlib import Path

from spa.errors import one_line_errors
from spa.store import find_results


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="+", metavar="RESULTS_DIR")
    for results in find_results(parser.parse_args().folder):
        for part in [*results.runs(), *results.attentions()]:
            part.pack()
            print(f"{sum(path.stat().st_size for path in part.folder.iterdir()) / 2**20:8.2f} MiB  {part.folder}")


if __name__ == "__main__":
    main()
