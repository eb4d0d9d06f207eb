"""Programs to score: the benchmarks' own, and right and wrong ones for HumanEval/0. What they left; a busy core."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

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
