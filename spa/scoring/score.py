"""Solutions -> verdicts: run in sandboxes, compared by evalplus (`judging`).

evalplus' functions make the verdict, not its `evaluate` command: that one reuses stale result files, wants a sample of
every task, starts more workers than there are cores, and writes its ground truth in place, from code in no sandbox.

Each distinct (task_id, solution) is judged once, and verdicts come one by one: an interruption loses none of them.
They are kept under a `scorer_id`, which stands for the data, evalplus' version, our corrections, the limits and the
kind of sandbox.
"""

import hashlib
import json
import logging
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from spa.config import usable_cores
from spa.errors import SpaError
from spa.records import NOT_PLAIN, Score, Solution, Submission, solution_sha
from spa.results.manifest import Manifest, Scoring, ScoringReport
from spa.results.store import Run
from spa.scoring import expected
from spa.scoring.control import Controlled, UnfitError
from spa.scoring.expected import LIMITS
from spa.scoring.judging import Attempt, Case, judge, services
from spa.scoring.sandbox import PROTECTING, UNPROTECTED, resolve
from spa.tasks.benchmarks import Benchmark

logger = logging.getLogger(__name__)

# What a scoring that finds nothing to score leaves as the last one noted it.
OF_THE_LAST_SCORING = ("sandbox", "warning", "seconds", "retried", "retry_seconds")

# Where our verdict departs from evalplus 0.3.1, by family and task: on the base tests, on the plus tests.
CORRECTIONS = {
    "humaneval": {
        "HumanEval/32": "the oracle of find_zero records passes, which evalplus 0.3.1 forgets: all fail there"
    },
    "mbpp": {},
}
MEMORY = "right answers keep within the memory limit, which their plus tests exceed in evalplus 0.3.1"
PLUS_CORRECTIONS = {"humaneval": {}, "mbpp": {"Mbpp/255": MEMORY, "Mbpp/392": MEMORY}}


def scorer_id(benchmark: Benchmark, sandbox: str) -> str:
    """Verdicts under equal ids are interchangeable; it does not depend on which tasks were selected.

    Of `sandbox` it holds the kind, without an image: verdicts made without protection are of their own.
    """
    facts = {
        "sandbox": sandbox.partition(":")[0],
        "data": benchmark.md5,
        "plus": benchmark.plus,
        "evalplus": version("evalplus"),
        "corrections": _listed(benchmark),
        "limits": {**LIMITS, "clock": "without waiting for a core"},
        "runs": "once, apart from the answers",
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def score(
    requests: Sequence[Submission], benchmark: Benchmark, *, sandbox: str, workers: int | None = None
) -> Iterator[Score]:
    """One verdict for each distinct request, in the order in which they are reached.

    `workers` is by default as many as this job has cores.
    """
    check_tasks((task_id for task_id, _ in requests), benchmark)
    return _verdicts(requests, benchmark, resolve(sandbox), workers or usable_cores())


def score_run(run: Run, benchmark: Benchmark, *, sandbox: str, progress: bool = True) -> ScoringReport:
    """Append a verdict for each distinct solution of the benchmark's tasks that has none under the current scorer_id.

    The solutions of all extractions are judged. Parts of an interval that were given up ("budget") are none. The caller
    holds the run's lock.
    """
    tasks = {problem.task_id for problem in benchmark.problems}
    solved = run.every_solution(Solution)
    samples = [sample for sample in solved if sample.finish_reason != "budget" and sample.task_id in tasks]
    requests = [(sample.task_id, sample.solution) for sample in samples]
    whole = {(sample.task_id, sample.solution) for sample in samples if sample.finish_reason != "length"}
    truncated = {request for request in requests if request not in whole}
    return score_into(run, requests, benchmark, sandbox, progress, run.folder.parent.parent, truncated)


def score_and_record(run: Run, benchmark: Benchmark, *, sandbox: str) -> None:
    """As `score_run`, and what it did goes into the manifest. The caller holds the run's lock."""
    report = score_run(run, benchmark, sandbox=sandbox)

    def described(manifest: Manifest | None) -> Manifest:
        manifest = manifest or run.manifest()
        earlier = manifest.scoring
        last = replace(report, seconds=round(report.seconds, 3))
        if earlier and not report.scored:
            last = replace(last, **{name: getattr(earlier, name) for name in OF_THE_LAST_SCORING})
        scoring = Scoring(**asdict(last), plus=benchmark.plus, data_md5=benchmark.md5)
        return replace(manifest, scoring=scoring)

    run.describe(described)


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
    requests: Sequence[Submission],
    benchmark: Benchmark,
    sandbox: str,
    progress: bool,
    hidden: Path,
    truncated: Collection[Submission] = (),
) -> ScoringReport:
    """As `score_run`, of any requests; `hidden` is a folder that the solutions must not see.

    `truncated` solutions were cut by the token limit; that is why they fail, where they do.
    """
    start = time.monotonic()
    cut = {(task_id, solution_sha(solution)) for task_id, solution in truncated}
    distinct = {(task_id, solution_sha(solution)): (task_id, solution) for task_id, solution in requests}
    mode, verdicts = _earlier(run, distinct, benchmark, sandbox)
    todo = {name: request for name, request in distinct.items() if name not in verdicts}
    if todo:
        fresh = _verdicts(list(todo.values()), benchmark, mode, usable_cores(), hidden)
        try:
            for verdict in tqdm(fresh, "scoring", total=len(todo), unit="solution", disable=not progress):
                name = verdict.task_id, verdict.solution_sha
                cut_short = name in cut and not verdict.passed()
                verdicts[name] = replace(verdict, reason="truncated") if cut_short else verdict
                run.append_scores([verdicts[name]])
        except UnfitError as error:
            run.drop_scores(error.worthless)
            raise
    made = [verdicts[name] for name in todo]
    return ScoringReport(
        scored=len(todo),
        scorer_id=scorer_id(benchmark, mode),
        already=len(distinct) - len(todo),
        sandbox=mode if todo else None,
        warning=UNPROTECTED if todo and mode == "none" else None,
        corrections=corrections(benchmark),
        not_plain=sum(verdicts[name].reason == NOT_PLAIN for name in distinct),
        seconds=time.monotonic() - start,
        retried=sum(verdict.retry_seconds > 0 for verdict in made),
        retry_seconds=sum(verdict.retry_seconds for verdict in made),
    )


