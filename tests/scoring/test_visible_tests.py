from pathlib import Path

import pytest
from synthetic import generation, write_run

from spa.records import Problem, solution_sha
from spa.results.store import Results
from spa.scoring import sandbox, visible_tests
from spa.scoring.inside import shown
from spa.tasks.benchmarks import Benchmark


def problem(prompt: str, family: str = "humaneval") -> Problem:
    return Problem("T/1", family, prompt, "f", "", [], None, "", 0)


HUMANEVAL = '''def f(x):
    """Add one. For example, 1 gives 2.

    >>> f(1)
    2
    >>> f([1,
    ...    2])
    [2, 3]
    >>> f(
    >>> y = 3
    >>> f(y)
    4
    """
'''


def test_examples_of_a_docstring() -> None:
    """Each with what it shows; the one that is no Python is left out."""
    assert visible_tests.tests(problem(HUMANEVAL)) == [
        ("f(1)\n", "2\n"),
        ("f([1,\n   2])\n", "[2, 3]\n"),
        ("y = 3\n", ""),
        ("f(y)\n", "4\n"),
    ]
    assert visible_tests.tests(problem('def f(x):\n    """Add one."""\n')) == []


def test_asserts_of_a_prompt() -> None:
    prompt = '"""\nWrite a function to add one.\nassert f(1) == 2\nassert f(\n    2) == 3\n"""\n'
    assert visible_tests.tests(problem(prompt, "mbpp")) == [("assert f(1) == 2", ""), ("assert f(2) == 3", "")]
    assert visible_tests.tests(problem('"""\nAdd one.\nassert f(1 == 2\n"""\n', "mbpp")) == []


def test_every_example_of_humaneval_can_be_read(humaneval: Benchmark) -> None:
    found = {each.task_id: visible_tests.tests(each) for each in humaneval.problems}
    assert sum(bool(tests) for tests in found.values()) == 76
    for each in humaneval.problems:
        assert len(found[each.task_id]) == each.prompt.count(">>>")


def test_every_prompt_of_mbpp_shows_a_test(mbpp_plus: Benchmark) -> None:
    assert all(visible_tests.tests(each) for each in mbpp_plus.problems)


@pytest.mark.parametrize(
    ("source", "want", "passes"),
    [
        ("f(1)", "2\n", True),
        ("f(1)", "3\n", False),
        ("'a' + 'b'", '"ab"\n', True),  # the value, however it is quoted
        ("[1,2]", "[ 1, 2 ]\n", True),
        ("f", "<function f at 0x...>\n", True),  # not a literal: as doctest compares
        ("assert f(1) == 2", "", True),
        ("y = f(1)", "", True),
        ("f(1)", "", False),  # HumanEval/12 shows nothing for None
        ("None", "", True),
        ("f(1) == 2", "", True),  # as in HumanEval/108
        ("f(1) == 3", "", False),
        ("y = f(1)", "2\n", False),
    ],
)
def test_passes(source: str, want: str, passes: bool) -> None:
    program: dict[str, object] = {}
    exec("def f(x): return x + 1", program)
    assert shown.passes(source, want, program) is passes


def test_a_failing_assert_raises() -> None:
    with pytest.raises(AssertionError):
        shown.passes("assert 1 == 2", "", {})


def judged(run: object) -> dict[str, tuple[int, bool]]:
    return {score.task_id: (score.n_tests, score.passed) for score in run.visible()}  # type: ignore[attr-defined]


def test_plain_solutions_of_a_run_are_judged_once(tmp_path: Path, humaneval: Benchmark) -> None:
    """Right, wrong and broken solutions, one that ends its process, a prompt without tests; no other omega is run."""
    problems = {each.task_id: each for each in humaneval.problems}
    untested = next(task for task, each in problems.items() if not visible_tests.tests(each))
    right = {task: problems[task].prompt + problems[task].canonical_solution for task in ("HumanEval/0", "HumanEval/2")}
    solutions = {
        "HumanEval/0": right["HumanEval/0"],
        "HumanEval/2": right["HumanEval/2"],
        "HumanEval/3": "def below_zero(x):\n    return True\n",
        "HumanEval/5": "def intersperse(*_:\n",
        "HumanEval/6": "import os\nos._exit(0)\n",
        untested: "nothing to try",
    }
    run = write_run(tmp_path, "k", {})
    run.append_samples(generation(task, solution, 0.0, 0.2) for task, solution in solutions.items())
    run.append_samples([generation("HumanEval/0", "of another omega", 0.2, 0.5)])
    mode = sandbox.resolve("auto")
    assert visible_tests.judge_run(run, humaneval, sandbox=mode) == 6
    n_tests = {task: len(visible_tests.tests(problems[task])) for task in solutions}
    passing = {"HumanEval/0", "HumanEval/2", untested}
    assert judged(run) == {task: (n_tests[task], task in passing) for task in solutions}
    assert run.visible()[0].solution_sha == solution_sha(right["HumanEval/0"])
    assert visible_tests.judge_run(run, humaneval, sandbox=mode) == 0
    assert len(Results(tmp_path).run("k").visible()) == 6


@pytest.mark.parametrize(("hi", "plain"), [(0.0, "left"), (0.5, "right")])
def test_the_plain_solution_of_an_interval_around_zero(
    tmp_path: Path, humaneval: Benchmark, hi: float, plain: str
) -> None:
    """The part [-0.2, 0] is closed where the interval ends there, and [-0.2, 0) is not where it goes on."""
    run = write_run(tmp_path, "k", {}, omega={"lo": -0.5, "hi": hi})
    parts = {"first": (-0.5, -0.2), "left": (-0.2, 0.0)} | ({"right": (0.0, 0.5)} if hi else {})
    run.append_samples(generation("HumanEval/0", name, lo, hi) for name, (lo, hi) in parts.items())
    assert visible_tests.judge_run(run, humaneval, sandbox=sandbox.resolve("auto")) == 1
    assert [score.solution_sha for score in run.visible()] == [solution_sha(plain)]


@pytest.mark.slow
def test_canonical_solutions_pass_but_where_the_prompt_is_wrong(tmp_path: Path, humaneval: Benchmark) -> None:
    run = write_run(tmp_path, "k", {})
    run.append_samples(
        generation(each.task_id, each.prompt + each.canonical_solution, 0.0, 0.0) for each in humaneval.problems
    )
    visible_tests.judge_run(run, humaneval, sandbox=sandbox.resolve("auto"))
    assert [score.task_id for score in run.visible() if not score.passed] == ["HumanEval/47", "HumanEval/116"]
