"""Results folders as Parquet tables, one row for each sample with its verdict; or back, with --restore."""

import argparse
from pathlib import Path

from spa.errors import one_line_errors
from spa.report.parquet import export, restore
from spa.results.store import find_results


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="+", metavar="RESULTS_DIR", help="with --restore: an export")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the export goes, or the results")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--push-to-hub", metavar="REPO", help="send it to the Hugging Face hub too, as a dataset")
    kind.add_argument("--restore", action="store_true", help="make results folders of an export")
    arguments = parser.parse_args()
    if not arguments.restore:
        export(find_results(arguments.folder), arguments.out, arguments.push_to_hub)
        print(arguments.out)
        return
    for folder in arguments.folder:
        for results in restore(folder, arguments.out):
            print(results.folder)


if __name__ == "__main__":
    main()
