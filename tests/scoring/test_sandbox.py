"""The sandbox keeps code in."""

import json
import logging
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from spa.errors import SpaError
from spa.scoring import sandbox
from spa.scoring.sandbox import enclosed, environment, python, resolve, self_test

Bwrap = Callable[[str], None]


@pytest.fixture
def bwrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bwrap:
    """Makes a shell script the only `bwrap`, or removes it."""

    def install(script: str) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        if script:
            (tmp_path / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / "bwrap").chmod(0o755)

    return install


def run(code: str, **folders: list[Path]) -> str:
    """What a Python program prints in the sandbox."""
    argv = enclosed(python("-c", code), "bubblewrap", **folders)
    return subprocess.run(argv, env=environment(), check=True, capture_output=True, text=True).stdout.strip()


def test_resolve_takes_bubblewrap_where_it_works() -> None:
    assert resolve("auto") == resolve("bubblewrap") == "bubblewrap"


@pytest.mark.parametrize(
    ("script", "complaint"),
    [("", "apt-get install bubblewrap"), ("echo no namespaces >&2; exit 1", "does not start (no namespaces)")],
)
def test_resolve_without_bubblewrap(
    bwrap: Bwrap, caplog: pytest.LogCaptureFixture, script: str, complaint: str
) -> None:
    bwrap(script)
    with pytest.raises(SpaError) as refusal:
        resolve("bubblewrap")
    assert complaint in str(refusal.value)
    assert resolve("auto") == "none"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "WITHOUT a sandbox" in record.getMessage()
    assert complaint in record.getMessage()


def test_resolve_none_warns_and_refuses_other_words(caplog: pytest.LogCaptureFixture) -> None:
    assert resolve("none") == "none"
    assert len(caplog.records) == 1
    with pytest.raises(
        SpaError, match=r"sandbox=docker is unknown; take one of: auto, bubblewrap, apptainer:IMAGE, none"
    ):
        resolve("docker")


def probes() -> list[Path]:
    """What a self-test of this process left behind."""
    folders = (Path.home(), Path(sandbox.__file__).parents[1])
    return [file for folder in folders for file in folder.glob(f".spa-probe-{os.getpid()}")]


def test_self_test_passes_and_leaves_nothing() -> None:
    self_test("bubblewrap")
    assert probes() == []


@pytest.mark.parametrize(("patience", "complaint"), [(30.0, "code gets out"), (1.0, "outlived its sandbox")])
def test_self_test_notices_that_there_is_no_sandbox(
    monkeypatch: pytest.MonkeyPatch, patience: float, complaint: str
) -> None:
    monkeypatch.setattr(sandbox, "enclosed", lambda argv, mode: argv)
    monkeypatch.setattr(sandbox, "PROBE", sandbox.PROBE.replace("time.sleep(600)", "time.sleep(2)"))
    monkeypatch.setattr(sandbox, "PROBE_SECONDS", patience)
    with pytest.raises(SpaError, match=complaint):
        self_test("bubblewrap")
    assert probes() == []


def test_folders_are_hidden_and_put_back(tmp_path: Path) -> None:
    (tmp_path / "results" / "tests").mkdir(parents=True)
    (tmp_path / "results" / "scores.jsonl").write_text("secret")
    (tmp_path / "results" / "tests" / "data").write_text("given")
    code = f"import os; print(sorted(os.listdir({str(tmp_path / 'results')!r})), os.listdir('/run'))"
    folders = {"hidden": [tmp_path / "results"], "readonly": [tmp_path / "results" / "tests"]}
    assert run(code, **folders) == "['tests'] []"
    assert run(f"print(open({str(tmp_path / 'results' / 'tests' / 'data')!r}).read())", **folders) == "given"


def test_a_hidden_folder_wins_over_the_visible_one_around_it(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "scores.jsonl").touch()
    code = f"import os; print(os.listdir({str(tmp_path / 'results')!r}))"
    assert run(code, readonly=[tmp_path], hidden=[tmp_path / "results"]) == "[]"


def test_a_symlink_inside_a_hidden_folder_stays_usable(tmp_path: Path) -> None:
    (tmp_path / "versions" / "3.11.7").mkdir(parents=True)
    (tmp_path / "versions" / "3.11.7" / "data").write_text("given")
    link = tmp_path / "versions" / "3.11"
    link.symlink_to("3.11.7")
    assert run(f"print(open({str(link / 'data')!r}).read())", readonly=[link]) == "given"


@pytest.mark.parametrize(
    "path", ["/proc/sys/kernel/core_pattern", "/proc/self/oom_score_adj", "/sys/kernel/uevent_helper"]
)
def test_the_kernel_cannot_be_told_anything(path: str) -> None:
    code = f"import os\ntry:\n    os.open({path!r}, os.O_WRONLY)\nexcept OSError as error:\n    print('refused')"
    assert run(code) == "refused"


def test_only_named_variables_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    seen = json.loads(run("import json, os, sys; print(json.dumps([dict(os.environ), sys.flags.optimize]))"))
    assert seen[1] == 0
    assert set(seen[0]) <= {*sandbox.ENVIRONMENT, *sandbox.ONE_THREAD, "PWD", "LC_CTYPE"}
