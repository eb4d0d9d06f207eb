"""Is this machine fit to score? Each check gives lines for people, or a SpaError that says what is wrong."""

import platform
import time
from collections.abc import Iterator

from spa import benchmarks
from spa.benchmarks import Benchmark
from spa.config import load_benchmark_config
from spa.errors import SpaError
from spa.provenance import usable_cores, versions
from spa.sandbox import resolve, self_test
from spa.scoring import corrections, score

PACKAGES = ("evalplus", "numpy", "datasets", "torch", "transformers", "bitsandbytes")
BENCHMARKS = ("humaneval", "humaneval_plus", "mbpp", "mbpp_plus")
QUICK_TASKS = 5

# Programs that solve nothing; {name} is the entry point.
BAD = {
    "a wrong answer": "def {name}(*_):\n    return object()\n",
    "an exception": "def {name}(*_):\n    raise ValueError\n",
    "an endless loop": "def {name}(*_):\n    while True:\n        pass\n",
    "an exit": "import os\n\ndef {name}(*_):\n    os._exit(0)\n",
    "no function": "answer = 42\n",
}


def examine(quick: bool) -> Iterator[str]:
    """All checks, cheapest first; `quick` runs a few canonical solutions of each benchmark instead of all."""
    installed = versions(PACKAGES)
    packages = (f"{package} {installed.get(package, 'missing')}" for package in PACKAGES)
    yield f"Python {platform.python_version()}, {', '.join(packages)}"
    resolve("bubblewrap")
    self_test()
    yield f"sandbox: bubblewrap keeps files, network and processes in; {usable_cores()} cores to score on"
    loaded = []
    for name in BENCHMARKS:
        try:
            benchmark = benchmarks.load(load_benchmark_config(name))
        except SpaError as error:
            yield f"{name}: not here: {error}"
        else:
            loaded.append(benchmark)
            yield f"{name}: {len(benchmark.problems)} tasks, md5 {benchmark.md5}, {benchmark.source}"
    if not loaded:
        raise SpaError("none of the benchmarks can be loaded; see the lines above")
    for benchmark in loaded:
        yield try_canonical(benchmark, quick)
        yield try_bad(benchmark)


def try_canonical(benchmark: Benchmark, quick: bool) -> str:
    """The canonical solutions must pass all tests within this machine's limits."""
    start, corrected = time.monotonic(), corrections(benchmark)
    tried = [p for i, p in enumerate(benchmark.problems) if not quick or i < QUICK_TASKS or p.task_id in corrected]
    requests = [(problem.task_id, problem.prompt + problem.canonical_solution) for problem in tried]
    verdicts = list(score(requests, benchmark, sandbox="bubblewrap"))
    failed = [
        f"{v.task_id} ({v.reason})" for v in verdicts if (v.base_status, v.plus_status or "pass") != ("pass", "pass")
    ]
    if failed:
        raise SpaError(
            f"{benchmark.name}: {len(failed)} of {len(verdicts)} canonical solutions fail, and so would right answers: "
            f"{', '.join(failed[:8])}; leave the machine more time and memory, then try again"
        )
    return (
        f"{benchmark.name}: {len(verdicts)}/{len(verdicts)} canonical solutions pass"
        f"{', base and plus' if benchmark.plus else ''} ({time.monotonic() - start:.0f} s)"
        f"{'; not without our correction: ' + ', '.join(corrected) if corrected else ''}"
    )


def try_bad(benchmark: Benchmark) -> str:
    """Programs that solve nothing must fail on the benchmark's first task."""
    problem = benchmark.problems[0]
    bad = {kind: text.format(name=problem.entry_point) for kind, text in BAD.items()}
    verdicts = score([(problem.task_id, solution) for solution in bad.values()], benchmark, sandbox="bubblewrap")
    if any(verdict.base_status == "pass" for verdict in verdicts):
        raise SpaError(f"{benchmark.name}: a program that solves nothing passes {problem.task_id}; do not score here")
    return f"{benchmark.name}: programs that solve nothing fail ({', '.join(bad)})"
