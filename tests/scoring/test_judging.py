"""A solution runs once, apart from the answers; its outputs are compared where it never was."""

import json
from pathlib import Path

import pytest
from programs import RIGHT, verdicts_on

from spa.records import Problem
from spa.scoring.expected import Files
from spa.scoring.judging import Attempt, Case, Judged, Services, judge
from spa.scoring.processes import Ask, Lost, Service
from spa.tasks.benchmarks import Benchmark

pytestmark = pytest.mark.usefixtures("scoring_cache")


def test_what_is_right_by_chance_or_by_state_passes(humaneval: Benchmark) -> None:
    counting = RIGHT.replace("    return", "    calls.append(1)\n    return len(calls) > 0 and") + "calls = []\n"
    drawn = "def has_close_elements(numbers, threshold):\n    found = {*map(str, numbers)}\n" + RIGHT.split("\n", 2)[2]
    found = verdicts_on(humaneval, *(("HumanEval/0", solution) for solution in (counting, drawn)))
    assert [(v.base_status, v.reason) for v in found] == [("pass", "passed")] * 2


def judged(
    folder: Path, told: bytes | Lost, found: bytes | Lost, fault: bytes | Lost = b"", attempt: Attempt = "only"
) -> tuple[Judged, Ask]:
    """The job's result, with a test in the place of its processes, and what it asked of the comparison."""
    tests = Files(folder / "inputs", folder / "outputs")
    tests.inputs.write_bytes(b"the inputs")
    problem = Problem("T/1", "humaneval", "", "f", "", [], None, "", 0.0)
    processes = Services(Service(("solve",)), Service(("compare",)))
    job = judge(Case(problem, "f = 1", tests, attempt), processes, "id")
    ask = next(job)
    assert ask.service == processes.solve
    assert ask.payload == b"the inputs"
    assert str(folder).encode() not in ask.message
    ask = job.send(told)
    assert ask.service == processes.compare
    text = job.send(found)  # of a solution that fails
    assert json.loads(text.message) == {"solution": "f = 1", "entry_point": "f"}
    with pytest.raises(StopIteration) as end:
        job.send(fault)
    return end.value.value, ask


def test_what_a_lost_process_told_is_compared(tmp_path: Path) -> None:
    found = {"base": {"status": "fail", "reason": "wrong_answer", "input": 3}, "plus": None}
    result, ask = judged(tmp_path, Lost("memory", received=b"what it told"), json.dumps(found).encode())
    assert ask.payload == b"what it told"
    assert json.loads(ask.message)["lost"] == ["fail", "memory"]
    assert (result.score.base_status, result.score.reason, result.score.base_failed_input) == (
        "fail",
        "wrong_answer",
        3,
    )
    assert not result.timed_out


def test_what_ends_the_comparison_is_no_plain_data(tmp_path: Path) -> None:
    result, _ = judged(tmp_path, b"told", Lost("silent"))
    assert (result.score.base_status, result.score.plus_status, result.score.reason) == ("fail", None, "not plain data")


def test_only_what_ran_out_of_time_is_tried_again(tmp_path: Path) -> None:
    found = {"base": {"status": "timeout", "reason": "timeout", "input": 0}, "plus": None}
    result, _ = judged(tmp_path, b"told", json.dumps(found).encode())
    assert result.timed_out


def test_a_first_attempt_says_of_what_it_was_not_tried_on_that_time_ran_out(tmp_path: Path) -> None:
    wrong = {"status": "fail", "reason": "wrong_answer", "input": 0}
    untried = {"status": "timeout", "reason": "timeout", "input": None}
    found = json.dumps({"base": wrong, "plus": untried}).encode()
    result, ask = judged(tmp_path, b"told", found, attempt="first")
    assert json.loads(ask.message)["lost"] == ["timeout", "timeout"]
    assert (result.score.reason, result.timed_out) == ("wrong_answer", True)


@pytest.mark.parametrize(
    ("fault", "reason"), [(b"", "crashed"), (b"syntax_error", "syntax_error"), (Lost("ended"), "crashed")]
)
def test_the_text_may_say_why(tmp_path: Path, fault: bytes | Lost, reason: str) -> None:
    found = {"base": {"status": "timeout", "reason": "crashed", "input": 0}, "plus": None}
    result, _ = judged(tmp_path, b"told", json.dumps(found).encode(), fault)
    assert (result.score.base_status, result.score.reason, result.crashed) == ("timeout", reason, False)


@pytest.mark.parametrize("text", ["[x " + "for x in y " * 100_000 + "]", "import " + "a." * 50_000 + "b"])
def test_a_text_that_cannot_be_compiled_harms_nobody(humaneval: Benchmark, text: str) -> None:
    verdicts = verdicts_on(humaneval, ("HumanEval/0", text), ("HumanEval/0", RIGHT))
    assert [v.passed() for v in verdicts] == [False, True]
