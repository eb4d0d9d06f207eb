"""Programs to score: the benchmarks' own, and right and wrong ones for HumanEval/0; processes that they left."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from spa.benchmarks import Benchmark

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
