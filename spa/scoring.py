"""Solutions -> verdicts, by evalplus in a sandbox.

evalplus' functions make the verdict, not its `evaluate` command: that one reuses stale result files, wants a sample of
every task, starts more workers than there are cores, and writes its ground truth in place, from code in no sandbox.
Here what canonical solutions return is kept task by task, named by a hash of what it was made from, written atomically.

Each distinct (task_id, solution) is checked once, and verdicts come one by one: an interruption loses none of them.
They are kept under a `scorer_id`, which stands for the data, evalplus' version, our corrections and the limits.
"""

import hashlib
import json
import logging
import os
import platform
import symtable
import time
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock
from tqdm import tqdm

from spa.benchmarks import Benchmark
from spa.errors import SpaError
from spa.provenance import usable_cores
from spa.records import Problem, Score
from spa.sandbox import Lost, exchange, python, resolve
from spa.store import Run, solution_sha, write_atomically

logger = logging.getLogger(__name__)

Request = tuple[str, str]  # task_id, solution

# Where our verdict departs from evalplus 0.3.1, by family and task.
CORRECTIONS = {
    "humaneval": {
        "HumanEval/32": "the oracle of find_zero records passes, which evalplus 0.3.1 forgets: all fail there"
    },
    "mbpp": {},
}
# evalplus' defaults. Seconds for one input: the larger of the minimum and the factor times the canonical solution's.
LIMITS = {"min_time_limit": 1.0, "gt_time_limit_factor": 4.0}
# evalplus gives a solution 60 seconds for the base tests and 60 for the plus tests, and some to end.
CHECK_SECONDS = 180.0
EXPECT_SECONDS = 600.0  # for a canonical solution; the slowest (Mbpp/599) takes 18 on a quiet machine
EXPECTED_FORMAT = 1  # raised when what scoring_worker.expect writes changes


@dataclass(frozen=True)
class ScoringReport:
    """What one scoring did; it goes into the manifest."""

    scored: int
    already: int  # distinct solutions that had a verdict under this scorer_id
    sandbox: str | None  # "bubblewrap" or "none"; None where nothing was left to score
    corrections: dict[str, str]
    seconds: float


