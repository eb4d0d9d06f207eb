"""Verdicts are evalplus' own but for stated corrections; no solution harms another, none is lost or repeated."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from programs import (
    RIGHT,
    SCORE_RUN,
    SOLUTIONS,
    canonical,
    one_busy_core,
    only,
    processes_with,
    run_with,
    sample_of,
    verdicts_on,
)

from spa import config
from spa.config import PACKAGE
from spa.records import Score, solution_sha
from spa.scoring import expected
from spa.scoring import score as scoring
from spa.scoring.expected import LIMITS
from spa.scoring.inside.texts import fault
from spa.scoring.sandbox import UNPROTECTED
from spa.scoring.score import score, score_run, scorer_id
from spa.tasks.benchmarks import Benchmark

pytestmark = pytest.mark.usefixtures("scoring_cache")


# Verdicts.

EXPECTED = {
    "right": ("pass", "pass", "passed"),
    "right on the base tests only": ("pass", "fail", "wrong_answer"),
    "raises": ("fail", "fail", "exception"),
    "loops": ("fail", "fail", "timeout"),
    "ends itself": ("timeout", "timeout", "crashed"),  # as evalplus calls it
    "leaves politely": ("fail", "fail", "exception"),
    "raises when imported": ("fail", "fail", "exception"),
    "no syntax": ("fail", "fail", "syntax_error"),
    "another name": ("fail", "fail", "no_entry_point"),
    "empty": ("fail", "fail", "no_entry_point"),
    "NUL": ("fail", "fail", "syntax_error"),
    "half a character": ("fail", "fail", "syntax_error"),
}

# evalplus as it is released, in a process of its own: [base, plus] for each solution.
STOCK = """
import json, sys
from evalplus.evaluate import check_correctness
from evalplus.gen.util import trusted_exec
problem, solutions = json.load(sys.stdin)
code, expected = problem["prompt"] + problem["canonical_solution"], {}
for tests in ("base", "plus"):
    outputs = trusted_exec(code, problem[tests + "_input"], problem["entry_point"], record_time=True)
    expected[tests], expected[tests + "_time"] = outputs
results = [check_correctness("humaneval", 0, problem, solution, expected, fast_check=True) for solution in solutions]
print(json.dumps([[result["base"][0], result["plus"][0]] for result in results]))
"""


def stock(benchmark: Benchmark, task_id: str, solutions: list[str]) -> list[list[str]]:
    (problem,) = only(benchmark, task_id).problems
    request = json.dumps([json.loads(problem.to_json()), solutions])
    done = subprocess.run(
        [sys.executable, "-c", STOCK], input=request, text=True, check=True, capture_output=True, cwd=PACKAGE.parent
    )
    found: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_verdicts_are_those_of_stock_evalplus(humaneval_plus: Benchmark) -> None:
    ours = verdicts_on(humaneval_plus, *(("HumanEval/0", solution) for solution in SOLUTIONS.values()))
    theirs = stock(humaneval_plus, "HumanEval/0", list(SOLUTIONS.values()))
    assert [[verdict.base_status, verdict.plus_status] for verdict in ours] == theirs
    for kind, verdict in zip(SOLUTIONS, ours, strict=True):
        found = (verdict.base_status, verdict.plus_status, verdict.reason)
        assert found == EXPECTED.get(kind, ("fail", "fail", "wrong_answer")), kind
        assert verdict.seconds > 0


SLOW = {  # of HumanEval/0
    "wrong, then slow": "    if len(calls) > 1: loop()\n    return False\n",
    "slow on the plus tests": "    if threshold == 0.4: loop()\n    return right_elements(numbers, threshold)\n",
    "holds on": "    while True:\n        try: loop()\n        except BaseException: pass\n",
    "two of it": "    threading.Thread(target=loop, daemon=True).start()\n    loop()\n",
    "slow for once": "    if len(calls) < 1: time.sleep(0.5)\n    return right_elements(numbers, threshold)\n",
}
SLOWLY = "import threading, time\ncalls = []\ndef loop():\n    while True: pass\n" + RIGHT.replace("has_close", "right")


@pytest.mark.slow
def test_attempts_beside_others_and_alone_give_the_verdicts_of_stock_evalplus(humaneval_plus: Benchmark) -> None:
    (problem,) = only(humaneval_plus, "HumanEval/0").problems
    assert problem.plus_input
    few = replace(problem, base_input=problem.base_input[:2], plus_input=problem.plus_input[:2])
    benchmark = replace(humaneval_plus, problems=(few,))
    head = "def has_close_elements(numbers, threshold):\n    calls.append(1)\n"
    solutions = [SLOWLY + head + body for body in SLOW.values()]
    asked = [("HumanEval/0", solution) for solution in solutions]
    expected = stock(benchmark, "HumanEval/0", solutions)
    assert {status for both in expected for status in both} == {"pass", "fail", "timeout"}
    for workers in (1, 2):
        found = {v.solution_sha: v for v in score(asked, benchmark, sandbox="auto", workers=workers)}
        ours = [found[solution_sha(solution)] for solution in solutions]
        assert [[v.base_status, v.plus_status] for v in ours] == expected
        assert [v.retry_seconds > 0 for v in ours] == [workers > 1] * 4 + [False]


COMPUTES = """
import time
end = time.process_time() + 0.5
while time.process_time() < end:
    pass
