"""Solutions -> verdicts, in a sandbox, by evalplus and a second look (`judging`).

evalplus' functions make the verdict, not its `evaluate` command: that one reuses stale result files, wants a sample of
every task, starts more workers than there are cores, and writes its ground truth in place, from code in no sandbox.

Each distinct (task_id, solution) is judged once, and verdicts come one by one: an interruption loses none of them.
They are kept under a `scorer_id`, which stands for the data, evalplus' version, our corrections and the limits.
"""

import hashlib
import json
import logging
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from spa.errors import SpaError
from spa.records import Score
from spa.results.provenance import usable_cores
from spa.results.store import Run, solution_sha
from spa.scoring import expected
from spa.scoring.judging import LIMITS, LOOKS, Case, Judged, court, judge
from spa.scoring.processes import converse
from spa.scoring.sandbox import UNPROTECTED, resolve
from spa.tasks.benchmarks import Benchmark

logger = logging.getLogger(__name__)

Request = tuple[str, str]  # task_id, solution
TOLLS = ("look_seconds", "retried", "retry_seconds")  # of the scoring that scored last

# Where our verdict departs from evalplus 0.3.1, by family and task: on the base tests, on the plus tests.
CORRECTIONS = {
    "humaneval": {
        "HumanEval/32": "the oracle of find_zero records passes, which evalplus 0.3.1 forgets: all fail there"
    },
    "mbpp": {},
}
MEMORY = "right answers keep within the memory limit, which their plus tests exceed in evalplus 0.3.1"
PLUS_CORRECTIONS = {"humaneval": {}, "mbpp": {"Mbpp/255": MEMORY, "Mbpp/392": MEMORY}}


@dataclass(frozen=True)
class ScoringReport:
    """What one scoring did; it goes into the manifest."""

    scored: int
    already: int  # distinct solutions that had a verdict under this scorer_id
    sandbox: str | None  # "bubblewrap" or "none"; None where nothing was left to score
    warning: str | None  # where that is "none"
    corrections: dict[str, str]
    suspect: int  # solutions that evalplus passes and a second look does not, of all that have a verdict
    seconds: float
    look_seconds: float  # summed over the solutions, of which as many are looked at at once as there are workers
    retried: int  # solutions that timed out, and were tried again alone
    retry_seconds: float  # of their first tries, summed likewise


