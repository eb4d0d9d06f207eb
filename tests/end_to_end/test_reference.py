"""The committed results: what is made from them is what lies beside them, and the embedded model still writes them."""

import shutil
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from spa.bench import documents
from spa.config import CONF, resolve
from spa.omega import Values
from spa.report import build
from spa.results.store import find_results
from spa.runs import run_cell
from spa.schema import register

REFERENCE = documents.REFERENCE
MADE = ("runs", "attention", ".hydra")  # by runs; all else by `make report`


def outputs(folder: Path) -> dict[str, bytes]:
    files = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): (folder / path).read_bytes() for path in files if path.parts[0] not in MADE}


@pytest.mark.slow
def test_the_report_of_the_committed_runs_is_the_committed_one(tmp_path: Path) -> None:
    copy = tmp_path / "results" / "reference"
    for source in (REFERENCE.folder, documents.BENCH):
        shutil.copytree(source, tmp_path / "results" / source.name)
    for path in outputs(copy):
        (copy / path).unlink()
    build.build(find_results([copy]))
    made, committed = outputs(copy), outputs(REFERENCE.folder)
    assert made.keys() == committed.keys()
    assert [path for path in made if made[path] != committed[path]] == []


@pytest.mark.slow
def test_a_fresh_run_of_the_embedded_model_agrees(tmp_path: Path) -> None:
    register()
    changes = ["experiment=quickstart", f"results_dir={tmp_path}", "limit=3", "omega=[0,0.17,0.5]", "score=false"]
    with initialize_config_dir(str(CONF), version_base=None):
        fresh = run_cell.run_cell(resolve(compose("config", changes)))
    ((manifest, committed),) = (
        (run.manifest(), run.samples())
        for run in REFERENCE.runs()
        if run.manifest().model == "SmolLM2-135M-Instruct" and run.manifest().family == "humaneval"
    )
    assert manifest.dtype == "float32"
    samples = fresh.samples()
    assert len(samples) == 3 * len(Values((0, 0.17, 0.5)).values)
    for sample in samples:
        (part,) = (
            part
            for part in committed
            if part.task_id == sample.task_id
            and (part.omega_lo <= sample.omega_lo < part.omega_hi or part.omega_hi == sample.omega_lo == 0.5)
        )
        assert part.completion_ids == sample.completion_ids, (sample.task_id, sample.omega_lo)
