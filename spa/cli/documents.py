"""Write README.md and docs/ from docs/templates/ and results/; or only say which are stale, with --check."""

import argparse

from spa.bench.documents import render, stale
from spa.errors import SpaError, one_line_errors
from spa.results.files import write_atomically


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 2 where one is stale")
    if not parser.parse_args().check:
        for path, text in render().items():
            write_atomically(path, text)
    elif found := stale():
        raise SpaError(f"{', '.join(path.name for path in found)} is stale; run: make documents")
