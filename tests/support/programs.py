"""Programs to score: the benchmarks' own, and right and wrong ones for HumanEval/0. Scoring them; a busy core."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from spa.records import Generation, Score, solution_sha
from spa.results.store import Run
from spa.scoring.score import score
from spa.tasks.benchmarks import Benchmark

RIGHT = """
def has_close_elements(numbers, threshold):
    return any(abs(a - b) < threshold for i, a in enumerate(numbers) for b in numbers[:i])
"""
SOLUTIONS = {  # of HumanEval/0
    "right": RIGHT,
    "right on the base tests only": RIGHT.replace("return", "return len(numbers) > 2 and"),
    "wrong": "def has_close_elements(numbers, threshold):\n    return False\n",
    "raises": "def has_close_elements(numbers, threshold):\n    raise KeyError\n",
    "loops": "def has_close_elements(numbers, threshold):\n    while True:\n        pass\n",
    "ends itself": "import os\ndef has_close_elements(numbers, threshold):\n    os._exit(0)\n",
    "leaves politely": "import sys\ndef has_close_elements(numbers, threshold):\n    sys.exit(0)\n",
    "no syntax": "def has_close_elements(numbers, threshold)\n    return True\n",
    "another name": "def close_elements(numbers, threshold):\n    return False\n",
    "raises when imported": "raise SystemExit\ndef has_close_elements(numbers, threshold):\n    return False\n",
    "prints a lot": "def has_close_elements(numbers, threshold):\n    print('x' * 10**6)\n    return False\n",
    "empty": "",
    "NUL": "\0",
    "half a character": "x = '\ud800'\n",
}


def only(benchmark: Benchmark, *task_ids: str) -> Benchmark:
    return replace(benchmark, problems=tuple(p for p in benchmark.problems if p.task_id in task_ids))


def canonical(benchmark: Benchmark) -> dict[str, str]:
    return {problem.task_id: problem.prompt + problem.canonical_solution for problem in benchmark.problems}


def processes_with(marker: str) -> list[bytes]:
    """The command lines of the processes that have a text in them."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(path.read_bytes())
    return [line for line in lines if marker.encode() in line]


@contextmanager
def one_busy_core() -> Iterator[None]:
    """One core for this process and what it starts, with three others on it that never rest."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    busy = [subprocess.Popen([sys.executable, "-c", "while str(1): pass"], start_new_session=True) for _ in range(3)]
    try:
        time.sleep(0.3)
        yield
    finally:
        os.sched_setaffinity(0, cores)
        for process in busy:
            process.kill()
            process.wait()


SCORE_RUN = """
import dataclasses, sys
from pathlib import Path
from spa.scoring.score import score_run
from spa.results.store import Run
sys.path.insert(0, "tests/support")
from data import benchmark_config
from spa.tasks import benchmarks
benchmark = benchmarks.load(benchmark_config("humaneval"))
run = Run(Path(sys.argv[1]))
with run.locked():
    score_run(run, benchmark, sandbox="bubblewrap", progress=False)
"""


def verdicts_on(benchmark: Benchmark, *solutions: tuple[str, str], sandbox: str = "bubblewrap") -> list[Score]:
    """Verdicts in the order of the solutions."""
    found = {
        (s.task_id, s.solution_sha): s
        for s in score(list(solutions), only_needed(benchmark, solutions), sandbox=sandbox)
    }
    return [found[task_id, solution_sha(solution)] for task_id, solution in solutions]


def only_needed(benchmark: Benchmark, solutions: tuple[tuple[str, str], ...]) -> Benchmark:
    return only(benchmark, *(task_id for task_id, _ in solutions))


def sample_of(task_id: str, solution: str, omega: float = 0.0, finish_reason: str = "stop") -> Generation:
    return Generation(
        task_id=task_id,
        solution=solution,
        omega_lo=omega,
        omega_hi=omega,
        raw="",
        completion="",
        prompt_text="",
        original_ids=[],
        masked_ids=[],
        masked_positions=[],
        completion_ids=[],
        finish_reason=finish_reason,
        anchor_spans=[],
        seconds=0.0,
        batch_rows=1,
    )


def run_with(folder: Path, *samples: Generation) -> Run:
    run = Run(folder / "runs" / "0123")
    run.folder.mkdir(parents=True)
    run.append_samples(samples)
    return run
