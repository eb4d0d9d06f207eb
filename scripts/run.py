"""One cell: generate, score, tables and figures. `-m` sweeps; see --help."""

import logging
import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from spa import config as schema
from spa.errors import one_line_errors

os.environ["HYDRA_FULL_ERROR"] = "1"  # raise, so that `one_line_errors` can show one line
schema.register()
results: set[Path] = set()


@hydra.main(version_base=None, config_path="../conf", config_name="config")
def cell(composed: DictConfig) -> None:
    config = schema.resolve(composed)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("spa").setLevel(logging.INFO)
    from spa import pipeline  # torch and transformers take seconds to import

    pipeline.run_cell(config)
    results.add(Path(config.results_dir))


@one_line_errors
def main() -> None:
    cell()
    if results:
        from spa import report
        from spa.store import Results

        print(report.build([Results(folder) for folder in sorted(results)]).closing())


if __name__ == "__main__":
    sys.exit(main())
