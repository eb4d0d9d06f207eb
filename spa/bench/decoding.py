"""Decoding speed of several sides on the same work: one process a side, interleaved rounds, medians, ratios.

Every side gets the same prompts, model, dtype, threads and kernels, and generates for each task exactly as many tokens
as the task's own text has (its natural length, found once by our engine with the real stop rule). The sides that split,
a grid and an interval, run with the stop rule itself, beside one omega that does so too, all with the lanes that
`batch_size=auto` gives where memory allows. Two sides also run with the kernels that torch brings, as their users get
them. Sides that take long do the two tasks of about average length.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from typing import Any

import torch
from tabulate import tabulate
from tqdm import tqdm

from spa.bench.decoding_worker import GRID, INTERVAL, Setting, Side
from spa.config import MOST_LANES
from spa.errors import SpaError
from spa.results import provenance

FEW = 2


def sides(setting: Setting) -> list[Side]:
    """The comparison that `make bench` makes."""
    return [
        Side("generate, torch's kernels", "generate", setting.tasks, omega=0, own_kernels=False),
        Side("generate", "generate", 16, omega=0),
        Side("generate", "generate", setting.tasks, omega=0),
        Side("ours, plain", "ours", 4, omega=0),
        Side("ours, plain", "ours", 16, omega=0),
        Side("ours, SPA", "ours", 1, tasks=FEW),
        Side("ours, SPA", "ours", 4),
        Side("ours, SPA", "ours", 16),
        Side("ours, SPA", "ours", 64),
        Side("guidance", "guidance", 1, tasks=FEW),
        Side("anchoring package", "package", 1, tasks=FEW),
        Side("anchoring package, torch's kernels", "package", 1, tasks=FEW, own_kernels=False),
        Side("ours, one omega, natural end", "natural", MOST_LANES),
        Side("ours, grid of 11", "natural", MOST_LANES, omega=GRID),
        Side(f"ours, interval {INTERVAL}", "natural", MOST_LANES, omega=INTERVAL),
    ]


def compare(setting: Setting, rounds: int) -> dict[str, Any]:
    """`sides`, and what they are in proportion to each other."""
    result = measure(setting, sides(setting), rounds)
    return result | {"ratios": ratios(result["sides"])}


def measure(setting: Setting, chosen: Sequence[Side], rounds: int) -> dict[str, Any]:
    """Let every side work `rounds` times, in turn, each in a process of its own; medians.

    An interrupt ends it with the rounds that are complete.
    """
    measured: list[list[dict[str, float]]] = [[] for _ in chosen]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        first = Worker(setting, Side("preparation", "ours", 16, own_kernels=False))
        lengths = first.ask(f"prepare {folder}")["lengths"]
        first.close()
        setting = replace(setting, folder=folder, lengths=tuple(lengths))
        workers = [stack.enter_context(closing(Worker(setting, side))) for side in tqdm(chosen, desc="loading")]
        try:
            with tqdm(total=rounds * len(chosen), desc="measuring") as bar:
                for _ in range(rounds):
                    for worker, runs in zip(workers, measured, strict=True):
                        runs.append(worker.ask("run"))
                        bar.update()
        except KeyboardInterrupt:
            rounds = len(measured[-1])
            if not rounds:
                raise
    rows = []
    for side, runs in zip(chosen, (runs[:rounds] for runs in measured), strict=True):
        seconds = statistics.median(run["seconds"] for run in runs)
        tokens = runs[0]["tokens"]
        rows.append(
            {
                **asdict(side),
                "seconds": seconds,
                "rounds": [run["seconds"] for run in runs],
                "tokens": tokens,
                "tokens_per_second": tokens / seconds,
                "peak_mib": max(run["peak_mib"] for run in runs),
            }
        )
    setting = replace(setting, folder="")
    return {"setting": asdict(setting), "rounds": rounds, "machine": machine(), "sides": rows}


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """What the comparison is for. Times over the same work, or tokens per second where a side did less of it."""

    def side(name: str, batch: int | None = None) -> dict[str, Any]:
        return next(row for row in rows if row["name"] == name and batch in (None, row["batch"]))

    plain, spa, one = side("ours, plain", 16), side("ours, SPA", 16), side("ours, one omega, natural end")
    generate = min(row["seconds"] for row in rows if row["name"] == "generate")

    def faster(name: str, batch: int = 16) -> float:
        return float(side("ours, SPA", batch)["tokens_per_second"] / side(name)["tokens_per_second"])

    return {
        "generate at its better batch / ours plain at 16, time": generate / plain["seconds"],
        "the same, generate with torch's kernels": side("generate, torch's kernels")["seconds"] / plain["seconds"],
        "SPA / plain at 4, time": side("ours, SPA", 4)["seconds"] / side("ours, plain", 4)["seconds"],
        "SPA / plain at 16, time": spa["seconds"] / plain["seconds"],
        "SPA at 1 / anchoring package, tokens per second": faster("anchoring package", 1),
        "SPA at 16 / guidance, tokens per second": faster("guidance"),
        "SPA at 16 / anchoring package, tokens per second": faster("anchoring package"),
        "the same, package with torch's kernels": faster("anchoring package, torch's kernels"),
        "grid of 11 / one omega, time": side("ours, grid of 11")["seconds"] / one["seconds"],
        "interval / one omega, time": side(f"ours, interval {INTERVAL}")["seconds"] / one["seconds"],
    }


def render(result: dict[str, Any]) -> str:
    """The measurement as text: conditions, sides, ratios."""
    setting, host = result["setting"], result["machine"]
    model = f"random weights, {setting['shape']}" if setting["shape"] else "SmolLM2-135M-Instruct"
    natural = f"natural lengths (mean {statistics.mean(setting['lengths']):.0f} tokens)"
    lengths = natural if any(row["length"] is None for row in result["sides"]) else "fixed lengths"
    conditions = (
        f"{model}, {setting['dtype']}, {setting['device']} ({host['processor']}, {setting['threads']} threads), "
        f"{setting['tasks']} HumanEval tasks, {lengths}, "
        f"medians of {result['rounds']} interleaved rounds"
    )
    columns = ("name", "batch", "tokens", "seconds", "tokens_per_second", "peak_mib")
    rows = [[row[column] for column in columns] for row in result["sides"]]
    headers = ["side", "batch", "tokens", "seconds", "tokens/s", "peak MiB"]
    table = tabulate(rows, headers, floatfmt=("", "", "d", ".1f", ".1f", ".0f"))
    return f"{conditions}\n\n{table}\n\n{tabulate(list(result['ratios'].items()), ['ratio', ''], floatfmt='.2f')}"


def machine() -> dict[str, Any]:
    """Processor, cores, GPU and versions."""
    with open("/proc/cpuinfo") as info:  # noqa: PTH123 - a virtual file
        names = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    return {
        "processor": torch.cuda.get_device_name() if torch.cuda.is_available() else (names or [platform.machine()])[0],
        "torch": torch.__version__,
        **{name: provenance.environment()[name] for name in ("versions", "git", "hardware")},
    }


class Worker:
    """A process that holds a model and does one side's work on demand."""

    def __init__(self, setting: Setting, side: Side) -> None:
        self.side = side
        threads = {"OMP_NUM_THREADS": str(setting.threads), "MKL_NUM_THREADS": str(setting.threads)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "spa.bench.decoding_worker", json.dumps([asdict(setting), asdict(side)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **threads},
            text=True,
            start_new_session=True,  # an interrupt is for the parent
        )
        self.ask("ready")

    def ask(self, question: str) -> Any:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SpaError(
                f"the process for {self.side.name} at batch {self.side.batch} ended; is there enough memory?"
            )
        return json.loads(answer)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
