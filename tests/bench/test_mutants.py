"""Mutants differ from the original in one operator, and are the same ones every time."""

import ast
from dataclasses import replace

import pytest

from spa.bench.mutants import SWAPS, _parse, make
from spa.records import Problem
from spa.tasks.benchmarks import Benchmark


def problem_of(humaneval: Benchmark, code: str) -> Problem:
    return replace(humaneval.problems[0], prompt="", canonical_solution=code)


def test_mutants_by_hand(humaneval: Benchmark) -> None:
    code = "def f(a, b):\n    a += 1\n    return -a < b == 3 and (not a or b ** 2)"
    bodies = [program.split("\n", 1)[1] for _, program in make(problem_of(humaneval, code), count=9)]
    assert set(bodies) == {
        "    a -= 1\n    return -a < b == 3 and (not a or b ** 2)\n",
        "    a += 1\n    return -a < b == 3 or (not a or b ** 2)\n",
        "    a += 1\n    return -a <= b == 3 and (not a or b ** 2)\n",
        "    a += 1\n    return -a < b != 3 and (not a or b ** 2)\n",
        "    a += 1\n    return +a < b == 3 and (not a or b ** 2)\n",
        "    a += 1\n    return -a < b == 3 and (not a and b ** 2)\n",
        "    a += 1\n    return -a < b == 3 and (not a or b * 2)\n",
    }
    assert make(problem_of(humaneval, "def f():\n    return 1"), count=1) == []


KINDS = (ast.operator, ast.unaryop, ast.boolop, ast.cmpop)


def operators(program: str) -> list[type[ast.AST]]:
    return [type(node) for node in ast.walk(ast.parse(program)) if isinstance(node, KINDS)]


@pytest.mark.parametrize("name", ["humaneval_plus", "mbpp_plus"])
def test_a_mutant_of_most_tasks_each_with_one_operator_changed(name: str, request: pytest.FixtureRequest) -> None:
    benchmark: Benchmark = request.getfixturevalue(name)
    made = [(problem, make(problem)) for problem in benchmark.problems]
    assert sum(len(requests) for _, requests in made) == {"humaneval_plus": 152, "mbpp_plus": 261}[name]
    for problem, requests in made:
        original = operators(ast.unparse(_parse(problem.prompt + problem.canonical_solution)))
        for task_id, mutant in requests:
            assert task_id == problem.task_id
            changed = [(a, b) for a, b in zip(original, operators(mutant), strict=True) if a != b]
            assert [SWAPS[a] for a, _ in changed] == [b for _, b in changed]
            assert len(changed) == 1


def test_the_seed_decides(humaneval: Benchmark) -> None:
    first, again, other = ([make(problem, seed=seed) for problem in humaneval.problems[:20]] for seed in (0, 0, 1))
    assert first == again != other
