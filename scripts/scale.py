"""How listing, resuming and aggregating a results folder grow with its number of cells, on synthetic samples."""

import argparse
import json
from pathlib import Path

from spa.errors import one_line_errors
from spa.files import write_atomically
from spa.scale import measure, render


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, nargs="+", default=[12500, 25000, 50000, 100000], help="numbers of cells")
    parser.add_argument("--scratch", type=Path, help="where the cells lie meanwhile (default: temporary files)")
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder of the JSON result")
    arguments = parser.parse_args()
    result = measure(arguments.cells, arguments.scratch)
    path = arguments.out / "store-scale.json"
    write_atomically(path, json.dumps(result, indent=1) + "\n")
    print(f"{render(result)}\n\n{path}")


if __name__ == "__main__":
    main()
