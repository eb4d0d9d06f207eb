"""A machine on which right programs fail gives no verdict."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from programs import RIGHT, SCORE_RUN, only, run_with, sample_of

from spa.config import PACKAGE
from spa.errors import SpaError
from spa.records import Score
from spa.results.store import Run
from spa.scoring import control
from spa.scoring.judging import Judged
from spa.scoring.score import score, score_run
from spa.tasks.benchmarks import Benchmark

pytestmark = pytest.mark.usefixtures("scoring_cache")


def judged(status: str) -> Judged:
    return Judged(Score("T/1", "0", status, None, "exception", 0.0, "id"), False)


def test_no_verdict_is_given_before_the_controls_have_theirs() -> None:
    first, second = judged("fail"), judged("pass")
    results = iter([(first, None), (judged("pass"), True), (judged("fail"), False), (second, None)])
    assert list(control.checked(results)) == [first, second]


@pytest.mark.parametrize(
    ("result", "passes", "complaint"),
    [
        ("fail", True, r"the canonical solution of T/1 fails here \(exception\), so nothing was scored"),
        ("pass", False, "a wrong program passes T/1 here"),
    ],
)
def test_a_control_that_is_not_as_it_must_be_ends_the_scoring(result: str, passes: bool, complaint: str) -> None:
    results = control.checked(iter([(judged("fail"), None), (judged(result), passes)]))
    with pytest.raises(SpaError, match=complaint):
        next(results)


def under(limit: str, n_bytes: int, run: Run) -> str:
    """Score the run in a process with this hard limit; its last words."""
    program = f"import resource\nresource.setrlimit(resource.{limit}, ({n_bytes}, {n_bytes}))\n{SCORE_RUN}"
    done = subprocess.run([sys.executable, "-c", program, str(run.folder)], cwd=PACKAGE.parent, capture_output=True)
    return done.stderr.decode().strip().rsplit("\n", 1)[-1]


@pytest.mark.parametrize(
    ("limit", "n_bytes"), [("RLIMIT_STACK", 8 * 2**20), ("RLIMIT_STACK", 2**20), ("RLIMIT_AS", 3 * 2**30)]
)
def test_limits_adapt_to_hard_ones(humaneval: Benchmark, tmp_path: Path, limit: str, n_bytes: int) -> None:
    run = run_with(tmp_path, sample_of("HumanEval/0", RIGHT))
    assert under(limit, n_bytes, run) == ""
    assert [s.reason for s in run.scores()] == ["passed"]


@pytest.mark.parametrize("limit", ["RLIMIT_AS", "RLIMIT_DATA"])
def test_under_a_hard_limit_nothing_is_written_and_later_all_is_scored(
    humaneval: Benchmark, tmp_path: Path, limit: str
) -> None:
    run = run_with(tmp_path, sample_of("HumanEval/0", RIGHT))
    list(score([("HumanEval/0", RIGHT)], only(humaneval, "HumanEval/0"), sandbox="bubblewrap"))  # expected outputs
    last = under(limit, 2**30, run)
    assert "so nothing was scored: the hard limit of" in last, last
    assert "is 1048576 KiB, raise it (ulimit -H" in last
    assert run.scores() == []
    report = score_run(run, humaneval, sandbox="bubblewrap", progress=False)
    assert (report.scored, [s.reason for s in run.scores()]) == (1, ["passed"])
    assert json.loads(run.scores_path.read_text())["base_status"] == "pass"
