"""A machine on which right programs fail gives no verdict."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import RIGHT, SCORE_RUN, only, run_with, sample_of

from spa.config import PACKAGE
from spa.records import Problem, Score, solution_sha
from spa.results.store import Run
from spa.scoring import score as scoring
from spa.scoring.control import Controlled, UnfitError
from spa.scoring.expected import Files
from spa.scoring.judging import Case, Judged
from spa.scoring.processes import Ask, Job, Service
from spa.scoring.score import score, score_run
from spa.tasks.benchmarks import Benchmark

pytestmark = pytest.mark.usefixtures("scoring_cache")


ECHO = Service((sys.executable, "-c", "import os; os.write(1, bytes(4)); os.read(0, 4); os.write(1, bytes(4))"))


def programs(folder: Path, *answers: str) -> tuple[Controlled, list[Case], list[str]]:
    """Controls and three solutions, judged by what is said here in turn; and, as they come, the programs judged."""
    tests = Files(folder / "inputs", folder / "outputs")
    tests.outputs.write_bytes(b"")
    problem = Problem("T/1", "humaneval", "", "f", "f = 1", [], None, "", 0.0)
    cases = [Case(problem, name, tests) for name in ("first", "second", "third")]
    said, seen = iter(answers), list[str]()

    def judge(case: Case) -> Job[Judged]:
        seen.append(case.solution)
        reason = next(said)
        score = Score("T/1", case.solution, "pass" if reason == "passed" else "fail", None, reason, 0.0, "id")
        yield Ask(ECHO, b"", 10.0)
        return Judged(score, timed_out=reason == "timeout", crashed=reason == "crashed")

    return Controlled(cases, judge), cases, seen


def test_no_solution_runs_before_the_controls_are_as_they_must_be(tmp_path: Path) -> None:
    controlled, cases, seen = programs(tmp_path, "passed", "exception", "passed", "wrong_answer", "passed")
    found = [result.score.reason for result in controlled.judged(cases, 3)]
    assert sorted(found) == ["passed", "passed", "wrong_answer"]
    assert seen[2:] == ["first", "second", "third"]


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        (["exception"], r"the canonical solution of T/1 fails here \(exception\), so nothing was scored"),
        (["timeout", "exception", "timeout"], r"the canonical solution of T/1 fails here \(timeout\), so nothing"),
        (["passed", "passed"], "a wrong program passes T/1 here, so nothing was scored"),
    ],
)
def test_a_control_that_is_not_as_it_must_be_ends_the_scoring(
    tmp_path: Path, answers: list[str], complaint: str
) -> None:
    controlled, cases, _ = programs(tmp_path, *answers)
    with pytest.raises(UnfitError, match=complaint) as error:
        list(controlled.judged(cases, 1))
    assert error.value.worthless == ()


def test_a_control_that_ran_out_of_time_is_tried_again(tmp_path: Path) -> None:
    controlled, cases, _ = programs(tmp_path, "timeout", "exception", "passed", *3 * ["passed"])
    assert len(list(controlled.judged(cases, 1))) == 3


def test_after_a_crash_the_controls_go_again(tmp_path: Path) -> None:
    controlled, cases, seen = programs(
        tmp_path, "passed", "exception", "crashed", "passed", "exception", *2 * ["passed"]
    )
    assert [result.score.reason for result in controlled.judged(cases, 1)] == ["crashed", "passed", "passed"]
    assert seen[2] == "first"
    assert seen[3:5] == seen[:2]


def test_what_was_judged_since_a_good_control_is_worth_nothing(tmp_path: Path) -> None:
    controlled, cases, _ = programs(tmp_path, "passed", "exception", "passed", "crashed", "memory")
    with pytest.raises(UnfitError, match="so no verdict is kept since it was last in order") as error:
        list(controlled.judged(cases, 1))
    assert [score.solution_sha for score in error.value.worthless] == ["first", "second"]


def test_worthless_verdicts_leave_the_run(
    humaneval: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_with(tmp_path, sample_of("HumanEval/0", RIGHT), sample_of("HumanEval/3", RIGHT))
    kept = Score("HumanEval/0", "0", "fail", None, "", 0.0, "another scorer")
    run.append_scores([kept])

    def verdicts(*_: object) -> Iterator[Score]:
        made = Score("HumanEval/0", solution_sha(RIGHT), "fail", None, "crashed", 0.0, "id")
        yield made
        raise UnfitError("unfit", [made])

    monkeypatch.setattr(scoring, "_verdicts", verdicts)
    with pytest.raises(UnfitError):
        score_run(run, humaneval, sandbox="bubblewrap", progress=False)
    assert run.scores() == [kept]


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
