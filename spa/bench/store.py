"""How results folders of unusual size behave, with synthetic runs: very many cells, and cells of very many texts.

Very many cells are written, listed, resumed and aggregated. They are unlike real ones in having few samples; what a
step takes for each further sample is bounded by reading its line. Of as many cells as the paper's table has, each with
378 tasks of 50 parts, the report is built. Each step runs in a process of its own, so that its peak memory is its own.
Every round begins with empty folders, and the median of the rounds counts: the first writes pay for memory or blocks
that nobody has touched yet. The sizes take turns, step by step: a machine that grows slower meanwhile makes none of
them look worse than another.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from itertools import cycle, pairwise, product
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from tabulate import tabulate
from tqdm import tqdm

from spa import omega
from spa.analysis import aggregate
from spa.records import Generation, Part, Score, solution_sha
from spa.report import build
from spa.results import provenance
from spa.results.manifest import Data, Manifest, Scoring
from spa.results.store import Results, Run, find_results

OMEGAS = (omega.Values((0.0, 0.3)), omega.Values((0.3, 0.5)))  # in turn; the second finds omega 0 in another cell
TASKS = [f"HumanEval/{number}" for number in range(3)]
UNFINISHED = 10  # every tenth cell lacks its last sample
N_TASKS, N_PARTS = 378, 50  # of a cell with many texts
ROUNDS = 3
N_MODELS, ANCHORS = 5, ("description", "description_and_tests", "examples", "prompt")

Step = Callable[[Path, int], int]

_PROMPT = '"""Return the second largest element of a list of numbers that may hold equal ones."""\n' * 4


def measure(sizes: Sequence[int], look: Step, folder: Path | None = None) -> dict[str, Any]:
    """Seconds, cells a second and peak memory of each step at each number of cells.

    `look` is what the status command does with a folder. `folder` is where the cells lie for the time being; by default
    the system's folder of temporary files.
    """
    rows = _run((write, look, resume, summarise), sizes, folder)
    return {"samples_per_cell": len(TASKS) * len(OMEGAS[0].values), **_result(rows, folder), "growth": growth(rows)}


def measure_report(cells: int, folder: Path | None = None) -> dict[str, Any]:
    """The same of the report of cells with many texts; its step's result is the page's bytes."""
    return {
        "samples_per_cell": N_TASKS * N_PARTS,
        **_result(_run((write_texts, build_report), [cells], folder), folder),
    }


def _run(steps: Sequence[Step], sizes: Sequence[int], folder: Path | None) -> list[dict[str, Any]]:
    outcomes: dict[tuple[Step, int], list[tuple[float, float, int]]] = {turn: [] for turn in product(steps, sizes)}
    with tqdm(total=ROUNDS * len(outcomes), desc=" and ".join(f"{cells:,}" for cells in sizes) + " cells") as bar:
        for _ in range(ROUNDS):
            with ExitStack() as stack:
                scratch = {cells: Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder))) for cells in sizes}
                for (step, cells), rounds in outcomes.items():
                    rounds.append(_alone(step, scratch[cells], cells))
                    bar.update()
    return [_row(step, cells, rounds) for (step, cells), rounds in outcomes.items()]


def _row(step: Step, cells: int, rounds: Sequence[tuple[float, float, int]]) -> dict[str, Any]:
    seconds = [round_seconds for round_seconds, _, _ in rounds]
    peak_mib = max(round_peak for _, round_peak, _ in rounds)
    return {
        "cells": cells,
        "step": step.__name__,
        "seconds": median(seconds),
        "rounds": seconds,
        "cells_per_second": cells / median(seconds),
        "peak_mib": peak_mib,
        "result": rounds[0][2],
    }


def _alone(step: Step, folder: Path, cells: int) -> tuple[float, float, int]:
    """Seconds, peak MiB and result of a step in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_timed, step, folder, cells).result()