def scorer_id(benchmark: Benchmark) -> str:
    """Verdicts under equal ids are interchangeable; it does not depend on which tasks were selected."""
    facts = {
        "data": benchmark.md5,
        "plus": benchmark.plus,
        "evalplus": version("evalplus"),
        "corrections": CORRECTIONS[benchmark.family],
        "limits": LIMITS,
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
    samples = (sample for sample in run.samples() if sample.finish_reason != "budget" and sample.task_id in tasks)
    requests = [(sample.task_id, sample.solution) for sample in samples]
    return _score_into(run, requests, benchmark, sandbox, progress, hidden=run.folder.parent.parent)


def score_samples(path: Path, benchmark: Benchmark, out: Path, *, sandbox: str) -> dict[str, Any]:
    """Score a samples file in evalplus' format into `out`; the summary that is written there as well."""
    requests = read_samples(path, benchmark)
    run = Run(out)
    with run.locked():
        report = _score_into(run, requests, benchmark, sandbox, progress=True, hidden=out)
    summary = summarize(requests, run.scores(), benchmark) | {"samples": str(path), "sandbox": report.sandbox}
    write_atomically(out / "summary.json", json.dumps(summary, indent=1) + "\n")
    return summary


def read_samples(path: Path, benchmark: Benchmark) -> list[Request]:
    """Lines with `task_id` and `solution`, or `completion` to follow the prompt. Every task must have one."""
    prompts = {problem.task_id: problem.prompt for problem in benchmark.problems}
    requests = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SpaError(f"cannot read the samples file {path}: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            sample = json.loads(line)
            task_id, solution, completion = sample["task_id"], sample.get("solution"), sample.get("completion")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SpaError(f"{path}:{number} is not a JSON object with a task_id") from None
        if solution is None and isinstance(completion, str):
            solution = prompts.get(task_id, "") + completion
        if not isinstance(task_id, str) or not isinstance(solution, str):
            raise SpaError(f"{path}:{number} needs a task_id and a text `solution` or `completion`")
        requests.append((task_id, solution))
    check_tasks((task_id for task_id, _ in requests), benchmark)
    if missing := prompts.keys() - {task_id for task_id, _ in requests}:
        raise SpaError(
            f"{path} has no sample of {_names(missing, benchmark)}; give one of every task of {benchmark.name}"
        )
    return requests


def summarize(requests: Sequence[Request], scores: Iterable[Score], benchmark: Benchmark) -> dict[str, Any]:
    """Pass@1 over the tasks: a fraction, the mean over tasks of the share of the task's samples that pass."""
    identifier = scorer_id(benchmark)
    verdicts = {(s.task_id, s.solution_sha): s for s in scores if s.scorer_id == identifier}
    passed: dict[str, dict[str, list[bool]]] = {"base": defaultdict(list), "plus": defaultdict(list)}
    for task_id, solution in requests:
        verdict = verdicts[task_id, solution_sha(solution)]
        passed["base"][task_id].append(verdict.base_status == "pass")
        passed["plus"][task_id].append(verdict.base_status == verdict.plus_status == "pass")

    def rate(tasks: dict[str, list[bool]]) -> dict[str, Any]:
        shares = [sum(samples) / len(samples) for samples in tasks.values()]
        return {"n_passed": sum(map(sum, tasks.values())), "pass_at_1": sum(shares) / len(shares)}

    return {
        "benchmark": benchmark.name,
        "n_tasks": len(passed["base"]),
        "n_samples": len(requests),
        "base": rate(passed["base"]),
        "plus": rate(passed["plus"]) if benchmark.plus else None,
        "scorer_id": identifier,
        "corrections": corrections(benchmark),
    }


def corrections(benchmark: Benchmark) -> dict[str, str]:
    """The corrections that concern these problems."""
    tasks = {problem.task_id for problem in benchmark.problems}
    return {task_id: text for task_id, text in CORRECTIONS[benchmark.family].items() if task_id in tasks}


def check_tasks(task_ids: Iterable[str], benchmark: Benchmark) -> None:
    """Raise a SpaError that names the tasks that the benchmark does not have."""
    if unknown := set(task_ids) - {problem.task_id for problem in benchmark.problems}:
        raise SpaError(
            f"{benchmark.name} has no task {_names(unknown, benchmark)}; remove them or name their benchmark"
        )


def reason(solution: str, entry_point: str, base_status: str, plus_status: str | None) -> str:
    """Why a verdict is what it is. Looks at the text for a syntax error or a missing name, and executes nothing."""
    if base_status == "pass" and plus_status in ("pass", None):
        return "passed"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the solution: invalid escapes and the like
            compile(solution, "<solution>", "exec", dont_inherit=True)
            top_level = symtable.symtable(solution, "<solution>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # NUL bytes, lone surrogates, too deep, too large
        return "syntax_error"
    bound = {symbol.get_name() for symbol in top_level.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    if entry_point not in bound:
        return "no_entry_point"
    return "timeout" if "timeout" in (base_status, plus_status) else "failed"


def _score_into(
    run: Run, requests: Sequence[Request], benchmark: Benchmark, sandbox: str, progress: bool, hidden: Path
) -> ScoringReport:
    start, identifier = time.monotonic(), scorer_id(benchmark)
    known = {(s.task_id, s.solution_sha) for s in run.scores() if s.scorer_id == identifier}
    distinct = dict.fromkeys(requests)
    todo = [(task_id, solution) for task_id, solution in distinct if (task_id, solution_sha(solution)) not in known]
    mode = resolve(sandbox) if todo else None
    if mode:
        verdicts = _verdicts(todo, benchmark, mode, usable_cores(), hidden)
        for verdict in tqdm(verdicts, "scoring", total=len(todo), unit="solution", disable=not progress):
            run.append_scores([verdict])
    seconds = time.monotonic() - start
    return ScoringReport(len(todo), len(distinct) - len(todo), mode, corrections(benchmark), seconds)


def _verdicts(
    requests: Sequence[Request], benchmark: Benchmark, mode: str, workers: int, *hidden: Path
) -> Iterator[Score]:
    problems = {problem.task_id: problem for problem in benchmark.problems}
    asked = {task_id for task_id, _ in requests}
    order = {task_id: position for position, task_id in enumerate(problems)}
    distinct = sorted(dict.fromkeys(requests), key=lambda request: order[request[0]])
    tests = _expected([problem for problem in benchmark.problems if problem.task_id in asked], benchmark, mode, workers)
    messages = [
        json.dumps(
            {
                "family": benchmark.family,
                "entry_point": problems[task_id].entry_point,
                "atol": problems[task_id].atol,
                "solution": solution,
                "tests": str(tests[task_id]),
                **LIMITS,
            }
        ).encode()
        for task_id, solution in distinct
    ]
    answers = exchange(
        _worker("check"),
        messages,
        mode=mode,
        workers=workers,
        patience=CHECK_SECONDS,
        readonly=[_cache()],
        hidden=hidden,
    )
    identifier = scorer_id(benchmark)
    for index, answer in answers:
        task_id, solution = distinct[index]
        sha = solution_sha(solution)
        if isinstance(answer, Lost):
            if answer.last_words:  # of our own process: a solution's go nowhere
                raise SpaError(f"{task_id}: the solution {sha[:12]} could not be checked: {answer.last_words}")
            logger.warning("%s: the solution %s brought down the process that checked it, twice", task_id, sha[:12])
            status = "timeout" if answer.silent else "fail"
            checked: dict[str, Any] = {"base": status, "plus": status if benchmark.plus else None, "seconds": 0.0}
        else:
            checked = json.loads(answer)
        entry_point = problems[task_id].entry_point
        yield Score(
            task_id=task_id,
            solution_sha=sha,
            base_status=checked["base"],
            plus_status=checked["plus"],
            suspect=None,
            reason=reason(solution, entry_point, checked["base"], checked["plus"]),
            seconds=checked["seconds"],
            scorer_id=identifier,
        )


def _expected(problems: Sequence[Problem], benchmark: Benchmark, mode: str, workers: int) -> dict[str, Path]:
    """Where each task's inputs and expected outputs lie. What is missing is made, by one process at a time."""
    requests = {problem.task_id: _expect_request(problem, benchmark.plus) for problem in problems}
    made_by = f"{EXPECTED_FORMAT} evalplus {version('evalplus')} python {platform.python_version()}".encode()
    files = {
        task_id: _cache() / f"{hashlib.sha256(made_by + request).hexdigest()[:32]}.pickle.zlib"
        for task_id, request in requests.items()
    }
    if all(file.exists() for file in files.values()):
        return files
    try:
        _cache().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpaError(f"cannot make the cache {_cache()} ({error.strerror}); set XDG_CACHE_HOME to a folder") from None
    with FileLock(_cache() / ".lock"):
        missing = [task_id for task_id, file in files.items() if not file.exists()]
        logger.info("running %d canonical solutions for their outputs, which are kept in %s", len(missing), _cache())
        answers = exchange(
            _worker("expect"),
            [requests[task_id] for task_id in missing],
            mode=mode,
            workers=workers,
            patience=EXPECT_SECONDS,
        )
        for index, answer in answers:
            task_id = missing[index]
            if isinstance(answer, Lost):
                raise SpaError(f"{task_id}: its canonical solution does not run: {answer.last_words or 'no answer'}")
            write_atomically(files[task_id], answer)
    return files


def _expect_request(problem: Problem, plus: bool) -> bytes:
    request = {
        "task_id": problem.task_id,
        "family": problem.family,
        "entry_point": problem.entry_point,
        "code": problem.prompt + problem.canonical_solution,
        "base_input": problem.base_input,
        "plus_input": problem.plus_input if plus else None,
    }
    return json.dumps(request, sort_keys=True).encode()


def _worker(role: str) -> list[str]:
    script = Path(__file__).resolve().with_name("scoring_worker.py")
    return python(str(script), role, str(Path("/proc/self/ns/pid").readlink()))


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spa" / "expected"


def _names(task_ids: Iterable[str], benchmark: Benchmark) -> str:
    order = {problem.task_id: position for position, problem in enumerate(benchmark.problems)}
    names = sorted(task_ids, key=lambda task_id: (order.get(task_id, -1), task_id))
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
