"""One solution -> its verdict: it runs once, where no answer is, and its outputs are compared where no solution is.

A sandbox that is used once holds the interpreter, named libraries, the solution and its inputs. What came back travels
as plain values to a process with the expected outputs, where evalplus' own function compares them. So nothing that a
solution does, reads or leaves behind tells it an answer, or changes another's verdict.
"""

import compileall
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spa.errors import SpaError
from spa.records import NOT_PLAIN, Problem, Score, solution_sha
from spa.scoring import expected, sandbox
from spa.scoring.expected import Files
from spa.scoring.processes import Ask, Job, Lost, Service, so_far

SOLVE_SECONDS = 600.0  # for base and plus tests together: more than they can take
COMPARE_SECONDS = 60.0
# Why a process was lost -> evalplus' status and the reason; else ("fail", "crashed").
OUT_OF_TIME = ("timeout", "timeout")
CAUSES = {"silent": OUT_OF_TIME, "memory": ("fail", "memory")}
CRASHED = ("fail", "crashed")
# A solution's process sees this package and some libraries in the folders of its arguments, and nothing else.
START = "import sys; sys.path += sys.argv[1:]; from spa.scoring.inside.solution_worker import main; main()"
# Beside others, to be repeated where it runs out of time; the repetition, with nothing beside it; or alone at once.
Attempt = Literal["first", "again", "only"]


@dataclass(frozen=True)
class Case:
    """A solution to be judged."""

    problem: Problem
    solution: str
    tests: Files
    attempt: Attempt = "only"


@dataclass(frozen=True)
class Judged:
    """A verdict, and what may be why it failed."""

    score: Score
    timed_out: bool  # on a busy machine, perhaps: it is repeated with nothing beside it
    crashed: bool  # a process of ours ended, which no solution should be able to end


@dataclass(frozen=True)
class Services:
    """The processes that judging needs."""

    solve: Service
    compare: Service


def services(mode: str, hidden: Iterable[Path]) -> Services:
    """In a sandbox mode; the `hidden` folders, where results lie, are in no sandbox's sight."""
    compare = sandbox.enclosed(expected.worker("compare"), mode, readonly=[expected.folder()], hidden=hidden)
    return Services(solver(mode), Service(compare, tries=1))


def solver(mode: str) -> Service:
    """Runs solutions, each in a process of its own that sees named libraries and what of ours it imports alone."""
    rooms = Path(__file__).resolve().parent
    compileall.compile_dir(rooms / "inside", quiet=2)  # once, where it can be kept; each process would do it again
    libraries = sandbox.libraries()
    visible = [rooms / "inside", *(folder / "__init__.py" for folder in (rooms, rooms.parent)), *libraries]
    folders = dict.fromkeys(str(path.parent) for path in libraries)
    argv = sandbox.bare_python("-c", START, *folders, str(rooms.parent.parent))
    return Service(sandbox.isolated(argv, mode, readonly=visible), lasting=False, tries=1)


def solving(problem: Problem, solution: str, tests: bytes, services: Services, attempt: Attempt = "only") -> Ask:
    """Run the solution on tests that `solution_worker` reads, for what it tells."""
    request = {"entry_point": problem.entry_point, "solution": solution, "attempt": attempt, **expected.LIMITS}
    return Ask(services.solve, json.dumps(request).encode() + b"\n", SOLVE_SECONDS, tests)


def judge(case: Case, services: Services, scorer_id: str) -> Job[Judged]:
    """Run the solution, then compare what it told; where it fails, its text may say why."""
    start = time.monotonic()
    told = yield solving(case.problem, case.solution, case.tests.inputs.read_bytes(), services, case.attempt)
    untold = OUT_OF_TIME if case.attempt == "first" else CRASHED  # what it was not tried on
    lost = CAUSES.get(told.cause, CRASHED) if isinstance(told, Lost) else untold
    request = {
        "family": case.problem.family,
        "entry_point": case.problem.entry_point,
        "atol": case.problem.atol,
        "inputs": str(case.tests.inputs),
        "outputs": str(case.tests.outputs),
        "lost": lost,
    }
    message = json.dumps(request).encode() + b"\n"
    found = yield Ask(services.compare, message, COMPARE_SECONDS, so_far(told))
    lost_over_it = isinstance(found, Lost)
    if isinstance(found, Lost):
        failed = {"status": "fail", "reason": NOT_PLAIN, "input": None}
        found = json.dumps({"base": failed, "plus": failed if case.problem.plus_input is not None else None}).encode()
    judged = json.loads(found)
    if error := judged.get("error"):
        name = case.problem.task_id
        raise SpaError(f"{name}: cannot read its expected outputs ({error}); remove {case.tests.outputs}")
    base, plus = judged["base"], judged["plus"]
    failures = [each["reason"] for each in (base, plus) if each and each["status"] != "pass"]
    reason = failures[0] if failures else "passed"
    if failures:
        text = {"solution": case.solution, "entry_point": case.problem.entry_point}
        fault = yield Ask(services.compare, json.dumps(text).encode() + b"\n", COMPARE_SECONDS)
        reason = reason if isinstance(fault, Lost) else fault.decode() or reason
    score = Score(
        task_id=case.problem.task_id,
        solution_sha=solution_sha(case.solution),
        base_status=base["status"],
        plus_status=plus and plus["status"],
        reason=reason,
        seconds=time.monotonic() - start,
        scorer_id=scorer_id,
        base_failed_input=base["input"],
        plus_failed_input=plus and plus["input"],
    )
    ended = isinstance(told, Lost) and told.cause == "ended"
    return Judged(score, "timeout" in failures, crashed=ended or lost_over_it)
