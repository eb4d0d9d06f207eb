"""Results folders as Parquet tables, one row for each sample with its verdict."""

import argparse
from pathlib import Path

from spa.errors import one_line_errors
from spa.report.parquet import export
from spa.results.store import find_results


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="+", metavar="RESULTS_DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the export goes")
    parser.add_argument("--push-to-hub", metavar="REPO", help="send it to the Hugging Face hub too, as a dataset")
    arguments = parser.parse_args()
    export(find_results(arguments.folder), arguments.out, arguments.push_to_hub)
    print(arguments.out)