def _result(rows: list[dict[str, Any]], folder: Path | None) -> dict[str, Any]:
    environment = provenance.environment()
    machine = {name: environment[name] for name in ("versions", "git", "hardware")}
    return {"filesystem": _filesystem(folder or Path(tempfile.gettempdir())), "steps": rows, "machine": machine}


def _filesystem(folder: Path) -> str:
    """Its type: where memory is short, or given back to a host, cells on a disk are read from it again."""
    place = folder.resolve()
    mounts = [part for part in psutil.disk_partitions(all=True) if place.is_relative_to(part.mountpoint)]
    return max(mounts, key=lambda part: len(part.mountpoint)).fstype


def growth(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Each step's time over its time at the next smaller size, beside the ratio of the sizes."""
    ratios = {}
    for step in dict.fromkeys(row["step"] for row in rows):
        of_step = [row for row in rows if row["step"] == step]
        for small, large in pairwise(of_step):
            name = f"{step}, {large['cells']} / {small['cells']} cells"
            ratios[name] = large["seconds"] / small["seconds"]
    return ratios


def render(result: dict[str, Any]) -> str:
    """The measurement as text."""
    columns = ("cells", "step", "seconds", "cells_per_second", "peak_mib")
    rows = [[row[column] for column in columns] for row in result["steps"]]
    table = tabulate(rows, ["cells", "step", "seconds", "cells/s", "peak MiB"], floatfmt=("d", "", ".1f", ".0f", ".0f"))
    parts = [f"{result['samples_per_cell']} samples a cell, on {result['filesystem']}", table]
    if "growth" in result:
        parts.append(tabulate(list(result["growth"].items()), ["time", "ratio"], floatfmt=".2f"))
    if result["steps"][-1]["step"] == build_report.__name__:
        parts.append(f"report.html has {result['steps'][-1]['result'] / 2**20:.1f} MiB")
    return "\n\n".join(parts)


def write(folder: Path, cells: int) -> int:
    """Make the cells through the store, as runs do; the number of samples."""
    samples = 0
    for number in range(cells):
        run = Results(folder).run(f"{number:012x}")
        with run.locked():
            run.write_manifest(_manifest(run.key, number))
            texts = [_sample(number, task, value) for task in TASKS for value in _omegas(number).values]
            run.append_scores(_score(sample) for sample in texts)
            del texts[len(texts) - (number % UNFINISHED == 0) :]
            run.append_samples(texts)
        samples += len(texts)
    return samples


def resume(folder: Path, cells: int) -> int:
    """Take each cell, see what it lacks, add that; the number of samples added."""
    added = 0
    for run in Results(folder).runs():
        with run.locked():
            missing = list(_missing(run))
            run.append_samples(missing)
            added += len(missing)
    return added


def summarise(folder: Path, cells: int) -> int:
    """What report.py does up to summary.csv; its number of rows."""
    return len(aggregate.summary(aggregate.tasks(aggregate.load(find_results([folder])))).to_csv().splitlines()) - 1


def write_texts(folder: Path, cells: int) -> int:
    """Make cells of an interval, whose neighbouring texts begin alike and whose verdicts flip at times."""
    for number in range(cells):
        rng, run = random.Random(number), Results(folder).run(f"{number:012x}")
        tasks = [f"Mbpp/{task}" for task in range(N_TASKS)]
        manifest = replace(
            _manifest(run.key, number),
            model=f"synthetic {number % N_MODELS}",
            anchor=ANCHORS[number // N_MODELS % len(ANCHORS)],
            benchmark="mbpp_plus",
            status="complete",
            omega=omega.to_json(omega.Interval(0.0, 0.5)),
            n_tasks=N_TASKS,
            n_anchored=N_TASKS,
            task_ids=tasks,
        )
        with run.locked():
            run.write_manifest(manifest)
            for task in tasks:
                texts = list(_parts(rng, number, task))
                run.append_samples(texts)
                run.append_scores(_flipping(rng, texts))
    return cells * N_TASKS * N_PARTS


def build_report(folder: Path, cells: int) -> int:
    """What report.py does; the bytes of its page."""
    return build.build(find_results([folder])).report.stat().st_size


def _parts(rng: random.Random, number: int, task: str) -> Iterator[Generation]:
    """About 500 characters a text, which begins as the one before it for a random number of lines."""
    edges = [0.0, *sorted(rng.uniform(0, 0.5) for _ in range(N_PARTS - 1)), 0.5]
    lines: list[str] = []
    for lo, hi in pairwise(edges):
        del lines[rng.randrange(12) :]
        while len(lines) < 12:
            lines.append(f"    total = total + numbers[{rng.randrange(50)}] * {rng.randrange(9)}\n")
        program = f"def second_largest(numbers):\n{''.join(lines)}    return total\n"
        yield replace(
            _sample(number, task, lo),
            omega_hi=hi,
            solution=program,
            raw=program,
            completion=program,
            completion_ids=[ord(letter) for letter in program[::3]],
        )


def _flipping(rng: random.Random, texts: Sequence[Generation]) -> Iterator[Score]:
    verdicts = cycle(["pass", "fail"])
    verdict = next(verdicts)
    for text in texts:
        if rng.random() < 0.1:
            verdict = next(verdicts)
        yield replace(_score(text), base_status=verdict, plus_status=verdict)


def _timed(step: Step, folder: Path, cells: int) -> tuple[float, float, int]:
    start = time.perf_counter()
    done = step(folder, cells)
    return time.perf_counter() - start, _peak_mib(), done


def _peak_mib() -> float:
    """Of this process: getrusage would count what the one that spawned it held."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _missing(run: Run) -> Iterator[Generation]:
    whole = run.manifest().omegas
    done: dict[str, list[tuple[float, float]]] = {}
    for sample in run.iter_samples(Part):
        done.setdefault(sample.task_id, []).append((sample.omega_lo, sample.omega_hi))
    for task in TASKS:
        for part in omega.remaining(whole, done.get(task, [])):
            yield from (_sample(int(run.key, 16), task, value) for value, _ in omega.bounds(part))


def _omegas(number: int) -> omega.Values:
    return OMEGAS[number % len(OMEGAS)]


def _manifest(key: str, number: int) -> Manifest:
    """A hundred cells in a row are of one model."""
    model, omegas = f"synthetic {number // 100}", omega.to_json(_omegas(number))
    return Manifest(
        key=key,
        status="running" if number % UNFINISHED == 0 else "complete",
        experiment="scale",
        model=model,
        benchmark="humaneval_plus",
        anchor="description",
        mask="per_token",
        profile="paper",
        template="deepseek_coder",
        dtype="float32",
        quantization="none",
        omega=omegas,
        n_tasks=len(TASKS),
        n_anchored=len(TASKS),
        task_ids=TASKS,
        data=Data("synthetic", "0" * 32),
        scoring=Scoring(scorer_id="synthetic", plus=True, data_md5="0" * 32),
        identity={"model": model, "anchor": "description", "omega": omegas},
    )


def _sample(number: int, task: str, value: float) -> Generation:
    program = f"def second_largest(numbers):\n    return sorted(set(numbers))[-2]  # {number} {value}\n"
    return Generation(
        task_id=task,
        solution=_PROMPT + program,
        omega_lo=value,
        omega_hi=value,
        raw=program,
        completion=program,
        prompt_text=_PROMPT,
        original_ids=list(range(100)),
        masked_ids=list(range(100)),
        masked_positions=list(range(20)),
        completion_ids=list(range(40)),
        finish_reason="stop",
        anchor_spans=[(3, 80)],
        seconds=1.5,
        batch_rows=16,
    )


def _score(sample: Generation) -> Score:
    verdict = "pass" if sample.omega_lo or sample.task_id == TASKS[0] else "fail"
    return Score(sample.task_id, solution_sha(sample.solution), verdict, verdict, "", 0.1, "synthetic")
