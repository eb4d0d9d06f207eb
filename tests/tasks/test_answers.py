"""Right programs in many forms, by our extraction and by evalplus' sanitizer."""

import copy
from collections.abc import Sequence

import pytest
from answers import CORPUS, FORMS, LARGEST, Answer
from evalplus.sanitize import sanitize
from stopped import end

from spa.records import Problem
from spa.tasks.benchmarks import Benchmark
from spa.tasks.extraction import UntilProgram, solution


def passes(problem: Problem, program: str) -> bool:
    """Whether it returns what the canonical solution does for the base inputs; these programs are our own."""
    returned = []
    for source in (problem.prompt + problem.canonical_solution, program):
        names: dict[str, object] = {}
        try:
            exec(source, names)
            function = names[problem.entry_point]
            assert callable(function)
            returned.append([function(*copy.deepcopy(arguments)) for arguments in problem.base_input])
        except Exception:
            return False
    return returned[0] == returned[1]


def task(benchmark: Benchmark, task_id: str) -> Problem:
    return next(problem for problem in benchmark.problems if problem.task_id == task_id)


def until(pieces: Sequence[str], entry_point: str) -> str:
    """What our stop rule leaves of a text."""
    kept = end(UntilProgram(entry_point), pieces)
    return "".join(pieces) if kept is None else kept


@pytest.mark.parametrize("answer", CORPUS, ids=lambda answer: f"{answer.form}, {answer.task_id}")
def test_a_right_program_is_found(answer: Answer, humaneval: Benchmark) -> None:
    problem = task(humaneval, answer.task_id)
    found = solution(problem, answer.text, "chat")
    assert passes(problem, found), found
    kept = until(answer.text, problem.entry_point)
    assert solution(problem, kept, "chat") == found, "what the stop rule cuts off is no part of it"


def test_evalplus_sanitizer_finds_no_more(humaneval: Benchmark) -> None:
    """Every program here is right; of these evalplus' own step finds some."""
    found = [
        passes(task(humaneval, a.task_id), sanitize(a.text, task(humaneval, a.task_id).entry_point)) for a in CORPUS
    ]
    assert len(CORPUS) == 3 * len(FORMS) >= 60
    assert 20 < sum(found) < len(CORPUS)


def test_the_first_complete_block_wins(humaneval: Benchmark) -> None:
    """The one class in which evalplus may do better: a later block corrects an earlier one."""
    problem = task(humaneval, "HumanEval/35")
    wrong = LARGEST.replace("e > m", "e < m")
    assert not passes(problem, solution(problem, f"```python\n{wrong}\n```\nNo:\n```python\n{LARGEST}\n```", "chat"))


def test_a_block_without_the_entry_point_does_not_end_a_text() -> None:
    first, second = "```python\nprint(f(1))\n```\n", "```python\ndef f(x):\n    return x\n```"
    assert until(first + second + "\nDone.", "f") == first + second
    assert until(f"<think>\n{second}\n</think>\n{second}\nDone.", "f") == f"<think>\n{second}\n</think>\n{second}"
    assert until(first + "and", "f") == first + "and"
