"""One solution -> its verdict: evalplus' check, then a second look at what evalplus passes.

evalplus runs a solution in a process that holds the expected values and believes what that process says. A solution can
read them there, write its own verdict, or answer with an object that is equal to everything. So what evalplus passes
is run again, isolated: the interpreter, its standard library, numpy, the solution and its inputs are all that is there.
Its outputs come back as plain values and are compared where no solution has run, by evalplus' rules. A solution that
they fail twice is `suspect`: once may be chance, for a solution that draws random numbers.
"""

import importlib.util
import json
import logging
import symtable
import time
import warnings
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spa.errors import SpaError
from spa.records import Problem, Score, solution_sha
from spa.scoring import expected, sandbox
from spa.scoring.expected import Files
from spa.scoring.processes import Ask, Job, Lost, Service

logger = logging.getLogger(__name__)

# evalplus' defaults. Seconds for one input: the larger of the minimum and the factor times the canonical solution's;
# for all base tests or all plus tests, evalplus allows the sum of these, at most 60, and some to end. These are seconds
# of `inside.clock`, in which waiting for a core does not count; on the wall clock all tests have `wall_factor` times
# that.
LIMITS = {"min_time_limit": 1.0, "gt_time_limit_factor": 4.0, "wall_factor": 4.0}
CHECK_SECONDS = 600.0  # for base and plus tests together: more than they can take
LOOK_SECONDS = 60.0  # beside a multiple of what the check took: outputs can be large (Mbpp/255: 8 s, then 35 s)
LOOKS = 2  # at a solution whose outputs in the first of them are not right
MEMORY_BYTES = 12 * 2**30  # of addresses: evalplus' 4 GiB for the solution, the rest to write large outputs down
CAUSES = {"silent": "timeout", "memory": "memory"}  # why a process was lost -> the reason; else "crashed"


@dataclass(frozen=True)
class Case:
    """A solution to be judged."""

    problem: Problem
    solution: str
    tests: Files


@dataclass(frozen=True)
class Judged:
    """A verdict, and whether a busy machine may be why it failed: then it is repeated with nothing beside it."""

    score: Score
    timed_out: bool


@dataclass(frozen=True)
class Services:
    """The processes that judging needs."""

    check: Service
    look: Service
    compare: Service


def services(mode: str, hidden: Iterable[Path]) -> Services:
    """In a sandbox mode; the `hidden` folders, where results lie, are in no sandbox's sight."""
    hidden = list(hidden)
    check, compare = (
        Service(sandbox.enclosed(expected.worker(role), mode, readonly=[expected.folder()], hidden=hidden))
        for role in ("check", "compare")
    )
    return Services(check, Service(isolated("isolated_worker.py", mode), lasting=False, tries=1), compare)


def isolated(script: str, mode: str) -> tuple[str, ...]:
    """How one of our workers is started where it sees a bare interpreter, numpy and what of ours it imports alone."""
    rooms = Path(__file__).resolve().parent
    path = rooms / "inside" / script
    spec = importlib.util.find_spec("numpy")
    if spec is None or spec.origin is None:
        raise SpaError("numpy is not installed; run `make setup`")
    package = Path(spec.origin).parent
    libraries = [path for path in (package.with_name("numpy.libs"),) if path.is_dir()]
    visible = [
        rooms / "inside",
        *(folder / "__init__.py" for folder in (rooms, rooms.parent)),
        package,
        *libraries,
    ]
    argv = sandbox.bare_python(str(path), str(package.parent), str(rooms.parent.parent))
    return sandbox.isolated(argv, mode, readonly=visible)


def judge(case: Case, services: Services, scorer_id: str) -> Job[Judged]:
    """Check, then look again at the tests that evalplus passes, and at most twice."""
    sha = solution_sha(case.solution)
    files = {"inputs": str(case.tests.inputs), "outputs": str(case.tests.outputs)}
    answer = yield Ask(services.check, _message(case, **files, solution=case.solution), CHECK_SECONDS)
    if isinstance(answer, Lost):
        if answer.last_words:  # of our own process: a solution's go nowhere
            name = f"{case.problem.task_id}: the solution {sha[:12]}"
            raise SpaError(f"{name} could not be checked: {answer.last_words}")
        logger.warning(
            "%s: no verdict on the solution %s, in two tries: %s", case.problem.task_id, sha[:12], answer.cause
        )
    checked = _checked(answer, case.problem.plus_input is not None)
    base, plus = checked["base"], checked["plus"]
    failed = [result for result in (base, plus) if result and result["status"] != "pass"]
    suspect, start = None, time.monotonic()
    if base["status"] == "pass":
        tests = ["base", "plus"] if plus and plus["status"] == "pass" else ["base"]
        seen = yield from _look(case, services, files, tests, patience=LOOK_SECONDS + 3 * checked["seconds"])
        suspect = seen["status"] != "pass"
        failed = [seen] if suspect else failed
    score = Score(
        task_id=case.problem.task_id,
        solution_sha=sha,
        base_status=base["status"],
        plus_status=plus and plus["status"],
        suspect=suspect,
        reason=reason(case.solution, case.problem.entry_point, [result["reason"] for result in failed]),
        seconds=checked["seconds"],
        scorer_id=scorer_id,
        base_failed_input=base["input"],
        plus_failed_input=plus and plus["input"],
        look_seconds=0.0 if suspect is None else time.monotonic() - start,
    )
    return Judged(score, any(result["reason"] == "timeout" for result in failed))


def reason(solution: str, entry_point: str, failures: list[str]) -> str:
    """Why a verdict is what it is: from the text, which is not executed, else the first of the failures."""
    if not failures:
        return "passed"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the solution: invalid escapes and the like
            compile(solution, "<solution>", "exec", dont_inherit=True)
            top_level = symtable.symtable(solution, "<solution>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # NUL bytes, lone surrogates, too deep, too large
        return "syntax_error"
    bound = {symbol.get_name() for symbol in top_level.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    return failures[0] if entry_point in bound else "no_entry_point"


def _look(
    case: Case, services: Services, files: dict[str, str], tests: list[str], patience: float
) -> Generator[Ask, bytes | Lost, dict[str, Any]]:
    """What the comparison says of the solution's outputs; the last one's where it never agrees."""
    for _ in range(LOOKS):
        inputs = case.tests.inputs.read_bytes()
        message = _message(case, tests=tests, solution=case.solution, memory_bytes=MEMORY_BYTES)
        told = yield Ask(services.look, message + b"\n" + inputs, patience)
        if isinstance(told, bytes):
            message = _message(case, **files, tests=tests)
            told = yield Ask(services.compare, message + b"\n" + told, CHECK_SECONDS)
        seen: dict[str, Any] = _lost(told) if isinstance(told, Lost) else json.loads(told)
        if seen["status"] == "pass":
            break
    return seen


def _message(case: Case, **more: Any) -> bytes:
    request = {
        "family": case.problem.family,
        "entry_point": case.problem.entry_point,
        "atol": case.problem.atol,
        **LIMITS,
        **more,
    }
    return json.dumps(request).encode()


def _checked(answer: bytes | Lost, plus: bool) -> dict[str, Any]:
    if isinstance(answer, Lost):
        return {"base": _lost(answer), "plus": _lost(answer) if plus else None, "seconds": 0.0}
    checked: dict[str, Any] = json.loads(answer)
    return checked


def _lost(answer: Lost) -> dict[str, Any]:
    status = "timeout" if answer.cause == "silent" else "fail"
    return {"status": status, "reason": CAUSES.get(answer.cause, "crashed"), "input": None}
