"""The machine is tested before it judges: a right program and a wrong one go the way of the solutions, ahead of them.

The right one is a canonical solution; it passes wherever programs can run at all. No solution is run before both are as
they must be: a machine that fails everything, for a hard limit say, would leave zeros that look like results. After a
crash that no solution may cause, both go again.
"""

import resource
from collections.abc import Callable, Iterator, Sequence

from spa.errors import SpaError
from spa.records import Score
from spa.scoring.judging import Case, Judged
from spa.scoring.processes import Job, converse

LIMITED = {"stack": resource.RLIMIT_STACK, "addresses": resource.RLIMIT_AS, "data": resource.RLIMIT_DATA}
ENOUGH = {"stack": 2**20, "addresses": 4 * 2**30, "data": 4 * 2**30}  # bytes
LETTERS = {"stack": "s", "addresses": "v", "data": "d"}  # of ulimit
# The right program asks for as many addresses as solutions may need.
RESERVE = "\nimport mmap\nmmap.mmap(-1, {n_bytes}, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()\n"
RESERVE_BYTES = 2 * 2**30
WRONG = "def {name}(*_):\n    raise ValueError\n"
TRIES = 2  # of a control that runs out of time

Control = tuple[Case, bool]  # a program, and whether it passes


class UnfitError(SpaError):
    """This machine does not judge as it must; what it judged since it last did is worth nothing."""

    def __init__(self, message: str, worthless: Sequence[Score]) -> None:
        super().__init__(message)
        self.worthless = tuple(worthless)


class Controlled(Iterator[Job[tuple[Judged, Control | None]]]):
    """Jobs for `converse`: the controls, then what is asked. While controls run, there is no other next job."""

    def __init__(self, asked: Sequence[Case], judge: Callable[[Case], Job[Judged]]) -> None:
        self._judge = judge
        self._controls = _controls(asked) if asked else []
        self._due, self._running, self._tries = list(self._controls), 0, TRIES
        self._asked = iter(asked)
        self._since = list[Score]()  # the verdicts since the controls were last as they must be

    def judged(self, asked: Sequence[Case], workers: int) -> Iterator[Judged]:
        """The results of the cases, as they come. An UnfitError where a control is not as it must be."""
        self._asked = iter(asked)
        for result, control in converse(self, workers):
            if control:
                self._settle(result, control)
                continue
            if result.crashed and not self._due:
                self._due, self._tries = list(self._controls), TRIES
            self._since.append(result.score)
            yield result

    def __next__(self) -> Job[tuple[Judged, Control | None]]:
        if self._due:
            self._running += 1
            return self._job(self._due.pop(0))
        if self._running:
            raise StopIteration
        return self._job(None, next(self._asked))

    def _job(self, control: Control | None, asked: Case | None = None) -> Job[tuple[Judged, Control | None]]:
        case = control[0] if control else asked
        assert case
        result = yield from self._judge(case)
        return result, control

    def _settle(self, result: Judged, control: Control) -> None:
        self._running -= 1
        if result.score.passed() is control[1]:
            if not self._due and not self._running:
                self._since.clear()
        elif result.timed_out and self._tries > 1:
            self._tries -= 1
            self._due.append(control)
        else:
            raise UnfitError(_fault(result.score, control[1], bool(self._since)), self._since)


def _controls(asked: Sequence[Case]) -> list[Control]:
    """Of the smallest task asked."""
    least = min(asked, key=lambda case: case.tests.outputs.stat().st_size)
    problem = least.problem
    right = problem.prompt + problem.canonical_solution + RESERVE.format(n_bytes=RESERVE_BYTES)
    wrong = WRONG.format(name=problem.entry_point)
    return [(Case(problem, right, least.tests), True), (Case(problem, wrong, least.tests), False)]


def _fault(score: Score, passes: bool, late: bool) -> str:
    kept = "no verdict is kept since it was last in order" if late else "nothing was scored"
    if not passes:
        return f"a wrong program passes {score.task_id} here, so {kept}; run `make doctor`"
    causes = [
        f"the hard limit of {name} is {hard // 2**10} KiB, raise it (ulimit -H{LETTERS[name]} unlimited)"
        for name, kind in LIMITED.items()
        if 0 <= (hard := resource.getrlimit(kind)[1]) < ENOUGH[name]
    ]
    cause = " and ".join(causes) or "leave the machine more time and memory, or run `make doctor`"
    return f"the canonical solution of {score.task_id} fails here ({score.reason}), so {kept}: {cause}"
