"""Our scorer beside evalplus as it is released: times and verdicts on the same samples, in interleaved rounds.

Every side is a process that starts, reads data, cached ground truth and samples, scores, and writes its results. Each
starts without verdicts. What ours does beyond evalplus (it tries again what ran out of time) is in its times, and
stated apart.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate
from tqdm import tqdm

from spa.bench import mutants, released_evalplus
from spa.bench.released_evalplus import Statuses
from spa.config import PACKAGE, usable_cores
from spa.errors import SpaError
from spa.records import Submission, solution_sha
from spa.results.provenance import environment, git_state
from spa.results.store import Run
from spa.scoring.external_samples import read_samples
from spa.scoring.sandbox import resolve
from spa.scoring.score import corrections
from spa.tasks.benchmarks import Benchmark

EXTRAS = ("retry_seconds",)  # summed over the solutions; evalplus tries none again


def read(samples: str, benchmark: Benchmark) -> Sequence[Submission]:
    """The samples of a file or folder, of all tasks or some; "canonical" and "mutants" are made from the benchmark."""
    if samples == "canonical":
        return [(problem.task_id, problem.prompt + problem.canonical_solution) for problem in benchmark.problems]
    if samples == "mutants":
        return [request for problem in benchmark.problems for request in mutants.make(problem)]
    return read_samples(Path(samples), benchmark, partial=True).requests


def compare(
    requests: Sequence[Submission], benchmark: Benchmark, rounds: int, checkout: Path | None = None
) -> dict[str, Any]:
    """Score the requests `rounds` times with each side; times in seconds, verdicts and where they differ.

    `checkout` holds another version of this project, which becomes a side of its own.
    """
    mode = resolve("bubblewrap")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        released_evalplus.prepare(requests, benchmark, folder)
        for version in {PACKAGE.parent, checkout or PACKAGE.parent}:
            _ours(requests, benchmark, folder, [], version)  # for its ground truth
        extras: list[dict[str, float]] = []
        sides: dict[str, Callable[[], list[Statuses]]] = {
            "evalplus": lambda: released_evalplus.evaluate(requests, benchmark, folder, mode),
            f"evalplus --parallel {usable_cores()}": lambda: released_evalplus.evaluate(
                requests, benchmark, folder, mode, usable_cores()
            ),
            "ours": lambda: _ours(requests, benchmark, folder, extras, PACKAGE.parent),
        }
        if checkout:
            state = git_state(checkout) or {"commit": checkout.name}
            sides[f"ours at {state['commit'][:7]}"] = lambda: _ours(requests, benchmark, folder, [], checkout)
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        statuses: dict[str, list[list[Statuses]]] = {side: [] for side in sides}
        for _ in tqdm(range(rounds), "rounds"):
            for side, score in sides.items():
                start = time.perf_counter()
                statuses[side].append(score())
                seconds[side].append(time.perf_counter() - start)
    extra = {name: statistics.median(each[name] for each in extras) for name in EXTRAS}
    medians = {side: statistics.median(times) for side, times in seconds.items()}
    without = medians["ours"] - sum(extra.values())
    return {
        "benchmark": benchmark.name,
        "n_tasks": len({task_id for task_id, _ in requests}),
        "n_samples": len(requests),
        "rounds": rounds,
        "seconds": seconds,
        "median_seconds": medians,
        "extra_seconds": extra,
        "ratios": {side: without / median for side, median in medians.items() if side != "ours"},
        "passed": {side: [_passed(each) for each in found] for side, found in statuses.items()},
        "differences": differences(requests, statuses, list(corrections(benchmark))),
        "machine": environment(),
    }


def _ours(
    requests: Sequence[Submission], benchmark: Benchmark, folder: Path, extras: list[dict[str, float]], version: Path
) -> list[Statuses]:
    """`spa score` as a user would run it, into an empty folder; `extras` gets what evalplus has nothing of.

    `version` is the checkout whose code runs.
    """
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "spa.cli.main", "score", "--out", out]
        command += ["--samples", str(released_evalplus.samples_path(folder))]
        command += ["--benchmark", benchmark.name, "--partial", "--sandbox", "bubblewrap"]
        done = subprocess.run(
            command, cwd=version, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SpaError(f"our scorer ended with exit code {done.returncode}: {done.stderr[-300:]}")
        report = json.loads(Path(out, "summary.json").read_bytes())["scoring"]
        verdicts = {(s.task_id, s.solution_sha): s for s in Run(Path(out)).scores()}
    extras.append({name: report.get(name, 0.0) / usable_cores() for name in EXTRAS})
    found = [verdicts[task_id, solution_sha(solution)] for task_id, solution in requests]
    return [(s.base_status, s.plus_status) for s in found]


def differences(
    requests: Sequence[Submission], statuses: dict[str, list[list[Statuses]]], corrected: Sequence[str]
) -> list[dict[str, Any]]:
    """The samples that do not pass or fail alike with every side in every round, each with all of its statuses."""
    found = []
    for number, (task_id, solution) in enumerate(requests):
        seen = {side: Counter(one_round[number] for one_round in rounds) for side, rounds in statuses.items()}
        if len({_passes(each) for counts in seen.values() for each in counts}) > 1:
            texts = {
                side: [f"{base} {plus} ({n})" for (base, plus), n in counts.items()] for side, counts in seen.items()
            }
            found.append(
                {
                    "task_id": task_id,
                    "sample": number,
                    "solution_sha": solution_sha(solution),
                    "corrected": task_id in corrected,
                    "statuses": texts,
                }
            )
    return found


def beside_evalplus(samples: Path, benchmark: Benchmark, out: Path, scorer_id: str, sandbox: str) -> str:
    """Score the samples by evalplus as it is released; for people, where it differs from our verdicts in `out`.

    These stand before, and whatever a sample does to evalplus, they do not change.
    """
    mode = resolve(sandbox)
    requests = read_samples(samples, benchmark, partial=True).requests
    verdicts = {(s.task_id, s.solution_sha): s for s in Run(out).scores() if s.scorer_id == scorer_id}
    ours = [verdicts[task_id, solution_sha(solution)] for task_id, solution in requests]
    with tempfile.TemporaryDirectory() as name:
        released_evalplus.prepare(requests, benchmark, Path(name))
        theirs = released_evalplus.evaluate(requests, benchmark, Path(name), mode)
    statuses = {"ours": [[(s.base_status, s.plus_status) for s in ours]], "evalplus": [theirs]}
    return _different(differences(requests, statuses, list(corrections(benchmark))))


def render(result: dict[str, Any]) -> str:
    """The comparison for people."""
    rows = []
    for side, times in result["seconds"].items():
        passed = sorted({tuple(each.values()) for each in result["passed"][side]})
        shown = " or ".join("/".join(str(count) for count in each) for each in passed)
        rows.append((side, result["median_seconds"][side], min(times), max(times), shown))
    headers = ["side", "median s", "min s", "max s", "pass base/plus"]
    lines = [
        f"{result['benchmark']}, {result['n_samples']} samples of {result['n_tasks']} tasks, {result['rounds']} rounds",
        tabulate(rows, headers, floatfmt=".1f"),
    ]
    lines += [f"our {name.replace('_', ' ')}: {value:.1f}" for name, value in result["extra_seconds"].items() if value]
    lines += [f"ours without these / {side}: {ratio:.2f}" for side, ratio in result["ratios"].items()]
    return "\n".join([*lines, _different(result["differences"])])


def _different(differences: Sequence[dict[str, Any]]) -> str:
    lines = [f"verdicts differ for {len(differences)} samples"]
    for each in differences:
        note = " (corrected)" if each["corrected"] else ""
        sides = "; ".join(f"{side}: {', '.join(texts)}" for side, texts in each["statuses"].items())
        lines.append(f"  {each['task_id']}{note}: {sides}")
    return "\n".join(lines)


def _passes(statuses: Statuses) -> tuple[bool, bool]:
    base, plus = statuses
    return base == "pass", base == "pass" == plus


def _passed(statuses: Sequence[Statuses]) -> dict[str, int]:
    base, plus = zip(*map(_passes, statuses), strict=True)
    return {"base": sum(base), "plus": sum(plus)}
