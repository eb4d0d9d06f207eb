"""What canonical solutions return, and where it is kept. How it is used is tested with scoring."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from programs import RIGHT, SCORE_RUN, SOLUTIONS, only, run_with, sample_of, verdicts_on

from spa.config import PACKAGE
from spa.errors import SpaError
from spa.scoring import expected
from spa.scoring.score import score
from spa.tasks.benchmarks import Benchmark

pytestmark = pytest.mark.usefixtures("scoring_cache")


def test_a_cache_that_cannot_be_used_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, humaneval: Benchmark
) -> None:
    (tmp_path / "spa").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(SpaError, match=r"cannot use the cache .*/expected .*; set XDG_CACHE_HOME to another folder"):
        expected.tests(humaneval.problems[:1], humaneval, "none", 1)


def test_a_file_system_that_cannot_lock_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, humaneval: Benchmark
) -> None:
    """No marker takes the lock's place: one that a killed job left would be waited for without end."""
    asked: list[bool] = []

    class Locks:
        def __init__(self, path: Path, fallback_to_soft: bool) -> None:
            asked.append(fallback_to_soft)

        def acquire(self) -> None:
            raise OSError(38, "Function not implemented")

    monkeypatch.setattr(expected, "FileLock", Locks)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(SpaError, match=r"cannot use the cache .* \(Function not implemented\)"):
        expected.tests(humaneval.problems[:1], humaneval, "none", 1)
    assert asked == [False]


def test_two_scorings_may_start_on_an_empty_cache(tmp_path: Path, humaneval: Benchmark) -> None:
    runs = [run_with(tmp_path / name, sample_of("HumanEval/0", SOLUTIONS["right"])) for name in ("a", "b")]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    scorers = [
        subprocess.Popen([sys.executable, "-c", SCORE_RUN, str(run.folder)], cwd=PACKAGE.parent, env=environment)
        for run in runs
    ]
    assert [scorer.wait() for scorer in scorers] == [0, 0]
    assert [[s.reason for s in run.scores()] for run in runs] == [["passed"], ["passed"]]
    assert len(list((tmp_path / "cache" / "spa" / "expected").glob("*.outputs"))) == 1


def test_the_cache_may_lie_behind_a_symlink(
    tmp_path: Path, humaneval: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "cache").symlink_to("disk")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert [v.reason for v in verdicts_on(humaneval, ("HumanEval/0", RIGHT))] == ["passed"]


def test_a_canonical_solution_that_does_not_run_is_named(humaneval: Benchmark) -> None:
    (problem,) = only(humaneval, "HumanEval/0").problems
    broken = replace(humaneval, problems=(replace(problem, canonical_solution="    return nowhere\n"),))
    with pytest.raises(SpaError, match="HumanEval/0: its canonical solution does not run: NameError"):
        list(score([("HumanEval/0", "a = 1")], broken, sandbox="bubblewrap"))


def test_damaged_expected_outputs_are_no_verdict(humaneval: Benchmark, own_cache: Path) -> None:
    (problem,) = only(humaneval, "HumanEval/5").problems
    request = [(problem.task_id, problem.prompt + problem.canonical_solution)]
    path = expected.tests([problem], humaneval, "bubblewrap", 1)[problem.task_id].outputs
    path.write_bytes(b"damaged")
    with pytest.raises(SpaError, match=r"HumanEval/5: cannot read its expected outputs \(error: .*\); remove /"):
        list(score(request, humaneval, sandbox="bubblewrap"))
    path.unlink()
    assert [s.reason for s in score(request, humaneval, sandbox="bubblewrap")] == ["passed"]
