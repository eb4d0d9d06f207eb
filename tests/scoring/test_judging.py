"""The second check of what evalplus passes."""

import json
from pathlib import Path

import pytest
from programs import RIGHT, verdicts_on

from spa.records import Problem
from spa.scoring.expected import Files
from spa.scoring.judging import Case, Services, judge
from spa.scoring.processes import Service
from spa.tasks.benchmarks import Benchmark

pytestmark = pytest.mark.usefixtures("scoring_cache")


def test_what_is_right_by_chance_or_by_state_is_no_suspect(humaneval: Benchmark) -> None:
    counting = RIGHT.replace("    return", "    calls.append(1)\n    return len(calls) > 0 and") + "calls = []\n"
    drawn = "def has_close_elements(numbers, threshold):\n    found = {*map(str, numbers)}\n" + RIGHT.split("\n", 2)[2]
    found = verdicts_on(humaneval, *(("HumanEval/0", solution) for solution in (counting, drawn)))
    assert [(v.base_status, v.suspect, v.reason) for v in found] == [("pass", False, "passed")] * 2


@pytest.mark.parametrize(("looks", "suspect"), [(["pass"], False), (["fail", "pass"], False), (["fail", "fail"], True)])
def test_a_look_that_disagrees_is_repeated_once(tmp_path: Path, looks: list[str], suspect: bool) -> None:
    """The job, with a test in the place of its processes."""
    tests = Files(tmp_path / "inputs", tmp_path / "outputs")
    tests.inputs.write_bytes(b"the inputs")
    problem = Problem("T/1", "humaneval", "", "f", "", [], None, "", 0.0)
    processes = Services(*(Service((name,)) for name in ("check", "look", "compare")))
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
