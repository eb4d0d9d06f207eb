"""Compress results where they lie, to commit or send them; every command reads them as before, and adds to them too."""

import argparse
from pathlib import Path

from spa.errors import one_line_errors
from spa.results.attention_files import Attention
from spa.results.store import Run, find_results


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="+", metavar="RESULTS_DIR")
    for results in find_results(parser.parse_args().folder):
        packed: list[Run | Attention] = [*results.runs(), *results.attentions()]
        for each in packed:
            each.pack()
            print(f"{sum(path.stat().st_size for path in each.folder.iterdir()) / 2**20:8.2f} MiB  {each.folder}")
