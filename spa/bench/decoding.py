"""Decoding speed of several sides on the same work: one process a side, interleaved rounds, medians, ratios.

Every side gets the same prompts, model, dtype, threads and kernels, and generates for each task exactly as many tokens
as the task's own text has (its natural length, found once by our engine with the stop rule itself). Grid and interval
split, so their texts end by that rule; one omega runs so too, for comparison. All three use as many lanes as
`batch_size=auto` takes where memory allows. Two sides also run with the kernels that torch brings, as their users get
them. Slow sides do only the two tasks whose length is nearest to the mean.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, replace
from typing import Any

import torch
from tabulate import tabulate
from tqdm import tqdm

from spa.bench.decoding_worker import GRID, INTERVAL
from spa.config import MOST_LANES
from spa.errors import SpaError
from spa.results import provenance
from spa.results.speed import PLAIN, SPA, Machine, MeasuredSide, Measurement, Ratio, Setting, Side

FEW_TASKS = 2  # of the sides that decode one text at a time

# The names of sides; those that others read too are in `spa.results.speed`.
GENERATE, GENERATE_TORCH_KERNELS = "generate", "generate, torch's kernels"
GUIDANCE = "guidance"
PACKAGE, PACKAGE_TORCH_KERNELS = "anchoring package", "anchoring package, torch's kernels"
ONE_OMEGA, GRID_OF_11, WHOLE_INTERVAL = "ours, one omega, natural end", "ours, grid of 11", f"ours, interval {INTERVAL}"


def sides(setting: Setting) -> list[Side]:
    """The comparison that `make bench` makes."""
    return [
        Side(GENERATE_TORCH_KERNELS, "generate", setting.tasks, omega=0, own_kernels=False),
        Side(GENERATE, "generate", 16, omega=0),
        Side(GENERATE, "generate", setting.tasks, omega=0),
        Side(PLAIN, "ours", 4, omega=0),
        Side(PLAIN, "ours", 16, omega=0),
        Side(SPA, "ours", 1, tasks=FEW_TASKS),
        Side(SPA, "ours", 4),
        Side(SPA, "ours", 16),
        Side(SPA, "ours", 64),
        Side(GUIDANCE, "guidance", 1, tasks=FEW_TASKS),
        Side(PACKAGE, "package", 1, tasks=FEW_TASKS),
        Side(PACKAGE_TORCH_KERNELS, "package", 1, tasks=FEW_TASKS, own_kernels=False),
        Side(ONE_OMEGA, "natural", MOST_LANES),
        Side(GRID_OF_11, "natural", MOST_LANES, omega=GRID),
        Side(WHOLE_INTERVAL, "natural", MOST_LANES, omega=INTERVAL),
    ]


def compare(setting: Setting, rounds: int) -> Measurement:
    """`sides`, and what they are in proportion to each other."""
    setting, measured = measure(setting, sides(setting), rounds)
    return Measurement(setting, len(measured[0].rounds), machine(), tuple(measured), ratios(measured))


def measure(setting: Setting, chosen: Sequence[Side], rounds: int) -> tuple[Setting, list[MeasuredSide]]:
    """Let every side work `rounds` times, in turn, each in a process of its own; the setting with the texts' lengths.

    An interrupt ends it with the rounds that are complete.
    """
    answers: list[list[dict[str, float]]] = [[] for _ in chosen]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        with closing(Worker(setting, Side("preparation", "ours", 16, own_kernels=False))) as first:
            lengths = first.ask(f"prepare {folder}")["lengths"]
        setting = replace(setting, lengths=tuple(lengths))
        unpacked = replace(setting, folder=folder)
        workers = [stack.enter_context(closing(Worker(unpacked, side))) for side in tqdm(chosen, desc="loading")]
        try:
            with tqdm(total=rounds * len(chosen), desc="measuring") as bar:
                for _ in range(rounds):
                    for worker, found in zip(workers, answers, strict=True):
                        found.append(worker.ask("run"))
                        bar.update()
        except KeyboardInterrupt:
            rounds = len(answers[-1])
            if not rounds:
                raise
    return setting, [measured_side(side, found[:rounds]) for side, found in zip(chosen, answers, strict=True)]


def measured_side(side: Side, answers: Sequence[Mapping[str, Any]]) -> MeasuredSide:
    """A side with what its worker answered in each round."""
    seconds, tokens = [answer["seconds"] for answer in answers], answers[0]["tokens"]
    return MeasuredSide(
        **asdict(side),
        seconds=statistics.median(seconds),
        rounds=tuple(seconds),
        tokens=tokens,
        tokens_per_second=tokens / statistics.median(seconds),
        peak_mib=max(answer["peak_mib"] for answer in answers),
    )


def ratios(measured: Sequence[MeasuredSide]) -> dict[str, float]:
    """Every `Ratio` of the sides of `sides`."""

    def side(name: str, batch: int | None = None) -> MeasuredSide:
        return next(each for each in measured if each.name == name and batch in (None, each.batch))

    plain, spa, one = side(PLAIN, 16), side(SPA, 16), side(ONE_OMEGA)
    generate = min(each.seconds for each in measured if each.name == GENERATE)

    def faster(name: str, batch: int = 16) -> float:
        return side(SPA, batch).tokens_per_second / side(name).tokens_per_second

    return {
        Ratio.GENERATE: generate / plain.seconds,
        Ratio.GENERATE_TORCH_KERNELS: side(GENERATE_TORCH_KERNELS).seconds / plain.seconds,
        Ratio.SPA_AT_4: side(SPA, 4).seconds / side(PLAIN, 4).seconds,
        Ratio.SPA_AT_16: spa.seconds / plain.seconds,
        Ratio.PACKAGE_AT_1: faster(PACKAGE, 1),
        Ratio.GUIDANCE: faster(GUIDANCE),
        Ratio.PACKAGE: faster(PACKAGE),
        Ratio.PACKAGE_TORCH_KERNELS: faster(PACKAGE_TORCH_KERNELS),
        Ratio.GRID: side(GRID_OF_11).seconds / one.seconds,
        Ratio.INTERVAL: side(WHOLE_INTERVAL).seconds / one.seconds,
    }


def render(measured: Measurement) -> str:
    """The measurement as text: conditions, sides, ratios."""
    setting = measured.setting
    conditions = (
        f"{setting.model}, {setting.dtype}, "
        f"{setting.device} ({measured.machine.processor}, {setting.threads} threads), "
        f"{setting.tasks} HumanEval tasks, natural lengths (mean {statistics.mean(setting.lengths):.0f} tokens), "
        f"medians of {measured.rounds} interleaved rounds"
    )
    columns = {"side": "name", "batch": "batch", "tokens": "tokens", "seconds": "seconds"}
    columns |= {"tokens/s": "tokens_per_second", "peak MiB": "peak_mib"}
    rows = [[getattr(side, field) for field in columns.values()] for side in measured.sides]
    table = tabulate(rows, list(columns), floatfmt=("", "", "d", ".1f", ".1f", ".0f"))
    return f"{conditions}\n\n{table}\n\n{tabulate(list(measured.ratios.items()), ['ratio', ''], floatfmt='.2f')}"


def machine() -> Machine:
    """Processor, cores, GPU and versions."""
    with open("/proc/cpuinfo") as info:  # noqa: PTH123 - a virtual file
        names = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    here = provenance.environment()
    return Machine(
        processor=torch.cuda.get_device_name() if torch.cuda.is_available() else (names or [platform.machine()])[0],
        torch=str(torch.__version__),
        versions=here["versions"],
        git=here["git"],
        hardware=here["hardware"],
    )


class Worker:
    """A process that holds a model and does one side's work on demand."""

    def __init__(self, setting: Setting, side: Side) -> None:
        self.side = side
        threads = {"OMP_NUM_THREADS": str(setting.threads), "MKL_NUM_THREADS": str(setting.threads)}
        self.stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "spa.bench.decoding_worker", json.dumps([asdict(setting), asdict(side)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env={**os.environ, **threads},
            text=True,
            start_new_session=True,  # an interrupt is for the parent
        )
        try:
            self.ask("ready")
        except BaseException:
            self.close()
            raise

    def ask(self, question: str) -> Any:
        """The worker's answer. Raises SpaError with its last line of stderr where it has ended."""
        assert self.process.stdin
        assert self.process.stdout
        with suppress(BrokenPipeError):
            self.process.stdin.write(question + "\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SpaError(
                f"the process for {self.side.name} at batch {self.side.batch} ended ({self._last_line()}); "
                "is there enough memory?"
            )
        return json.loads(answer)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.stderr.close()

    def _last_line(self) -> str:
        self.stderr.seek(0)
        lines = self.stderr.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "without a word")
