"""Decoding speed of several sides on the same work: medians of several rounds, ratios.

Every side gets the same prompts, model, dtype, threads and kernels, and generates for each task exactly as many tokens
as the task's own text has (its natural length, found once by our engine with the stop rule itself). Grid and interval
split, so their texts end by that rule; one omega runs so too, for comparison. All three use as many lanes as
`batch_size=auto` takes where memory allows. Two sides also run with the kernels that torch brings, as their users get
them. Slow sides do only the two tasks whose length is nearest to the mean.

On a CPU each side has a process of its own, and the rounds are interleaved, so that noise hits all alike. A GPU has no
room for that and little noise: there one side follows the other, each in a process that ends before the next begins,
and each warms up. Random weights end no text and split without measure: texts get a fixed length and the tasks of an
interval a limit of texts, and a grid would say nothing. What such texts repeat is chance, so nothing is drafted.
"""

import importlib.util
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate
from tqdm import tqdm

from spa.bench.decoding_worker import GRID, INTERVAL
from spa.config import MOST_LANES, find_device
from spa.errors import SpaError
from spa.results import provenance
from spa.results.speed import LLAMA_CPP, PLAIN, SPA, Machine, MeasuredSide, Measurement, Ratio, Setting, Side

log = logging.getLogger(__name__)

FEW_TASKS = 2  # of the sides that decode one text at a time
SOME_TASKS = 16  # of the sides that take long on a GPU
RANDOM_LANES = 4  # texts of a task of random weights

# The names of sides; those that others read too are in `spa.results.speed`.
GENERATE, GENERATE_TORCH_KERNELS = "generate", "generate, torch's kernels"
GUIDANCE = "guidance"
PACKAGE, PACKAGE_TORCH_KERNELS = "anchoring package", "anchoring package, torch's kernels"
SPA_INT8 = f"{SPA}, int8"
SPA_BY_TOKEN, INTERVAL_BY_TOKEN = f"{SPA}, no drafts", f"ours, interval {INTERVAL}, no drafts"
ONE_OMEGA, GRID_OF_11, WHOLE_INTERVAL = "ours, one omega, natural end", "ours, grid of 11", f"ours, interval {INTERVAL}"


Answers = list[dict[str, Any]]  # of a side's process, one for each round
Which = tuple[str] | tuple[str, int]  # a side by its name, and its batch where there are several


def sides(setting: Setting) -> list[Side]:
    """The comparison that `make bench` makes, as far as it can be made there."""
    gpu = setting.device == "cuda"
    some = SOME_TASKS if gpu else None
    chosen = [
        Side(GENERATE_TORCH_KERNELS, "generate", setting.tasks, omega=0, own_kernels=False),
        Side(GENERATE, "generate", 16, omega=0),
        Side(GENERATE, "generate", setting.tasks, omega=0),
        Side(PLAIN, "ours", 1, omega=0, tasks=FEW_TASKS),
        Side(PLAIN, "ours", 4, omega=0, tasks=some),
        Side(PLAIN, "ours", 16, omega=0),
        *([Side(PLAIN, "ours", 64, omega=0)] if gpu else []),
        Side(SPA, "ours", 1, tasks=FEW_TASKS),
        Side(SPA_BY_TOKEN, "ours", 1, tasks=FEW_TASKS, drafts=False),
        Side(SPA, "ours", 4, tasks=some),
        Side(SPA, "ours", 16),
        Side(SPA, "ours", 64),
        Side(SPA_INT8, "ours", 16, tasks=some, quantization="int8"),
        Side(GUIDANCE, "guidance", 1, tasks=FEW_TASKS),
        Side(PACKAGE, "package", 1, tasks=FEW_TASKS),
        Side(PACKAGE_TORCH_KERNELS, "package", 1, tasks=FEW_TASKS, own_kernels=False),
        Side(ONE_OMEGA, "natural", MOST_LANES),
        Side(GRID_OF_11, "natural", MOST_LANES, omega=GRID),
        Side(WHOLE_INTERVAL, "natural", MOST_LANES, omega=INTERVAL),
        Side(INTERVAL_BY_TOKEN, "natural", MOST_LANES, omega=INTERVAL, drafts=False),
        Side(LLAMA_CPP, LLAMA_CPP, 1, omega=0, tasks=FEW_TASKS),
        Side(LLAMA_CPP, LLAMA_CPP, 16),
    ]
    chosen = [side for side in chosen if _can_run(side, setting)]
    if setting.shape is None:
        return chosen
    limits = {WHOLE_INTERVAL: RANDOM_LANES}
    return [
        replace(side, drafts=False, lanes=limits.get(side.name))
        for side in chosen
        if side.drafts and side.name != GRID_OF_11
    ]


def _can_run(side: Side, setting: Setting) -> bool:
    gpu = setting.device == "cuda"
    if side.kind == LLAMA_CPP:  # its file is the embedded model's
        return not gpu and setting.shape is None and importlib.util.find_spec("xllamacpp") is not None
    return not (gpu and not side.own_kernels) and (gpu or side.quantization == "none")


