"""evalplus as it is released, on a benchmark's samples: what our verdicts are compared with.

What runs is its `evaluate` command, with its own limits, comparison and ground truth. Only the place is ours: it gets
the benchmark's problems as its data file, a cache folder of its own, and a sandbox around the samples.
"""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from spa.errors import SpaError
from spa.records import Submission
from spa.scoring.sandbox import enclosed, environment, python
from spa.tasks.benchmarks import OVERRIDES, Benchmark

Statuses = tuple[str, str | None]  # of base and plus tests, as evalplus calls them; None where there are no plus tests
PATIENCE_SECONDS = 3600.0

TRUTH = """
import sys
from evalplus import data, evaluate
from evalplus.eval import MBPP_OUTPUT_NOT_NONE_TASKS
if sys.argv[1] == "humaneval":
    evaluate.get_groundtruth(data.get_human_eval_plus(), data.get_human_eval_plus_hash(), [])
else:
    evaluate.get_groundtruth(data.get_mbpp_plus(), data.get_mbpp_plus_hash(), MBPP_OUTPUT_NOT_NONE_TASKS)
"""
EVALUATE = """
import json, os, shutil, sys, tempfile
from evalplus.evaluate import evaluate
samples, options = sys.argv[1], json.loads(sys.argv[2])
answer = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
with tempfile.TemporaryDirectory() as folder:
    evaluate(samples=shutil.copy(samples, folder), **options)
    with open(os.path.join(folder, "samples_eval_results.json")) as file:
        found = json.load(file)["eval"]
json.dump({task: [[r["base_status"], r["plus_status"]] for r in results] for task, results in found.items()}, answer)
answer.close()
os._exit(0)  # the results are written, but a watching thread would sleep on, for up to 20 seconds
"""


def prepare(requests: Sequence[Submission], benchmark: Benchmark, folder: Path) -> None:
    """Write data and samples of the tasks in question, and let evalplus compute its ground truth, all into `folder`."""
    asked = {task_id for task_id, _ in requests}
    rows = [json.loads(problem.to_json()) for problem in benchmark.problems if problem.task_id in asked]
    rows = [row | {"plus_input": row["plus_input"] or []} for row in rows]
    _write_lines(_data(folder), rows)
    _write_lines(samples_path(folder), [{"task_id": task_id, "solution": solution} for task_id, solution in requests])
    _run(python("-c", TRUTH, benchmark.family), benchmark, folder, {**os.environ})  # of the data's own solutions


def evaluate(
    requests: Sequence[Submission], benchmark: Benchmark, folder: Path, sandbox: str, workers: int | None = None
) -> list[Statuses]:
    """evalplus' verdicts on the requests that `folder` was prepared for; `workers` is by default its own choice.

    `sandbox` is a mode that works here (`sandbox.resolve`).
    """
    options = {"dataset": benchmark.family, "base_only": not benchmark.plus, "parallel": workers}
    program = python("-c", EVALUATE, str(samples_path(folder)), json.dumps(options))
    found = json.loads(_run(enclosed(program, sandbox, readonly=[folder]), benchmark, folder, environment()))
    seen = Counter[str]()
    statuses = []
    for task_id, _ in requests:
        base, plus = found[task_id][seen[task_id]]
        statuses.append((base, plus))
        seen[task_id] += 1
    return statuses


def samples_path(folder: Path) -> Path:
    """The samples file that `prepare` writes."""
    return folder / "samples.jsonl"


def _run(argv: Sequence[str], benchmark: Benchmark, folder: Path, variables: dict[str, str]) -> str:
    variables |= {OVERRIDES[benchmark.family]: str(_data(folder)), "XDG_CACHE_HOME": str(folder)}
    null = subprocess.DEVNULL
    try:
        done = subprocess.run(
            argv, env=variables, stdin=null, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise SpaError(
            f"evalplus did not end within {PATIENCE_SECONDS:.0f} seconds; did a sample kill its worker?"
        ) from None
    if done.returncode:
        last = (done.stderr.strip() or "silent").rsplit("\n", 1)[-1]
        raise SpaError(f"evalplus ended with exit code {done.returncode}: {last[:300]}")
    return done.stdout


def _write_lines(path: Path, rows: Sequence[object]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _data(folder: Path) -> Path:
    return folder / "data.jsonl"