"""
ONCE = RIGHT.replace("):\n", "):\n    while waits: exec(waits.pop())\n") + "waits = [{wait!r}]\n"


@pytest.mark.slow
def test_on_a_busy_core_right_answers_pass_and_slow_ones_do_not(humaneval: Benchmark) -> None:
    expected.tests(only(humaneval, "HumanEval/0").problems, humaneval, "bubblewrap", 1)
    with one_busy_core():
        waits = (COMPUTES, "import time; time.sleep(1.2)", COMPUTES.replace("0.5", "1.2"))
        found = verdicts_on(humaneval, *(("HumanEval/0", ONCE.format(wait=wait)) for wait in waits))
    assert [v.reason for v in found] == ["passed", "timeout", "timeout"]
    assert found[0].seconds > LIMITS["min_time_limit"]  # by the wall clock, it took too long


def test_without_a_sandbox_the_verdicts_are_the_same(humaneval_plus: Benchmark) -> None:
    solutions = [("HumanEval/0", SOLUTIONS[kind]) for kind in ("right", "right on the base tests only", "no syntax")]
    inside, outside = (verdicts_on(humaneval_plus, *solutions, sandbox=mode) for mode in ("bubblewrap", "none"))
    untimed = [[replace(v, seconds=0, scorer_id="") for v in verdicts] for verdicts in (inside, outside)]
    assert untimed[0] == untimed[1]


def test_find_zero_is_corrected_and_still_judged(humaneval_plus: Benchmark) -> None:
    right = canonical(humaneval_plus)["HumanEval/32"]
    wrong = "def find_zero(xs):\n    return 0.0\n"
    raising = "def find_zero(xs):\n    raise ValueError\n"
    ours = verdicts_on(humaneval_plus, *(("HumanEval/32", solution) for solution in (right, wrong, raising)))
    assert [(v.base_status, v.plus_status) for v in ours] == [("pass", "pass"), ("fail", "fail"), ("fail", "fail")]
    assert stock(humaneval_plus, "HumanEval/32", [right]) == [["fail", "fail"]]
    assert list(scoring.corrections(humaneval_plus)) == ["HumanEval/32"]
    assert scoring.corrections(only(humaneval_plus, "HumanEval/0")) == {}


def test_corrections_of_the_plus_tests_are_of_these_alone(mbpp_plus: Benchmark) -> None:
    assert list(scoring.corrections(mbpp_plus)) == ["Mbpp/255", "Mbpp/392"]
    assert scoring.corrections(replace(mbpp_plus, plus=False)) == {}


def test_base_tests_alone_give_no_plus_status(humaneval: Benchmark) -> None:
    (verdict,) = verdicts_on(humaneval, ("HumanEval/0", SOLUTIONS["right"]))
    assert (verdict.base_status, verdict.plus_status, verdict.reason) == ("pass", None, "passed")


def test_every_type_of_input_and_output_survives(mbpp_plus: Benchmark) -> None:
    odd = ("Mbpp/88", "Mbpp/124", "Mbpp/252", "Mbpp/580", "Mbpp/590", "Mbpp/737", "Mbpp/793", "Mbpp/794")
    right = canonical(only(mbpp_plus, *odd))
    assert {v.task_id: (v.base_status, v.plus_status) for v in verdicts_on(mbpp_plus, *right.items())} == dict.fromkeys(
        odd, ("pass", "pass")
    )


@pytest.mark.parametrize(
    ("solution", "expected"),
    [
        ("def f(): return 1", "wrong_answer"),
        ("if True:\n    f = lambda: 1", "wrong_answer"),
        ("from math import sqrt as f", "wrong_answer"),
        ("class f: pass", "wrong_answer"),
        ("def g():\n    def f(): pass", "no_entry_point"),
        ("print(f)", "no_entry_point"),
        ("return f", "syntax_error"),
        ("from __future__ import braces", "syntax_error"),
        ("f = '\\d'", "wrong_answer"),
        ("f = " + "-" * 100_000 + "1", "syntax_error"),
        ("f = " + "(" * 300 + ")" * 300, "syntax_error"),
    ],
)
def test_reasons_come_from_the_text(solution: str, expected: str) -> None:
    assert (fault(solution, "f") or "wrong_answer") == expected


LARGE = ("Mbpp/255", "Mbpp/599")  # their plus tests take longer than those of all other tasks together


@pytest.mark.slow
@pytest.mark.parametrize("name", ["humaneval_plus", "mbpp_plus"])
def test_canonical_solutions_pass(name: str, request: pytest.FixtureRequest) -> None:
    """Base and plus tests of every task; of the largest two the base tests alone, `make doctor` scores the others."""
    benchmark: Benchmark = request.getfixturevalue(name)
    large = only(benchmark, *LARGE)
    rest = replace(benchmark, problems=tuple(p for p in benchmark.problems if p.task_id not in LARGE))
    scored = 0
    for part in (rest, replace(large, plus=False, problems=tuple(replace(p, plus_input=None) for p in large.problems))):
        verdicts = list(score(list(canonical(part).items()), part, sandbox="bubblewrap"))
        assert [v for v in verdicts if v.reason != "passed"] == []
        scored += len(verdicts)
    assert scored == {"humaneval_plus": 164, "mbpp_plus": 378}[name]


# Runs.


def test_distinct_solutions_are_scored_once(humaneval: Benchmark, tmp_path: Path) -> None:
    right, wrong = SOLUTIONS["right"], SOLUTIONS["wrong"]
    run = run_with(
        tmp_path,
        sample_of("HumanEval/0", right),
        sample_of("HumanEval/0", right, omega=0.2),
        sample_of("HumanEval/0", wrong, omega=0.4),
        sample_of("HumanEval/3", right),
        sample_of("HumanEval/0", "given up", omega=0.5, finish_reason="budget"),
    )
    report = score_run(run, humaneval, sandbox="bubblewrap", progress=False)
    assert (report.scored, report.already, report.sandbox) == (3, 0, "bubblewrap")
    assert report.corrections == scoring.corrections(humaneval)
    assert {(s.task_id, s.solution_sha): s.reason for s in run.scores()} == {
        ("HumanEval/0", solution_sha(right)): "passed",
        ("HumanEval/0", solution_sha(wrong)): "wrong_answer",
        ("HumanEval/3", solution_sha(right)): "no_entry_point",
    }
    before = run.scores_path.read_bytes()
    again = score_run(run, humaneval, sandbox="bubblewrap", progress=False)
    assert (again.scored, again.already, again.sandbox) == (0, 3, None)
    assert run.scores_path.read_bytes() == before
    other = score_run(run, replace(humaneval, md5="of other data"), sandbox="bubblewrap", progress=False)
    assert (other.scored, len(run.scores())) == (3, 6)


def test_what_the_token_limit_cut_fails_for_that(humaneval: Benchmark, tmp_path: Path) -> None:
    both = SOLUTIONS["raises"]  # written to its end at another omega
    cut = [sample_of("HumanEval/0", SOLUTIONS[kind], finish_reason="length") for kind in ("right", "wrong", "raises")]
    run = run_with(tmp_path, *cut, sample_of("HumanEval/0", both, omega=0.2))
    score_run(run, humaneval, sandbox="bubblewrap", progress=False)
    reasons = {s.solution_sha: s.reason for s in run.scores()}
    assert [reasons[solution_sha(sample.solution)] for sample in cut] == ["passed", "truncated", "exception"]


def test_a_selection_of_tasks_is_scored_alone(humaneval: Benchmark, tmp_path: Path) -> None:
    run = run_with(tmp_path, sample_of("HumanEval/0", "a = 1"), sample_of("HumanEval/1", "a = 1"))
    score_run(run, only(humaneval, "HumanEval/1"), sandbox="bubblewrap", progress=False)
    assert [s.task_id for s in run.scores()] == ["HumanEval/1"]


def test_the_scorer_id_stands_for_what_a_verdict_depends_on(
    humaneval_plus: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = ("bubblewrap", "none", "apptainer:one.sif")
    identifiers = [scorer_id(humaneval_plus, mode) for mode in modes]
    assert scorer_id(only(humaneval_plus, "HumanEval/0"), "bubblewrap") == identifiers[0]
    assert scorer_id(humaneval_plus, "apptainer:other.sif") == identifiers[2]
    others = (replace(humaneval_plus, plus=False), replace(humaneval_plus, md5=""))
    changed = [scorer_id(each, "bubblewrap") for each in others]
    monkeypatch.setitem(scoring.LIMITS, "min_time_limit", 2.0)
    assert len({*identifiers, *changed, scorer_id(humaneval_plus, "bubblewrap")}) == 6


def test_verdicts_without_protection_stay_apart(humaneval: Benchmark, tmp_path: Path) -> None:
    run = run_with(tmp_path, sample_of("HumanEval/0", SOLUTIONS["right"]))
    bare = score_run(run, humaneval, sandbox="none", progress=False)
    assert (bare.scored, bare.warning) == (1, UNPROTECTED)
    kept = score_run(run, humaneval, sandbox="auto", progress=False)
    assert (kept.scored, kept.already, kept.sandbox, kept.warning) == (1, 0, "bubblewrap", None)
    assert kept.scorer_id != bare.scorer_id
    again = score_run(run, humaneval, sandbox="none", progress=False)
    assert (again.scored, again.scorer_id, again.warning) == (0, bare.scorer_id, None)


def test_what_was_scored_with_protection_needs_no_sandbox_any_more(
    humaneval: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_with(tmp_path, sample_of("HumanEval/0", SOLUTIONS["right"]))
    first = score_run(run, humaneval, sandbox="bubblewrap", progress=False)
    monkeypatch.setenv("PATH", "")
    again = score_run(run, humaneval, sandbox="auto", progress=False)
    assert (again.scored, again.scorer_id) == (0, first.scorer_id)


def test_a_killed_scoring_loses_and_repeats_nothing(humaneval: Benchmark, tmp_path: Path) -> None:
    slow = "import time\ntime.sleep(0.2)\n"
    samples = [sample_of("HumanEval/0", f"{slow}{SOLUTIONS['right']}# {number}\n") for number in range(16)]
    run = run_with(tmp_path, *samples)
    with subprocess.Popen([sys.executable, "-c", SCORE_RUN, str(run.folder)], cwd=PACKAGE.parent) as scorer:
        while scorer.poll() is None and len(run.scores()) < 3:
            time.sleep(0.02)
        scorer.send_signal(signal.SIGKILL)
    with run.scores_path.open("ab") as file:
        file.write(b'{"task_id": "HumanEval/0", "solu')  # as if killed while it wrote
    before = run.scores()
    assert 3 <= len(before) < 16
    with run.locked():
        report = score_run(run, humaneval, sandbox="bubblewrap", progress=False)
    after = run.scores()
    assert after[: len(before)] == before
    assert (report.already, report.scored) == (len(before), 16 - len(before))
    assert {s.solution_sha for s in after} == {solution_sha(sample.solution) for sample in samples}
    assert len(after) == 16
    assert {s.reason for s in after} == {"passed"}


@pytest.mark.slow
def test_five_kills_lose_and_double_nothing(humaneval: Benchmark, tmp_path: Path) -> None:
    tasks = {task_id: canonical(humaneval)[task_id] for task_id in ("HumanEval/0", "HumanEval/3", "HumanEval/31")}
    slow = "import time\ntime.sleep(0.3)\n"
    samples = [
        sample_of(task_id, f"{slow}{code if right else ''}# {number}\n")
        for task_id, code in tasks.items()
        for right in (True, False)
        for number in range(12)
    ]
    run = run_with(tmp_path, *samples)
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    draw, known = random.Random(0), list[Score]()
    for _ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", SCORE_RUN, str(run.folder)], cwd=PACKAGE.parent, env=environment
        ) as scorer:
            with suppress(subprocess.TimeoutExpired):
                scorer.wait(draw.uniform(0.5, 5))
            scorer.send_signal(signal.SIGKILL)
        found = run.scores()
        assert found[: len(known)] == known
        known = found
    subprocess.run([sys.executable, "-c", SCORE_RUN, str(run.folder)], cwd=PACKAGE.parent, env=environment, check=True)
    verdicts = {(s.task_id, s.solution_sha): s.reason for s in run.scores()}
    assert len(run.scores()) == len(verdicts) == len(samples)
    for sample in samples:
        right = "return" in sample.solution
        assert verdicts[sample.task_id, solution_sha(sample.solution)] == ("passed" if right else "no_entry_point")
    assert not processes_with(str(tmp_path))


# Expected outputs.


def test_workers_keep_to_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert config.usable_cores() == 8
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    assert config.usable_cores() == 3
