"""Odd programs: right ones in unusual forms, and ones that evalplus does not pass, with what evalplus says of each.

    python tests/support/odd_programs.py

lets evalplus, as it is released, and us judge all of them, for the table of docs/trust.md, and writes
results/bench/odd-programs.json.
"""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from data import DATASETS, ROOT, benchmark_config

from spa.bench import released_evalplus
from spa.records import solution_sha
from spa.results.files import write_atomically
from spa.scoring.score import score
from spa.tasks import benchmarks
from spa.tasks.benchmarks import Benchmark

FOLDER = Path(__file__).parents[1] / "odd"
DATA = {
    "HumanEval": ("humaneval_plus", "HumanEvalPlus-v0.1.10.jsonl.gz"),
    "Mbpp": ("mbpp_plus", "MbppPlus-v0.2.0.jsonl.gz"),
}


@dataclass(frozen=True)
class Odd:
    """A program; `passes` is what evalplus says of it, base and plus."""

    task_id: str
    what: str
    solution: str
    passes: bool


def corpus() -> list[Odd]:
    """All of them. In a file, each begins with a line "#: TASK_ID WHAT"."""
    found = []
    for kind in ("passes", "fails"):
        for part in (FOLDER / f"{kind}.txt").read_text().split("#: ")[1:]:
            first, _, solution = part.partition("\n")
            task_id, _, what = first.partition(" ")
            found.append(Odd(task_id, what, solution, kind == "passes"))
    return found


def data(family: str) -> Benchmark:
    name, file = DATA[family]
    return benchmarks.load(benchmark_config(name, path=str(DATASETS / file)))


def judged(programs: Sequence[Odd], benchmark: Benchmark) -> dict[Odd, str]:
    """Our reason for each; "passed" where base and plus are."""
    names = {(odd.task_id, solution_sha(odd.solution)): odd for odd in programs}
    requests = [(odd.task_id, odd.solution) for odd in programs]
    verdicts = score(requests, benchmark, sandbox="bubblewrap")
    return {names[verdict.task_id, verdict.solution_sha]: verdict.reason for verdict in verdicts}


def by_evalplus(programs: Sequence[Odd], benchmark: Benchmark) -> dict[Odd, bool]:
    """Whether evalplus passes each, base and plus."""
    requests = [(odd.task_id, odd.solution) for odd in programs]
    with tempfile.TemporaryDirectory() as folder:
        released_evalplus.prepare(requests, benchmark, Path(folder))
        statuses = released_evalplus.evaluate(requests, benchmark, Path(folder), "bubblewrap")
    return {odd: status == ("pass", "pass") for odd, status in zip(programs, statuses, strict=True)}


def main() -> None:
    rows = []
    for family in DATA:
        programs = [odd for odd in corpus() if odd.task_id.startswith(family)]
        theirs, ours = by_evalplus(programs, data(family)), judged(programs, data(family))
        for odd in programs:
            rows.append({"task_id": odd.task_id, "what": odd.what, "evalplus": theirs[odd], "reason": ours[odd]})
    content = {"evalplus": version("evalplus"), "programs": rows}
    write_atomically(ROOT / "results" / "bench" / "odd-programs.json", json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
