"""Apptainer's command lines are whole, and scoring works with what they show; a stand-in takes apptainer's place."""

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from programs import RIGHT, SOLUTIONS, only

from spa.errors import SpaError
from spa.scoring import apptainer
from spa.scoring.sandbox import bare_python, enclosed, environment, isolated, python, resolve, self_test
from spa.scoring.score import score
from spa.tasks.benchmarks import Benchmark

STAND_IN = Path(__file__).parents[1] / "support" / "stand_in_apptainer.py"


def test_the_command_line_by_hand(tmp_path: Path) -> None:
    shown = {Path("/opt/py/lib/packages"): tmp_path, Path("/opt/py"): Path("/opt/py")}
    command = apptainer.command(["python", "-c", "1"], Path("py.sif"), shown, {"LD_LIBRARY_PATH": "/opt/lib"})
    assert command[:3] == ("apptainer", "--silent", "exec")
    assert command[command.index("--network") + 1] == "none"
    assert {"--contain", "--no-home", "--pid", "--ipc", "--uts", "--net", "--no-privs"} <= set(command)
    assert command[-10:] == (
        *("--mount", 'type=bind,"src=/opt/py","dst=/opt/py",ro'),
        *("--mount", f'type=bind,"src={tmp_path}","dst=/opt/py/lib/packages",ro'),  # after what it lies in
        *("--env", "LD_LIBRARY_PATH=/opt/lib"),
        *("py.sif", "python", "-c", "1"),
    )


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an `apptainer` that comes first in the PATH; `calls.jsonl` there tells how it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python.sif").touch()
    (folder / "apptainer").write_text(f"#!{sys.executable} -IB\n{STAND_IN.read_text()}")
    (folder / "apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def test_what_is_missing_is_named(
    stand_in: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mode = f"apptainer:{stand_in / 'python.sif'}"
    assert resolve(mode) == mode
    with pytest.raises(SpaError, match=r"there is no image none\.sif, make one"):
        resolve("apptainer:none.sif")
    with pytest.raises(SpaError, match=r"apptainer does not start \(FATAL: could not open image"):
        resolve(f"apptainer:{stand_in}")
    with pytest.raises(SpaError, match=r"sandbox=apptainer is unknown; take one of: .*apptainer:IMAGE"):
        resolve("apptainer")
    monkeypatch.setenv("PATH", str(Path(shutil.which("bwrap") or "").parent))
    with pytest.raises(SpaError, match="apptainer is missing, load its module or ask for it, or run"):
        resolve(mode)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_self_test_passes_with_it(stand_in: Path) -> None:
    self_test(f"apptainer:{stand_in / 'python.sif'}")
    assert len((stand_in / "calls.jsonl").read_text().splitlines()) == 1


def seen(argv: tuple[str, ...]) -> list[object]:
    done = subprocess.run(argv, env=environment(), capture_output=True, check=True)
    found: list[object] = json.loads(done.stdout)
    return found


def test_an_enclosed_program_sees_what_it_is_shown(stand_in: Path, tmp_path: Path) -> None:
    mode = f"apptainer:{stand_in / 'python.sif'}"
    (tmp_path / "given" / "results").mkdir(parents=True)
    (tmp_path / "given" / "results" / "scores.jsonl").touch()
    given, results = tmp_path / "given", tmp_path / "given" / "results"
    code = (
        f"import json, os, numpy; print(json.dumps([os.listdir({str(results)!r}), os.path.exists({str(stand_in)!r})]))"
    )
    assert seen(enclosed(python("-c", code), mode, readonly=[given], hidden=[results])) == [[], False]


def test_an_isolated_program_sees_no_package(stand_in: Path, tmp_path: Path) -> None:
    mode = f"apptainer:{stand_in / 'python.sif'}"
    code = "import importlib.util, json, sys; print(json.dumps([importlib.util.find_spec('numpy') is None, sys.path]))"
    none, path = seen(isolated(bare_python("-c", code), mode, readonly=[]))
    assert none is True
    assert path


def test_scoring_works_with_it(stand_in: Path, humaneval: Benchmark, caplog: pytest.LogCaptureFixture) -> None:
    mode = f"apptainer:{stand_in / 'python.sif'}"
    always = "class Any:\n    def __eq__(self, other): return True\ndef has_close_elements(*_): return Any()\n"
    solutions = [("HumanEval/0", solution) for solution in (RIGHT, SOLUTIONS["wrong"], always)]
    found = list(score(solutions, only(humaneval, "HumanEval/0"), sandbox=mode))
    assert sorted(verdict.reason for verdict in found) == ["not plain data", "passed", "wrong_answer"]
