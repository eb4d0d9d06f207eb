"""Verdicts are evalplus' own but for stated corrections; no solution harms another, none is lost or repeated."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from programs import RIGHT, SOLUTIONS, canonical, one_busy_core, only, processes_with

from spa.errors import SpaError
from spa.records import Generation, Problem, Score, solution_sha
from spa.results import provenance
from spa.results.store import Run
from spa.scoring import expected, judging
from spa.scoring import score as scoring
from spa.scoring.expected import Files
from spa.scoring.judging import LIMITS, Case, Court, judge, reason
from spa.scoring.processes import Service
from spa.scoring.score import score, score_run, scorer_id
from spa.tasks.benchmarks import Benchmark

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("scoring_cache")


def verdicts(benchmark: Benchmark, *solutions: tuple[str, str], sandbox: str = "bubblewrap") -> list[Score]:
    """Verdicts in the order of the solutions."""
    found = {
        (s.task_id, s.solution_sha): s
        for s in score(list(solutions), only_needed(benchmark, solutions), sandbox=sandbox)
    }
    return [found[task_id, solution_sha(solution)] for task_id, solution in solutions]


def only_needed(benchmark: Benchmark, solutions: tuple[tuple[str, str], ...]) -> Benchmark:
    return only(benchmark, *(task_id for task_id, _ in solutions))


def generation(task_id: str, solution: str, omega: float = 0.0, finish_reason: str = "stop") -> Generation:
    return Generation(
        task_id=task_id,
        solution=solution,
        omega_lo=omega,
        omega_hi=omega,
        raw="",
        completion="",
        prompt_text="",
        original_ids=[],
        masked_ids=[],
        masked_positions=[],
        completion_ids=[],
        finish_reason=finish_reason,
        anchor_spans=[],
        seconds=0.0,
        batch_rows=1,
    )


def run_with(folder: Path, *samples: Generation) -> Run:
    run = Run(folder / "runs" / "0123")
    run.folder.mkdir(parents=True)
    run.append_samples(samples)
    return run


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
        [sys.executable, "-c", STOCK], input=request, text=True, check=True, capture_output=True, cwd=ROOT
    )
    found: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_verdicts_are_those_of_stock_evalplus(humaneval_plus: Benchmark) -> None:
    ours = verdicts(humaneval_plus, *(("HumanEval/0", solution) for solution in SOLUTIONS.values()))
    theirs = stock(humaneval_plus, "HumanEval/0", list(SOLUTIONS.values()))
    assert [[verdict.base_status, verdict.plus_status] for verdict in ours] == theirs
    for kind, verdict in zip(SOLUTIONS, ours, strict=True):
        found = (verdict.base_status, verdict.plus_status, verdict.reason)
        assert found == EXPECTED.get(kind, ("fail", "fail", "wrong_answer")), kind
        assert verdict.suspect is (False if verdict.base_status == "pass" else None)
        assert verdict.seconds > 0


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
        found = verdicts(humaneval, *(("HumanEval/0", ONCE.format(wait=wait)) for wait in waits))
    assert [v.reason for v in found] == ["passed", "timeout", "timeout"]
    assert found[0].seconds > LIMITS["min_time_limit"]  # by the wall clock, it took too long


def test_without_a_sandbox_the_verdicts_are_the_same(humaneval_plus: Benchmark) -> None:
    solutions = [("HumanEval/0", SOLUTIONS[kind]) for kind in ("right", "right on the base tests only", "no syntax")]
    inside, outside = (verdicts(humaneval_plus, *solutions, sandbox=mode) for mode in ("bubblewrap", "none"))
    untimed = [[replace(v, seconds=0, look_seconds=0) for v in verdicts] for verdicts in (inside, outside)]
    assert untimed[0] == untimed[1]


def test_find_zero_is_corrected_and_still_judged(humaneval_plus: Benchmark) -> None:
    right = canonical(humaneval_plus)["HumanEval/32"]
    wrong = "def find_zero(xs):\n    return 0.0\n"
    raising = "def find_zero(xs):\n    raise ValueError\n"
    ours = verdicts(humaneval_plus, *(("HumanEval/32", solution) for solution in (right, wrong, raising)))
    assert [(v.base_status, v.plus_status) for v in ours] == [("pass", "pass"), ("fail", "fail"), ("fail", "fail")]
    assert stock(humaneval_plus, "HumanEval/32", [right]) == [["fail", "fail"]]
    assert list(scoring.corrections(humaneval_plus)) == ["HumanEval/32"]
    assert scoring.corrections(only(humaneval_plus, "HumanEval/0")) == {}


def test_corrections_of_the_plus_tests_are_of_these_alone(mbpp_plus: Benchmark) -> None:
    assert list(scoring.corrections(mbpp_plus)) == ["Mbpp/255", "Mbpp/392"]
    assert scoring.corrections(replace(mbpp_plus, plus=False)) == {}


def test_base_tests_alone_give_no_plus_status(humaneval: Benchmark) -> None:
    (verdict,) = verdicts(humaneval, ("HumanEval/0", SOLUTIONS["right"]))
    assert (verdict.base_status, verdict.plus_status, verdict.reason) == ("pass", None, "passed")


def test_every_type_of_input_and_output_survives(mbpp_plus: Benchmark) -> None:
    odd = ("Mbpp/88", "Mbpp/124", "Mbpp/252", "Mbpp/580", "Mbpp/590", "Mbpp/737", "Mbpp/793", "Mbpp/794")
    right = canonical(only(mbpp_plus, *odd))
    assert {v.task_id: (v.base_status, v.plus_status) for v in verdicts(mbpp_plus, *right.items())} == dict.fromkeys(
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
    assert reason(solution, "f", ["wrong_answer", "exception"]) == expected


def test_reasons_come_from_the_failures() -> None:
    assert reason("", "f", []) == "passed"
    assert reason("f = 1", "f", ["timeout"]) == "timeout"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["humaneval_plus", "mbpp_plus"])
def test_canonical_solutions_pass(name: str, request: pytest.FixtureRequest) -> None:
    benchmark: Benchmark = request.getfixturevalue(name)
    right = canonical(benchmark)
    verdicts = score(list(right.items()), benchmark, sandbox="bubblewrap")
    wrong = [v for v in verdicts if v.reason != "passed" or v.suspect is not False]
    assert not wrong
    assert len(right) == {"humaneval_plus": 164, "mbpp_plus": 378}[name]


# Harm.


def kill_parent(marker: Path) -> str:
    return "import os, ctypes\nctypes.CDLL(None).kill(os.getppid(), 9)\n"


def kill_everyone(marker: Path) -> str:
    return "import ctypes\nctypes.CDLL(None).kill(-1, 9)\n"


def write_outside(marker: Path) -> str:
    return f"import io\nio.open({str(marker)!r}, 'w').write('x')\n"


def answer_for_the_checker(marker: Path) -> str:
    answer = json.dumps({"base": "pass", "plus": "pass", "seconds": 1.0}).encode()
    frame = len(answer).to_bytes(4, "big") + answer
    return f"""
