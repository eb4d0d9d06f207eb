"""The hostile pack: solutions of one task that attack their judge, none of which may pass.

    python tests/support/hostile_pack.py [FOLDER PORT [NAME ...]]

runs the pack here and against stock evalplus, and writes docs/hostile.md. With a folder and a port that it tries to
reach, it runs here alone, but for the attacks named, each between right solutions, and prints the verdicts as JSON.
"""

import json
import os
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from data import benchmark_config
from tabulate import tabulate

from spa.records import Problem, solution_sha
from spa.results.files import write_atomically
from spa.scoring import expected
from spa.scoring.processes import Lost, Service, exchange
from spa.scoring.sandbox import enclosed, python
from spa.scoring.score import score
from spa.tasks import benchmarks
from spa.tasks.benchmarks import Benchmark

FOLDER = Path(__file__).parents[1] / "hostile"
TASK = "HumanEval/35"
BYSTANDERS = ("HumanEval/31", "HumanEval/34", "HumanEval/36")
CLOSED_PORT = 47831  # that a solution of the pack opens
STOCK_SECONDS = 60.0

# evalplus as it is released: sent a problem and a solution, answers the status of the base tests.
STOCK = """
import json, os
from multiprocessing.connection import Connection
from evalplus.evaluate import check_correctness
from evalplus.gen.util import trusted_exec
channel = Connection(os.dup(0))
os.dup2(os.open(os.devnull, os.O_RDWR), 0)
os.dup2(0, 1)
channel.send_bytes(b"")
problem, solution = json.loads(channel.recv_bytes())
code = problem["prompt"] + problem["canonical_solution"]
outputs, seconds = trusted_exec(code, problem["base_input"], problem["entry_point"], record_time=True)
expected = {"base": outputs, "base_time": seconds}
result = check_correctness("humaneval", 0, problem, solution, expected, base_only=True, fast_check=True)
channel.send_bytes(result["base"][0].encode())
"""


@dataclass(frozen=True)
class Hostile:
    """One solution of the pack."""

    name: str
    attack: str
    solution: str


def pack(outside: Path, port: int) -> list[Hostile]:
    """The solutions; `outside` is a folder that they try to reach, `port` one of this machine that listens."""
    found = []
    for path in sorted(FOLDER.glob("*.py")):
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        attack = text.split("\n", 1)[0].removeprefix("# ")
        solution = text.replace("@OUTSIDE@", str(outside)).replace("@PORT@", str(port))
        solution = solution.replace("@NAMES@", "a." * 30_000).replace("@LOOPS@", "for x in y " * 100_000)
        found.append(Hostile(path.stem, attack, solution))
    return found


def stock(solutions: Iterable[Hostile], problem: Problem) -> dict[str, str]:
    """What evalplus says of each, in a sandbox for our own safety, where no other solution is harmed."""
    service = Service(enclosed(python("-c", STOCK), "bubblewrap"), tries=1)
    found = {}
    for hostile in solutions:
        message = json.dumps([json.loads(problem.to_json()), hostile.solution]).encode()
        ((_, answer),) = exchange(service, [message], workers=1, patience=STOCK_SECONDS)
        found[hostile.name] = f"none ({answer.cause})" if isinstance(answer, Lost) else answer.decode()
    return found


def ours(solutions: Iterable[Hostile], benchmark: Benchmark) -> dict[str, str]:
    """Our verdict on each: its base status, and the reason."""
    names = {solution_sha(hostile.solution): hostile.name for hostile in solutions}
    requests = [(TASK, hostile.solution) for hostile in solutions]
    return {
        names[verdict.solution_sha]: f"{verdict.base_status} ({verdict.reason})"
        for verdict in score(requests, benchmark, sandbox="bubblewrap")
    }


def table(solutions: Iterable[Hostile], stock: Mapping[str, str], ours: Mapping[str, str]) -> str:
    rows = [(hostile.name, hostile.attack, stock[hostile.name], ours[hostile.name]) for hostile in solutions]
    return tabulate(
        rows, ["solution", "what it does", "stock evalplus", "here"], tablefmt="pipe", disable_numparse=True
    )


PAGE = """# The hostile pack

Solutions in `tests/hostile/` that attack their judge; none of them solves its task ({task}). A pass is a forged one.
Made by `python tests/support/hostile_pack.py` with evalplus {evalplus}, its base tests, {cores} cores.
For the safety of the machine stock evalplus ran inside a bubblewrap sandbox as well, a fresh one for each solution:
so its column shows verdicts alone, not what else a solution would have done. "none" means that it gave no verdict:
it had ended, was silent for {seconds:.0f} seconds, or was ended from outside for what it took. Here all were scored
in one go, between other solutions, whose verdicts they did not change.

{table}
"""


def among_right_ones(benchmark: Benchmark, outside: Path, port: int, without: Collection[str]) -> dict[str, Any]:
    """The verdicts on the attacks, each between right solutions, and on these; and the memory that they cost us."""
    right = {p.task_id: p.prompt + p.canonical_solution for p in benchmark.problems if p.task_id in (TASK, *BYSTANDERS)}
    attacks = [hostile for hostile in pack(outside, port) if hostile.name not in without]
    requests = [(task_id, right[task_id]) for task_id in BYSTANDERS]
    for number, hostile in enumerate(attacks):
        requests += [(TASK, f"{right[TASK]}\n# {number}\n"), (TASK, hostile.solution)]
    requests.append((TASK, right[TASK]))
    before = _peak_bytes()
    found = {(s.task_id, s.solution_sha): vars(s) for s in score(requests, benchmark, sandbox="bubblewrap", workers=2)}
    names = {solution_sha(hostile.solution): hostile.name for hostile in attacks}
    return {
        "attacks": {names[sha]: verdict for (_, sha), verdict in found.items() if sha in names},
        "right": [verdict for (_, sha), verdict in found.items() if sha not in names],
        "bytes": _peak_bytes() - before,
    }


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 2**10


def main() -> None:
    benchmark = benchmarks.load(benchmark_config("humaneval"))
    if len(sys.argv) > 1:
        expected.LIMITS["min_time_limit"] = 0.4  # what never ends need not be waited for so long
        found = among_right_ones(benchmark, Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
        sys.stdout.write(json.dumps(found) + "\n")
        return
    (problem,) = (problem for problem in benchmark.problems if problem.task_id == TASK)
    with tempfile.TemporaryDirectory() as folder:
        solutions = pack(Path(folder), 1)
        shown = table(solutions, stock(solutions, problem), ours(solutions, benchmark))
    page = PAGE.format(
        task=TASK,
        evalplus=version("evalplus"),
        cores=len(os.sched_getaffinity(0)),
        seconds=STOCK_SECONDS,
        table=shown,
    )
    write_atomically(FOLDER.parent.parent / "docs" / "hostile.md", page)


if __name__ == "__main__":
    main()
