"""The folder of one run."""

from pathlib import Path

import pytest

from spa.results.store import Results, Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Results(tmp_path).run("abc")
    run.folder.mkdir(parents=True)
    return run
