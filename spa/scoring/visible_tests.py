"""The tests that stand in a prompt, run on plain solutions: what a user could trigger SPA by.

A HumanEval prompt shows `>>>` examples (76 of 164 do; those of HumanEval/47 and 116 are wrong, and stay), an MBPP
prompt assert statements. They run as the hidden tests do: once where the solution is, for the values that it returns,
and once more with these in its place, where they are judged (`judging`).
"""

import ast
import doctest
import json
import marshal
import textwrap
import zlib
from collections.abc import Iterator
from itertools import pairwise

from spa.config import usable_cores
from spa.errors import SpaError
from spa.records import Problem, Solution, VisibleScore, solution_sha
from spa.results.store import Run
from spa.scoring import expected
from spa.scoring.judging import COMPARE_SECONDS, Services, solver, solving
from spa.scoring.processes import Ask, Job, Service, converse, so_far
from spa.scoring.sandbox import enclosed, resolve
from spa.tasks import anchors
from spa.tasks.benchmarks import Benchmark

SECONDS = 10.0  # for one test

Test = tuple[str, str]  # what to execute, and what it shall show: nothing, for a statement, None or a comparison


def tests(problem: Problem) -> list[Test]:
    """The tests that a prompt shows, in order; those whose form a machine cannot read are left out.

    A prompt that is no Python by itself shows none.
    """
    try:
        _, spans = anchors.anchor(problem, "examples")
    except SpaError:
        return []
    text = "\n".join(problem.prompt[problem.prompt.rfind("\n", 0, start) + 1 : end] for start, end in spans)
    if problem.family == "mbpp":
        asserts = [ast.unparse(node) for node in _parsed(textwrap.dedent(text)) if isinstance(node, ast.Assert)]
        uses_math = any("math." in each for each in asserts)  # as MBPP's own test lists, which import it
        return [(each, "") for each in (["import math"] if uses_math else []) + asserts]
    return list(_examples(text))


def judge_run(run: Run, benchmark: Benchmark, *, sandbox: str) -> int:
    """Append a verdict for each plain solution that has none; returns how many. The caller holds the run's lock."""
    problems = {problem.task_id: problem for problem in benchmark.problems}
    judged = {(score.task_id, score.solution_sha) for score in run.visible()}
    end = run.manifest().omegas.hi
    distinct = dict.fromkeys(
        (sample.task_id, sample.solution)
        for sample in run.every_solution(Solution)
        if sample.holds(0.0, end)
        and sample.finish_reason != "budget"
        and sample.task_id in problems
        and (sample.task_id, solution_sha(sample.solution)) not in judged
    )
    todo = list(distinct)
    shown = [tests(problems[task_id]) for task_id, _ in todo]
    passed = [True] * len(todo)
    tried = [index for index, each in enumerate(shown) if each]
    if tried:
        mode = resolve(sandbox)
        services = Services(solver(mode), Service(enclosed(expected.worker("show"), mode)))
        jobs = (_judge(index, problems[todo[index][0]], todo[index][1], shown[index], services) for index in tried)
        for index, passes in converse(jobs, usable_cores()):
            passed[index] = passes
    run.append_visible(
        VisibleScore(task_id, solution_sha(solution), len(each), passes)
        for (task_id, solution), each, passes in zip(todo, shown, passed, strict=True)
    )
    return len(todo)


def _judge(index: int, problem: Problem, solution: str, shown: list[Test], services: Services) -> Job[tuple[int, bool]]:
    """The index, and whether the solution passes."""
    sources = {"sources": [source for source, _ in shown], "limits": [SECONDS] * len(shown)}
    told = yield solving(problem, solution, zlib.compress(marshal.dumps({"shown": sources})), services)
    request = {"entry_point": problem.entry_point, "tests": shown}
    message = json.dumps(request).encode() + b"\n"
    answer = yield Ask(services.compare, message, COMPARE_SECONDS, so_far(told))
    return index, answer == b"passed"


def _parsed(text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except SyntaxError:
        return []


def _examples(text: str) -> Iterator[Test]:
    """One example after another, so that a malformed one costs no other."""
    lines = text.splitlines()
    starts = [number for number, line in enumerate(lines) if line.lstrip().startswith(">>>")]
    for start, stop in pairwise([*starts, len(lines)]):
        try:
            example = doctest.DocTestParser().get_examples(textwrap.dedent("\n".join(lines[start:stop])) + "\n")[0]
            ast.parse(example.source)
        except (ValueError, IndexError, SyntaxError):
            continue
        yield example.source, example.want
