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
from spa.scoring import control
from spa.scoring.judging import Judged
from spa.scoring.score import score, score_run
from spa.tasks.benchmarks import Benchmark

pytestmark = pytest.mark.usefixtures("scoring_cache")


def judged(status: str) -> Judged:
    return Judged(Score("T/1", "0", status, None, None, "exception", 0.0, "id"), False)


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


@pytest.mark.parametrize("limit", ["RLIMIT_STACK", "RLIMIT_AS"])
def test_under_a_hard_limit_nothing_is_written_and_later_all_is_scored(
    humaneval: Benchmark, tmp_path: Path, limit: str
) -> None:
    run = run_with(tmp_path, sample_of("HumanEval/0", RIGHT))
    n_bytes = {"RLIMIT_STACK": 8 * 2**20, "RLIMIT_AS": 3 * 2**30}[limit]
    program = f"import resource\nresource.setrlimit(resource.{limit}, ({n_bytes}, {n_bytes}))\n{SCORE_RUN}"
    list(score([("HumanEval/0", RIGHT)], only(humaneval, "HumanEval/0"), sandbox="bubblewrap"))  # expected outputs
    done = subprocess.run([sys.executable, "-c", program, str(run.folder)], cwd=PACKAGE.parent, capture_output=True)
    last = done.stderr.decode().strip().rsplit("\n", 1)[-1]
    assert "so nothing was scored: the hard limit of" in last, last
    assert "unlimited" in last
    assert run.scores() == []
    report = score_run(run, humaneval, sandbox="bubblewrap", progress=False)
    assert (report.scored, [s.reason for s in run.scores()]) == (1, ["passed"])
    assert json.loads(run.scores_path.read_text())["base_status"] == "pass"
