"""The committed results: what is made from them is what lies beside them. Their texts: test_smollm2."""

import shutil
from pathlib import Path

import pytest

from spa.bench import documents
from spa.report import build
from spa.results.store import find_results

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