def _earlier(
    run: Run, wanted: Collection[Submission], benchmark: Benchmark, sandbox: str
) -> tuple[str, dict[Submission, Score]]:
    """The sandbox mode to score in, and the verdicts that the run has of it.

    Where any will do, all verdicts of one that protects are enough: then it need not work here.
    """
    found: dict[str, dict[Submission, Score]] = defaultdict(dict)
    for score in run.scores():
        found[score.scorer_id][score.task_id, score.solution_sha] = score
    for mode in PROTECTING if sandbox == "auto" else (sandbox,):
        verdicts = found[scorer_id(benchmark, mode)]
        if verdicts.keys() >= set(wanted):
            return mode, verdicts
    mode = resolve(sandbox)
    return mode, found[scorer_id(benchmark, mode)]


def _verdicts(
    requests: Sequence[Submission], benchmark: Benchmark, mode: str, workers: int, *hidden: Path
) -> Iterator[Score]:
    """Verdicts as they become final: at the end, and one at a time, those on solutions that timed out beside others."""
    asked = {task_id for task_id, _ in requests}
    problems = {problem.task_id: problem for problem in benchmark.problems if problem.task_id in asked}
    tests = expected.tests(list(problems.values()), benchmark, mode, workers)
    # What takes longest goes first, so that no worker is left alone with it; solutions of one task stay together.
    slowest = sorted(tests, key=lambda task_id: tests[task_id].seconds, reverse=True)
    order = {task_id: position for position, task_id in enumerate(slowest)}
    distinct = sorted(dict.fromkeys(requests), key=lambda request: order[request[0]])
    attempt: Attempt = "first" if workers > 1 else "only"
    cases = [Case(problems[task_id], solution, tests[task_id], attempt) for task_id, solution in distinct]
    processes, identifier = services(mode, hidden), scorer_id(benchmark, mode)

    controlled = Controlled(cases, lambda case: judge(case, processes, identifier))
    again: dict[Submission, float] = {}
    for result in controlled.judged(cases, workers):
        score = result.score
        if result.timed_out and attempt == "first":
            again[score.task_id, score.solution_sha] = score.seconds
        else:
            yield score
    late = [
        replace(case, attempt="again") for case in cases if (case.problem.task_id, solution_sha(case.solution)) in again
    ]
    for score in (result.score for result in controlled.judged(late, 1)):
        yield replace(score, retry_seconds=again[score.task_id, score.solution_sha])


def name_tasks(task_ids: Iterable[str], benchmark: Benchmark) -> str:
    """The first few of the tasks, in the benchmark's order, for a message."""
    order = {problem.task_id: position for position, problem in enumerate(benchmark.problems)}
    names = sorted(task_ids, key=lambda task_id: (order.get(task_id, -1), task_id))
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
