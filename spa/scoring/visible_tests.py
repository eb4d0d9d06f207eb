"""The tests that stand in a prompt, run on plain solutions: what a user could trigger SPA by.

A HumanEval prompt shows `>>>` examples (76 of 164 do; those of HumanEval/47 and 116 are wrong, and stay), an MBPP
prompt assert statements. They run in the sandbox, in a process for each solution. Unlike a score, this verdict need not
withstand a solution that lies: it only chooses between two outputs, and the hidden tests judge the one that is chosen.
"""

import ast
import doctest
import json
import textwrap
from collections.abc import Iterator
from itertools import pairwise

from spa.errors import SpaError
from spa.records import Problem, VisibleScore, solution_sha
from spa.results.provenance import usable_cores
from spa.results.store import Run
from spa.scoring.judging import isolated
from spa.scoring.processes import Service, exchange
from spa.scoring.sandbox import resolve
from spa.tasks import anchors
from spa.tasks.benchmarks import Benchmark

SECONDS = 10.0  # for one test
PATIENCE = 60.0  # for a solution

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
    todo = [
        (sample.task_id, sample.solution)
        for sample in run.samples()
        if sample.holds(0.0, end)
        and sample.finish_reason != "budget"
        and sample.task_id in problems
        and (sample.task_id, solution_sha(sample.solution)) not in judged
    ]
    shown = [tests(problems[task_id]) for task_id, _ in todo]
    passed = [True] * len(todo)
    tried = [index for index, each in enumerate(shown) if each]
    if tried:
        service = Service(isolated("visible_tests_worker.py", resolve(sandbox)), lasting=False, tries=1)
        messages = [
            json.dumps({"solution": todo[index][1], "tests": shown[index], "seconds": SECONDS}).encode()
            for index in tried
        ]
        for number, answer in exchange(service, messages, workers=usable_cores(), patience=PATIENCE):
            passed[tried[number]] = answer == b"passed"
    run.append_visible(
        VisibleScore(task_id, solution_sha(solution), len(each), passes)
        for (task_id, solution), each, passes in zip(todo, shown, passed, strict=True)
    )
    return len(todo)


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