import os
for descriptor in range(64):
    try:
        os.write(descriptor, {frame!r})
    except OSError:
        pass
"""


def listen(marker: Path) -> str:
    return "import socket\nserver = socket.create_server(('127.0.0.1', 47831))\n"


def reach_out(marker: Path) -> str:
    return f"import socket, io\nsocket.create_connection(('127.0.0.1', 22), 1)\nio.open({str(marker)!r}, 'w')\n"


def leave_a_child(marker: Path) -> str:
    return "import os, posix, time\nif posix.fork() == 0:\n    os.closerange(0, 64)\n    time.sleep(600)\n"


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache that no other test uses, even in another process: to be damaged, or seen in command lines."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("own_cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.mark.parametrize(
    "attack", [kill_parent, kill_everyone, write_outside, answer_for_the_checker, listen, reach_out, leave_a_child]
)
def test_harm_is_kept_in(
    humaneval_plus: Benchmark, tmp_path: Path, own_cache: Path, attack: Callable[[Path], str]
) -> None:
    marker = tmp_path / "marker"
    harmful = attack(marker) + SOLUTIONS["wrong"]
    solutions = [
        ("HumanEval/0", SOLUTIONS["right"]),
        ("HumanEval/0", harmful),
        ("HumanEval/3", canonical(humaneval_plus)["HumanEval/3"]),
    ]
    first, middle, last = verdicts(humaneval_plus, *solutions)
    assert first.reason == last.reason == "passed"
    assert middle.base_status != "pass"
    assert not marker.exists()
    assert not processes_with(str(own_cache))


def test_what_a_solution_leaves_running_is_gone_before_the_next(humaneval: Benchmark, tmp_path: Path) -> None:
    lonely = f"import os\nassert sum(map(str.isdigit, os.listdir('/proc'))) == 3\n{RIGHT}"  # pid 1, the checker, itself
    requests = [("HumanEval/0", leave_a_child(tmp_path) + RIGHT), ("HumanEval/0", lonely)]
    assert [s.reason for s in score(requests, humaneval, sandbox="bubblewrap", workers=1)] == ["passed", "passed"]


def test_a_solution_that_kills_its_checker_is_named(
    humaneval_plus: Benchmark, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (verdict,) = verdicts(humaneval_plus, ("HumanEval/0", kill_parent(tmp_path)))
    assert (verdict.base_status, verdict.plus_status) == ("fail", "fail")
    assert "HumanEval/0: no verdict on the solution" in caplog.text


def test_a_checker_that_stays_silent_is_ended_and_the_solution_named(
    humaneval: Benchmark, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watchdog: whatever holds a scoring up, it goes on, and the other verdicts are kept."""
    expected.tests(only(humaneval, "HumanEval/0").problems, humaneval, "bubblewrap", 1)
    monkeypatch.setattr(judging, "CHECK_SECONDS", 0.7)  # less than evalplus allows the solution
    solutions = [SOLUTIONS["wrong"], SOLUTIONS["loops"], RIGHT]
    run = run_with(tmp_path, *(generation("HumanEval/0", solution) for solution in solutions))
    score_run(run, humaneval, sandbox="bubblewrap", progress=False)
    found = {s.solution_sha: (s.base_status, s.reason) for s in run.scores()}
    outcomes = [("fail", "wrong_answer"), ("timeout", "timeout"), ("pass", "passed")]
    assert [found[solution_sha(solution)] for solution in solutions] == outcomes
    assert f"no verdict on the solution {solution_sha(SOLUTIONS['loops'])[:12]}, in two tries: silent" in caplog.text


