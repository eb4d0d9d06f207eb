"""Check this machine: versions, sandbox, data, and that canonical solutions pass and bad ones fail."""

import argparse
import importlib.metadata
import logging
import platform
import time
from collections.abc import Iterator, Sequence

from packaging.requirements import Requirement

from spa.config import load_benchmark_config, usable_cores
from spa.errors import SpaError, one_line_errors
from spa.results.provenance import versions
from spa.scoring.sandbox import resolve, self_test
from spa.scoring.score import corrections, score
from spa.tasks import benchmarks
from spa.tasks.benchmarks import Benchmark

PACKAGES = ("evalplus", "numpy", "datasets", "torch", "transformers", "bitsandbytes")
BENCHMARKS = ("humaneval", "humaneval_plus", "mbpp", "mbpp_plus")
QUICK_TASKS = 5

SLOW_TASKS = ("Mbpp/255", "Mbpp/392")  # a minute each: the quick check leaves them out

# Programs that solve nothing; {name} is the entry point.
WRONG_PROGRAMS = {
    "a wrong answer": "def {name}(*_):\n    return object()\n",
    "an exception": "def {name}(*_):\n    raise ValueError\n",
    "an endless loop": "def {name}(*_):\n    while True:\n        pass\n",
    "an exit": "import os\n\ndef {name}(*_):\n    os._exit(0)\n",
    "no function": "answer = 42\n",
}


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few canonical solutions of each benchmark, not all")
    parser.add_argument("--benchmarks", nargs="+", default=BENCHMARKS, metavar="NAME", help="default: all four")
    parser.add_argument("--sandbox", default="bubblewrap", help="bubblewrap (default) or apptainer:IMAGE")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for line in examine(arguments.quick, arguments.benchmarks, arguments.sandbox):
        print(line, flush=True)


def examine(quick: bool, names: Sequence[str], sandbox: str) -> Iterator[str]:
    """All checks, cheapest first: a line for people for each, or a SpaError that says what is wrong.

    `quick` runs a few canonical solutions of each benchmark instead of all. A benchmark whose data is not here does not
    keep the others from being checked; the SpaError comes at the end.
    """
    yield check_packages()
    if resolve(sandbox) == "none":
        raise SpaError(
            "sandbox=none protects nothing, so this machine is not fit; choose bubblewrap or apptainer:IMAGE"
        )
    self_test(sandbox)
    yield f"sandbox: {sandbox} keeps files, network and processes in; {usable_cores()} cores to score on"
    loaded, absent = [], []
    for name in names:
        try:
            benchmark = benchmarks.load(load_benchmark_config(name))
        except SpaError as error:
            absent.append(name)
            yield f"{name}: no data: {error}"
        else:
            loaded.append(benchmark)
            yield f"{name}: {len(benchmark.problems)} tasks, md5 {benchmark.md5}, {benchmark.source}"
    for benchmark in loaded:
        yield try_canonical(benchmark, quick, sandbox)
        yield try_bad(benchmark, sandbox)
    if absent:
        others = f", or check the others alone: --benchmarks {' '.join(b.name for b in loaded)}" if loaded else ""
        raise SpaError(f"no data for {', '.join(absent)}, see above; bring it{others}")


def check_packages() -> str:
    """Python and packages must be what this package requires."""
    try:
        required = [Requirement(text) for text in importlib.metadata.requires("spa") or ()]
    except importlib.metadata.PackageNotFoundError:
        raise SpaError("the package spa is not installed in this environment; run `make setup`") from None
    needed = [r for r in required if r.marker is None or r.marker.evaluate({"extra": ""})]
    found = versions(requirement.name for requirement in needed)
    wrong = [
        f"{requirement} ({found.get(requirement.name, 'missing')})"
        for requirement in needed
        if requirement.name not in found or not requirement.specifier.contains(found[requirement.name], True)
    ]
    if wrong:
        raise SpaError(f"packages are not as required: {', '.join(wrong)}; run `make setup`")
    shown = versions(PACKAGES)
    return f"Python {platform.python_version()}, {', '.join(f'{name} {number}' for name, number in shown.items())}"


def try_canonical(benchmark: Benchmark, quick: bool, sandbox: str) -> str:
    """The canonical solutions must pass all tests within this machine's limits."""
    start, corrected = time.monotonic(), _corrected(benchmark, quick)
    tried = [p for i, p in enumerate(benchmark.problems) if not quick or i < QUICK_TASKS or p.task_id in corrected]
    requests = [(problem.task_id, problem.prompt + problem.canonical_solution) for problem in tried]
    verdicts = list(score(requests, benchmark, sandbox=sandbox))
    failed = [f"{v.task_id} ({v.reason})" for v in verdicts if not v.passed()]
    if failed:
        raise SpaError(
            f"{benchmark.name}: {len(failed)} of {len(verdicts)} canonical solutions fail, and so would right answers: "
            f"{', '.join(failed[:8])}; leave the machine more time and memory, then try again"
        )
    return (
        f"{benchmark.name}: {len(verdicts)}/{len(verdicts)} canonical solutions pass"
        f"{', base and plus' if benchmark.plus else ''} ({time.monotonic() - start:.0f} s)"
    )


def try_bad(benchmark: Benchmark, sandbox: str) -> str:
    """Programs that solve nothing must fail on the benchmark's first task."""
    problem = benchmark.problems[0]
    bad = {kind: text.format(name=problem.entry_point) for kind, text in WRONG_PROGRAMS.items()}
    verdicts = score([(problem.task_id, solution) for solution in bad.values()], benchmark, sandbox=sandbox)
    if any(verdict.passed("base") for verdict in verdicts):
        raise SpaError(f"{benchmark.name}: a program that solves nothing passes {problem.task_id}; do not score here")
    return f"{benchmark.name}: programs that solve nothing fail ({', '.join(bad)})"


def _corrected(benchmark: Benchmark, quick: bool) -> list[str]:
    return [task_id for task_id in corrections(benchmark) if not (quick and task_id in SLOW_TASKS)]
