"""Cells of tiny checkpoints, and what their runs hold."""

import json
from pathlib import Path

from hydra import compose, initialize_config_dir

from spa.config import CONF, Cell, resolve
from spa.records import Generation
from spa.results.store import Run
from spa.runs import run_cell
from spa.schema import register

GRID = "omega=[0,0.3,1]"


def config(model: Path, results: Path, *overrides: str) -> Cell:
    """`model=hf` with a tiny checkpoint, a short text and few tasks, none of them from another test's results."""
    register()
    with initialize_config_dir(str(CONF), version_base=None):
        return resolve(
            compose(
                "config",
                [
                    *([] if any(override.startswith("model=") for override in overrides) else ["model=hf"]),
                    f"model.path={model}",
                    f"results_dir={results}",
                    "limit=3",
                    "max_new_tokens=12",
                    "score=false",
                    "reuse=false",
                    *overrides,
                ],
            )
        )


def run(configuration: Cell) -> Run:
    return run_cell.run_cell(configuration)


def texts(run: Run) -> list[Generation]:
    """The samples without what depends on the machine."""
    return [
        Generation.from_json(json.dumps(json.loads(sample.to_json()) | {"seconds": 0, "batch_rows": 0}))
        for sample in run.samples()
    ]