def test_the_results_folder_is_out_of_sight(humaneval: Benchmark, tmp_path: Path) -> None:
    peek = f"import os\nassert not os.path.exists({str(tmp_path / 'runs')!r})\n{RIGHT}"
    run = run_with(tmp_path, generation("HumanEval/0", peek))
    score_run(run, humaneval, sandbox="bubblewrap", progress=False)
    assert [s.reason for s in run.scores()] == ["passed"]


# Runs.


def test_distinct_solutions_are_scored_once(humaneval: Benchmark, tmp_path: Path) -> None:
    right, wrong = SOLUTIONS["right"], SOLUTIONS["wrong"]
    run = run_with(
        tmp_path,
        generation("HumanEval/0", right),
        generation("HumanEval/0", right, omega=0.2),
        generation("HumanEval/0", wrong, omega=0.4),
        generation("HumanEval/3", right),
        generation("HumanEval/0", "given up", omega=0.5, finish_reason="budget"),
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


def test_a_selection_of_tasks_is_scored_alone(humaneval: Benchmark, tmp_path: Path) -> None:
    run = run_with(tmp_path, generation("HumanEval/0", "a = 1"), generation("HumanEval/1", "a = 1"))
    score_run(run, only(humaneval, "HumanEval/1"), sandbox="bubblewrap", progress=False)
    assert [s.task_id for s in run.scores()] == ["HumanEval/1"]


def test_the_scorer_id_stands_for_what_a_verdict_depends_on(
    humaneval_plus: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    identifier = scorer_id(humaneval_plus)
    assert scorer_id(only(humaneval_plus, "HumanEval/0")) == identifier
    changed = {scorer_id(replace(humaneval_plus, plus=False)), scorer_id(replace(humaneval_plus, md5=""))}
    monkeypatch.setitem(scoring.LIMITS, "min_time_limit", 2.0)
    assert len({identifier, scorer_id(humaneval_plus), *changed}) == 4


KILLED = """
import dataclasses, sys
from pathlib import Path
from spa.scoring.score import score_run
from spa.results.store import Run
sys.path.insert(0, "tests/support")
from data import benchmark_config
from spa.tasks import benchmarks
benchmark = benchmarks.load(benchmark_config("humaneval"))
run = Run(Path(sys.argv[1]))
with run.locked():
    score_run(run, benchmark, sandbox="bubblewrap", progress=False)
"""


def test_a_killed_scoring_loses_and_repeats_nothing(humaneval: Benchmark, tmp_path: Path) -> None:
    slow = "import time\ntime.sleep(0.2)\n"
    samples = [generation("HumanEval/0", f"{slow}{SOLUTIONS['right']}# {number}\n") for number in range(16)]
    run = run_with(tmp_path, *samples)
    with subprocess.Popen([sys.executable, "-c", KILLED, str(run.folder)], cwd=ROOT) as scorer:
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
def test_ten_kills_lose_and_double_nothing(humaneval: Benchmark, tmp_path: Path) -> None:
    tasks = {task_id: canonical(humaneval)[task_id] for task_id in ("HumanEval/0", "HumanEval/3", "HumanEval/31")}
    slow = "import time\ntime.sleep(0.3)\n"
    samples = [
        generation(task_id, f"{slow}{code if right else ''}# {number}\n")
        for task_id, code in tasks.items()
        for right in (True, False)
        for number in range(12)
    ]
    run = run_with(tmp_path, *samples)
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    draw, known = random.Random(0), list[Score]()
    for _ in range(10):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(run.folder)], cwd=ROOT, env=environment) as scorer:
            with suppress(subprocess.TimeoutExpired):
                scorer.wait(draw.uniform(0.2, 6))
            scorer.send_signal(signal.SIGKILL)
        found = run.scores()
        assert found[: len(known)] == known
        known = found
    subprocess.run([sys.executable, "-c", KILLED, str(run.folder)], cwd=ROOT, env=environment, check=True)
    verdicts = {(s.task_id, s.solution_sha): s.reason for s in run.scores()}
    assert len(run.scores()) == len(verdicts) == len(samples)
    for sample in samples:
        right = "return" in sample.solution
        assert verdicts[sample.task_id, solution_sha(sample.solution)] == ("passed" if right else "no_entry_point")
    assert not processes_with(str(tmp_path))