def compare(setting: Setting, rounds: int) -> Measurement:
    """`sides`, and what they are in proportion to each other. Raises SpaError where nothing could be measured."""
    if setting.device == "cuda" and not torch.cuda.is_available():
        raise SpaError("there is no GPU here that torch sees; measure with --device cpu")
    if setting.device == "cpu" and setting.shape is None and importlib.util.find_spec("xllamacpp") is None:
        log.warning("llama.cpp is left out, for xllamacpp is not installed; for it: pip install 'spa[dev]'")
    setting, measured = measure(setting, sides(setting), rounds, one_at_a_time=setting.device == "cuda")
    return Measurement(setting, len(measured[0].rounds), machine(), tuple(measured), ratios(measured))


def measure(
    setting: Setting, chosen: Sequence[Side], rounds: int, one_at_a_time: bool
) -> tuple[Setting, list[MeasuredSide]]:
    """Let every side work `rounds` times, in a process of its own; the setting with the texts' lengths.

    An interrupt ends it with what is complete: rounds, or sides where one follows the other.
    """
    with tempfile.TemporaryDirectory() as folder:
        with closing(Worker(setting, Side("preparation", "ours", 16, own_kernels=False))) as first:
            lengths = first.ask(f"prepare {folder}")["lengths"]
        setting = replace(setting, lengths=tuple(lengths))
        work = _one_by_one if one_at_a_time else _interleaved
        answers = work(replace(setting, folder=folder), chosen, rounds)
    bandwidth = device.bandwidth if (device := find_device(machine().processor)) else None
    return setting, [measured_side(side, found, bandwidth) for side, found in answers]


def _interleaved(setting: Setting, chosen: Sequence[Side], rounds: int) -> list[tuple[Side, Answers]]:
    """All processes at once, which take turns."""
    answers: list[Answers] = [[] for _ in chosen]
    with ExitStack() as stack:
        workers = [stack.enter_context(closing(Worker(setting, side))) for side in tqdm(chosen, desc="loading")]
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
    return [(side, found[:rounds]) for side, found in zip(chosen, answers, strict=True)]


def _one_by_one(setting: Setting, chosen: Sequence[Side], rounds: int) -> list[tuple[Side, Answers]]:
    """One process at a time; a side that fails is left out, and named."""
    done: list[tuple[Side, Answers]] = []
    try:
        for side in tqdm(chosen, desc="measuring"):
            try:
                with closing(Worker(setting, side)) as worker:
                    worker.ask("warm")
                    done.append((side, [worker.ask("run") for _ in range(rounds)]))
            except SpaError as error:
                log.warning("%s", error)
    except KeyboardInterrupt:
        log.warning("interrupted after %d of %d sides", len(done), len(chosen))
    if not done:
        raise SpaError("no side of the benchmark could be measured; the lines above say why")
    return done


def measured_side(side: Side, answers: Sequence[Mapping[str, Any]], bandwidth: float | None = None) -> MeasuredSide:
    """A side with what its worker answered in each round, at the last batch where memory did not suffice for its own.

    bandwidth: bytes per second.
    """
    last = answers[-1]
    answers = [answer for answer in answers if answer["batch"] == last["batch"]]
    seconds, tokens, reads = [answer["seconds"] for answer in answers], last["tokens"], last["bytes_per_token"]
    return MeasuredSide(
        **asdict(side) | {"batch": last["batch"]},
        seconds=statistics.median(seconds),
        rounds=tuple(seconds),
        tokens=tokens,
        tokens_per_second=tokens / statistics.median(seconds),
        peak_mib=max(answer["peak_mib"] for answer in answers),
        limit=bandwidth / reads if bandwidth and reads else None,
        halvings=tuple(last["halvings"]),
    )