def scorer_id(benchmark: Benchmark) -> str:
    """Verdicts under equal ids are interchangeable; it does not depend on which tasks were selected."""
    facts = {
        "data": benchmark.md5,
        "plus": benchmark.plus,
        "evalplus": version("evalplus"),
        "corrections": _listed(benchmark),
        "limits": {**LIMITS, "clock": "without waiting for a core"},
        "looks": LOOKS,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def score(
    requests: Sequence[Request], benchmark: Benchmark, *, sandbox: str, workers: int | None = None
) -> Iterator[Score]:
    """One verdict for each distinct request, in the order in which they are reached.

    `workers` is by default as many as this job has cores.
    """
    check_tasks((task_id for task_id, _ in requests), benchmark)
    return _verdicts(requests, benchmark, resolve(sandbox), workers or usable_cores())


def score_run(run: Run, benchmark: Benchmark, *, sandbox: str, progress: bool = True) -> ScoringReport:
    """Append a verdict for each distinct solution of the benchmark's tasks that has none under the current scorer_id.

    The caller holds the run's lock. Parts of an interval that were given up ("budget") are no solutions.
    """
    tasks = {problem.task_id for problem in benchmark.problems}
    samples = [sample for sample in run.samples() if sample.finish_reason != "budget" and sample.task_id in tasks]
    requests = [(sample.task_id, sample.solution) for sample in samples]
    whole = {(sample.task_id, sample.solution) for sample in samples if sample.finish_reason != "length"}
    truncated = {request for request in requests if request not in whole}
    return score_into(run, requests, benchmark, sandbox, progress, run.folder.parent.parent, truncated)


def score_and_record(run: Run, benchmark: Benchmark, *, sandbox: str) -> None:
    """As `score_run`, and what it did goes into the manifest. The caller holds the run's lock."""
    report = score_run(run, benchmark, sandbox=sandbox)
    with run.describing() as manifest:
        earlier = manifest.get("scoring") or {}
        manifest["scoring"] = {
            **asdict(report),
            "scorer_id": scorer_id(benchmark),
            "plus": benchmark.plus,
            "data_md5": benchmark.md5,
            "sandbox": report.sandbox or earlier.get("sandbox"),
            "warning": report.warning if report.scored else earlier.get("warning"),
            **{name: earlier[name] for name in TOLLS if name in earlier and not report.scored},
            "seconds": round(report.seconds if report.scored else earlier.get("seconds", 0.0), 3),
        }


def passed(verdict: Score, tests: str = "plus") -> bool:
    """Whether a solution passed the "base" tests, or these and the "plus" tests where there are any."""
    statuses = [verdict.base_status] if tests == "base" else [verdict.base_status, verdict.plus_status or "pass"]
    return not verdict.suspect and set(statuses) == {"pass"}


def corrections(benchmark: Benchmark) -> dict[str, str]:
    """The corrections that concern these problems."""
    tasks = {problem.task_id for problem in benchmark.problems}
    return {task_id: text for task_id, text in _listed(benchmark).items() if task_id in tasks}


def _listed(benchmark: Benchmark) -> dict[str, str]:
    return CORRECTIONS[benchmark.family] | (PLUS_CORRECTIONS[benchmark.family] if benchmark.plus else {})


def check_tasks(task_ids: Iterable[str], benchmark: Benchmark) -> None:
    """Raise a SpaError that names the tasks that the benchmark does not have."""
    if unknown := set(task_ids) - {problem.task_id for problem in benchmark.problems}:
        raise SpaError(
            f"{benchmark.name} has no task {name_tasks(unknown, benchmark)}; remove them or name their benchmark"
        )


def score_into(
    run: Run,
    requests: Sequence[Request],
    benchmark: Benchmark,
    sandbox: str,
    progress: bool,
    hidden: Path,
    truncated: Collection[Request] = (),
) -> ScoringReport:
    """As `score_run`, of any requests; `hidden` is a folder that the solutions must not see.

    `truncated` solutions were cut by the token limit; that is why they fail, where they do.
    """
    start, identifier = time.monotonic(), scorer_id(benchmark)
    cut = {(task_id, solution_sha(solution)) for task_id, solution in truncated}
    distinct = {(task_id, solution_sha(solution)): (task_id, solution) for task_id, solution in requests}
    verdicts = {(s.task_id, s.solution_sha): s for s in run.scores() if s.scorer_id == identifier}
    todo = {name: request for name, request in distinct.items() if name not in verdicts}
    mode = resolve(sandbox) if todo else None
    if mode:
        fresh = _verdicts(list(todo.values()), benchmark, mode, usable_cores(), hidden)
        for verdict in tqdm(fresh, "scoring", total=len(todo), unit="solution", disable=not progress):
            name = verdict.task_id, verdict.solution_sha
            verdicts[name] = replace(verdict, reason="truncated") if name in cut and not passed(verdict) else verdict
            run.append_scores([verdicts[name]])
    made = [verdicts[name] for name in todo]
    return ScoringReport(
        scored=len(todo),
        already=len(distinct) - len(todo),
        sandbox=mode,
        warning=UNPROTECTED if mode == "none" else None,
        corrections=corrections(benchmark),
        suspect=sum(bool(verdicts[name].suspect) for name in distinct),
        seconds=time.monotonic() - start,
        look_seconds=sum(verdict.look_seconds for verdict in made),
        retried=sum(verdict.retry_seconds > 0 for verdict in made),
        retry_seconds=sum(verdict.retry_seconds for verdict in made),
    )


def _verdicts(
    requests: Sequence[Request], benchmark: Benchmark, mode: str, workers: int, *hidden: Path
) -> Iterator[Score]:
    """Verdicts as they become final: at the end, and one at a time, those on solutions that timed out beside others."""
    asked = {task_id for task_id, _ in requests}
    problems = {problem.task_id: problem for problem in benchmark.problems if problem.task_id in asked}
    tests = expected.tests(list(problems.values()), benchmark, mode, workers)
    order = {task_id: position for position, task_id in enumerate(problems)}
    distinct = sorted(dict.fromkeys(requests), key=lambda request: order[request[0]])
    cases = [Case(problems[task_id], solution, tests[task_id]) for task_id, solution in distinct]
    processes, identifier = court(mode, hidden), scorer_id(benchmark)

    def judged(cases: Iterable[Case], workers: int) -> Iterator[Judged]:
        return converse((judge(case, processes, identifier) for case in cases), workers)

    again: dict[Request, float] = {}
    for result in judged(cases, workers):
        score = result.score
        if result.timed_out and workers > 1:
            again[score.task_id, score.solution_sha] = score.seconds + score.look_seconds
        else:
            yield score
    late = (case for case in cases if (case.problem.task_id, solution_sha(case.solution)) in again)
    for score in (result.score for result in judged(late, 1)):
        yield replace(score, retry_seconds=again[score.task_id, score.solution_sha])


def name_tasks(task_ids: Iterable[str], benchmark: Benchmark) -> str:
    """The first few of the tasks, in the benchmark's order, for a message."""
    order = {problem.task_id: position for position, problem in enumerate(benchmark.problems)}
    names = sorted(task_ids, key=lambda task_id: (order.get(task_id, -1), task_id))
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