# The second look.


def test_what_is_right_by_chance_or_by_state_is_no_suspect(humaneval: Benchmark) -> None:
    counting = RIGHT.replace("    return", "    calls.append(1)\n    return len(calls) > 0 and") + "calls = []\n"
    drawn = "def has_close_elements(numbers, threshold):\n    found = {*map(str, numbers)}\n" + RIGHT.split("\n", 2)[2]
    found = verdicts(humaneval, *(("HumanEval/0", solution) for solution in (counting, drawn)))
    assert [(v.base_status, v.suspect, v.reason) for v in found] == [("pass", False, "passed")] * 2


@pytest.mark.parametrize(("looks", "suspect"), [(["pass"], False), (["fail", "pass"], False), (["fail", "fail"], True)])
def test_a_look_that_disagrees_is_repeated_once(tmp_path: Path, looks: list[str], suspect: bool) -> None:
    """The job, with a test in the place of its processes."""
    tests = Files(tmp_path / "inputs", tmp_path / "outputs")
    tests.inputs.write_bytes(b"the inputs")
    problem = Problem("T/1", "humaneval", "", "f", "", [], None, "", 0.0)
    processes = Court(*(Service((name,)) for name in ("check", "look", "compare")))
    job = judge(Case(problem, "f = 1", tests), processes, "id")
    ask = next(job)
    assert ask.service == processes.check
    answers = [{"base": {"status": "pass", "reason": "passed", "input": None}, "plus": None, "seconds": 1.0}]
    answers += [{"status": status, "reason": "exception", "input": 0} for status in looks]
    for answer in answers[:-1]:
        ask = job.send(json.dumps(answer).encode())
        assert ask.service == processes.look
        assert ask.message.endswith(b"\nthe inputs")
        assert str(tmp_path).encode() not in ask.message
        ask = job.send(b"told")
        assert ask.service == processes.compare
        assert ask.message.endswith(b"\ntold")
    with pytest.raises(StopIteration) as end:
        job.send(json.dumps(answers[-1]).encode())
    score = end.value.value.score
    assert (score.suspect, score.reason) == (suspect, "exception" if suspect else "passed")


# Expected outputs.


def test_two_scorings_may_start_on_an_empty_cache(tmp_path: Path, humaneval: Benchmark) -> None:
    runs = [run_with(tmp_path / name, generation("HumanEval/0", SOLUTIONS["right"])) for name in ("a", "b")]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    scorers = [
        subprocess.Popen([sys.executable, "-c", KILLED, str(run.folder)], cwd=ROOT, env=environment) for run in runs
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
    assert [v.reason for v in verdicts(humaneval, ("HumanEval/0", RIGHT))] == ["passed"]


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
    with pytest.raises(SpaError, match=r"HumanEval/5: the solution [0-9a-f]{12} could not be checked: zlib"):
        list(score(request, humaneval, sandbox="bubblewrap"))
    path.unlink()
    assert [s.reason for s in score(request, humaneval, sandbox="bubblewrap")] == ["passed"]


def test_workers_keep_to_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert provenance.usable_cores() == 8
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    assert provenance.usable_cores() == 3