def ratios(measured: Sequence[MeasuredSide]) -> dict[str, float]:
    """Every `Ratio` whose sides were measured."""

    def side(name: str, batch: int | None = None) -> MeasuredSide:
        found = [each for each in measured if each.name == name and batch in (None, each.batch)]
        return min(found, key=lambda each: each.seconds)

    def time(over: Which, under: Which) -> Callable[[], float]:
        return lambda: side(*over).seconds / side(*under).seconds

    def speed(over: Which, under: Which) -> Callable[[], float]:
        return lambda: side(*over).tokens_per_second / side(*under).tokens_per_second

    one = (ONE_OMEGA,)
    quotients = {
        Ratio.GENERATE: time((GENERATE,), (PLAIN, 16)),
        Ratio.GENERATE_TORCH_KERNELS: time((GENERATE_TORCH_KERNELS,), (PLAIN, 16)),
        Ratio.SPA_AT_4: time((SPA, 4), (PLAIN, 4)),
        Ratio.SPA_AT_16: time((SPA, 16), (PLAIN, 16)),
        Ratio.PACKAGE_AT_1: speed((SPA, 1), (PACKAGE, 1)),
        Ratio.GUIDANCE: speed((SPA, 16), (GUIDANCE, 1)),
        Ratio.PACKAGE: speed((SPA, 16), (PACKAGE, 1)),
        Ratio.PACKAGE_TORCH_KERNELS: speed((SPA, 16), (PACKAGE_TORCH_KERNELS, 1)),
        Ratio.GRID: time((GRID_OF_11,), one),
        Ratio.INTERVAL: time((WHOLE_INTERVAL,), one),
        Ratio.DRAFTS_AT_1: speed((SPA, 1), (SPA_BY_TOKEN, 1)),
        Ratio.DRAFTS_OF_INTERVAL: time((INTERVAL_BY_TOKEN,), (WHOLE_INTERVAL,)),
        Ratio.INT8: speed((SPA, 16), (SPA_INT8, 16)),
        Ratio.LLAMA_CPP_AT_1: speed((PLAIN, 1), (LLAMA_CPP, 1)),
        Ratio.LLAMA_CPP: speed((SPA, 16), (LLAMA_CPP, 16)),
    }
    found: dict[str, float] = {}
    for ratio, quotient in quotients.items():
        with suppress(ValueError):  # a side that was not measured
            found[ratio] = quotient()
    return found


def render(measured: Measurement) -> str:
    """The measurement as text: conditions, sides, ratios."""
    setting = measured.setting
    lengths = "texts of" if setting.shape else "natural lengths, in the mean"
    order = "one side after the other" if setting.device == "cuda" else "interleaved"
    conditions = (
        f"{setting.model}, {setting.dtype}, "
        f"{setting.device} ({measured.machine.processor}, {setting.threads} threads), "
        f"{setting.tasks} HumanEval tasks, {lengths} {statistics.mean(setting.lengths):.0f} tokens, "
        f"medians of {measured.rounds} rounds, {order}"
    )
    columns = {"side": "name", "batch": "batch", "tokens": "tokens", "seconds": "seconds"}
    columns |= {"tokens/s": "tokens_per_second", "limit": "limit", "peak MiB": "peak_mib", "too large": "halvings"}
    used = {
        heading: field for heading, field in columns.items() if any(getattr(side, field) for side in measured.sides)
    }
    texts = [asdict(side) | {"halvings": ", ".join(map(str, side.halvings))} for side in measured.sides]
    rows = [[text[field] for field in used.values()] for text in texts]
    formats = {"tokens": "d", "seconds": ".1f", "tokens/s": ".1f", "limit": ".1f", "peak MiB": ".0f"}
    table = tabulate(rows, list(used), floatfmt=[formats.get(heading, "") for heading in used])
    note = "\n\nlimit: tokens/s if steps only read the weights and the cache" if "limit" in used else ""
    return f"{conditions}\n\n{table}{note}\n\n{tabulate(list(measured.ratios.items()), ['ratio', ''], floatfmt='.2f')}"


def machine() -> Machine:
    """Processor, cores, GPU and versions."""
    with open("/proc/cpuinfo") as info:  # noqa: PTH123 - a virtual file
        names = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    here = provenance.environment()
    with suppress(metadata.PackageNotFoundError):
        here["versions"]["xllamacpp"] = metadata.version("xllamacpp")
    return Machine(
        processor=torch.cuda.get_device_name() if torch.cuda.is_available() else (names or [platform.machine()])[0],
        torch=str(torch.__version__),
        versions=here["versions"],
        git=here["git"],
        hardware=here["hardware"],
    )


class Process:
    """A Python process that answers lines with lines of JSON; with a folder, by the code that lies there."""

    def __init__(self, name: str, arguments: Sequence[str], threads: int, folder: Path | None = None) -> None:
        self.name = name
        environment = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        environment |= {"PYTHONPATH": str(folder)} if folder else {}
        self.stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env=os.environ | environment,
            cwd=folder,
            text=True,
            start_new_session=True,  # an interrupt is for the parent
        )
        try:
            self.ask("ready")
        except BaseException:
            self.close()
            raise

    def ask(self, question: str) -> Any:
        """The process's answer. Raises SpaError with its last line of stderr where it has ended."""
        assert self.process.stdin
        assert self.process.stdout
        with suppress(BrokenPipeError):
            self.process.stdin.write(question + "\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SpaError(f"the process for {self.name} ended ({self._last_line()}); is there enough memory?")
        return json.loads(answer)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.stderr.close()

    def _last_line(self) -> str:
        self.stderr.seek(0)
        lines = self.stderr.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "without a word")


class Worker(Process):
    """A process that holds a model and does one side's work on demand."""

    def __init__(self, setting: Setting, side: Side) -> None:
        work = json.dumps([asdict(setting), asdict(side)])
        arguments = ["-m", "spa.bench.decoding_worker", work]
        super().__init__(f"{side.name} at batch {side.batch}", arguments, setting.threads)
