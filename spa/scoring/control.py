"""The machine is tested before it judges: a right program and a wrong one go the way of the solutions, ahead of them.

The right one is a canonical solution; it passes wherever programs can run at all. No verdict is given before both have
theirs: a machine that fails everything, for a hard limit say, would leave zeros that look like results.
"""

import resource
from collections.abc import Iterable, Iterator, Sequence

from spa.errors import SpaError
from spa.scoring.judging import Case, Judged
from spa.scoring.processes import Job

LIMITED = {"stack": resource.RLIMIT_STACK, "addresses": resource.RLIMIT_AS, "data": resource.RLIMIT_DATA}
ENOUGH = {"stack": 2**20, "addresses": 4 * 2**30, "data": 4 * 2**30}  # bytes
LETTERS = {"stack": "s", "addresses": "v", "data": "d"}  # of ulimit
RESERVE = "\nbytearray({n_bytes})\n"  # the right program asks for as much as solutions may need
RESERVE_BYTES = 2 * 2**30
WRONG = "def {name}(*_):\n    raise ValueError\n"


def cases(asked: Sequence[Case]) -> Iterator[tuple[Case, bool | None]]:
    """The controls with what they shall do, pass or not, then what was asked with None; of the smallest task asked."""
    if asked:
        least = min(asked, key=lambda case: case.tests.outputs.stat().st_size)
        problem = least.problem
        right = problem.prompt + problem.canonical_solution + RESERVE.format(n_bytes=RESERVE_BYTES)
        yield Case(problem, right, least.tests), True
        yield Case(problem, WRONG.format(name=problem.entry_point), least.tests), False
    for case in asked:
        yield case, None


def job(judging: Job[Judged], passes: bool | None) -> Job[tuple[Judged, bool | None]]:
    """The job, with what is expected of it beside its result."""
    result = yield from judging
    return result, passes


def checked(results: Iterable[tuple[Judged, bool | None]]) -> Iterator[Judged]:
    """The results of what was asked, once the controls have theirs. A SpaError where one of these is not as it must be.

    Nothing has been given back then.
    """
    held, controls = list[Judged](), 2
    for result, passes in results:
        if passes is None:
            held.append(result)
        elif result.score.passed() is passes:
            controls -= 1
        else:
            raise SpaError(_fault(result, passes))
        if not controls:
            yield from held
            held.clear()


def _fault(result: Judged, passes: bool) -> str:
    score = result.score
    if not passes:
        return f"a wrong program passes {score.task_id} here; nothing was scored, run `make doctor`"
    causes = [
        f"the hard limit of {name} is {hard // 2**10} KiB, raise it (ulimit -H{LETTERS[name]} unlimited)"
        for name, kind in LIMITED.items()
        if 0 <= (hard := resource.getrlimit(kind)[1]) < ENOUGH[name]
    ]
    cause = " and ".join(causes) or "leave the machine more time and memory, or run `make doctor`"
    return f"the canonical solution of {score.task_id} fails here ({score.reason}), so nothing was scored: {cause}"
