"""What cells cost before they run: tasks, tokens, hours and memory of each model.

Hours come from a rate that `make bench` measured for the model's shape on that device, where results/bench/ holds one.
Otherwise they are an estimate by a roofline: a step takes as long as reading the weights and the cache, or as long as
its operations, whichever is longer, plus the time in which its kernels are started. Real runs take longer than that.

Quantized weights of bitsandbytes save memory and no time. Reading them is quicker by the roofline, but int8 starts more
kernels in every linear layer and twice waits for the GPU to say whether there are outliers (bitsandbytes 0.50.2,
backends/cuda/ops.py), and nf4 writes its weights out in 16 bits before it multiplies. int8 was reported to take about
five times as long as 16 bits (bitsandbytes issues 347 and 490, of older versions). So a quantized cell is never priced
below the same one in bfloat16.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tabulate import tabulate

from spa import omega
from spa.config import LOADING, MOST_LANES, QUANTIZED_BYTES, Cell, load_model_config, shipped
from spa.results import speed
from spa.schema import DeviceConfig, ShapeConfig
from spa.tasks import benchmarks, prompts

BENCH = shipped("results/bench")

# Of the four tokenizers on prompts and canonical solutions of HumanEval+ and MBPP+: 2.5 to 3.3.
CHARACTERS_PER_TOKEN = 2.8
# Lane-steps of [0, 0.5] over those of omega 0 alone: SmolLM2-135M on HumanEval. A 0.5B code model had 1.9.
SPLITTING, SPLITTING_WIDTH = 6.3, 0.5
PROMPT_TOKENS = 512  # nearly all prompts are shorter
HOST_GIB = 16  # main memory beside the weights
HEADROOM_GIB = 6.0  # CUDA's context, activations, fragments
GIB = 2.0**30

LAYER_KERNELS = 40  # those of a layer in 16 bits, whose start takes conf/device's seconds_per_layer
# What a linear layer of int8 adds where its input has outliers, each about as long as a kernel's start: 15 kernels
# (magnitudes, comparison, which columns, quantization, their own product, scales) and 2 stops.
INT8_STARTS = 17
LINEARS = {"llama": 7, "codegen": 4}  # of a layer

N = TypeVar("N", int, float)


@dataclass(frozen=True)
class Price:
    """One cell, or the sum over several cells of one model."""

    model: str
    cells: int
    tasks: int
    prompt_tokens: int
    generated_tokens: int  # expected, over all of the omega set
    most_tokens: int | None  # if every text went to its limit; None: an interval without max_lanes_per_task
    hours: float | None  # None: the model's shape is unknown
    memory_gib: float | None
    host_gib: int  # of a job that uses a GPU
    gpus: int
    rate: str  # where hours come from


def price(cell: Cell, bench: Path = BENCH) -> Price:
    """One cell. Loads the benchmark, no model."""
    template = prompts.load_template(cell.template, cell.model.kind)
    benchmark = benchmarks.load(cell.benchmark)
    problems = benchmarks.select(benchmark, cell.limit, cell.task_ids)
    frame = template.user.get(cell.benchmark.family, "{problem}")
    asked = [tokens(frame.format(problem=problem.prompt)) for problem in problems]
    code = [problem.canonical_solution for problem in problems]
    echo = [problem.prompt if cell.model.kind == "chat" else "" for problem in problems]
    answers = [min(tokens(a + b), cell.max_new_tokens) for a, b in zip(echo, code, strict=True)]
    generated = round(sum(answers) * splitting(cell.omegas))
    measured = measured_rate(cell, bench)
    if measured:
        hours, rate = generated / measured / 3600, "measured"
    elif _known(cell):
        hours, rate = roofline(cell, sum(asked), generated) / 3600, "estimate"
    else:
        hours, rate = None, "unknown: no model.shape"
    return Price(
        model=cell.model.name,
        cells=1,
        tasks=len(problems),
        prompt_tokens=sum(asked),
        generated_tokens=generated,
        most_tokens=_most(cell, len(problems)),
        hours=hours,
        memory_gib=memory_gib(cell) if _known(cell) else None,
        host_gib=host_gib(cell),
        gpus=gpus(cell),
        rate=rate,
    )


def total(prices: Iterable[Price]) -> list[Price]:
    """One price for each model, in the order of their first cells."""
    by_model: dict[str, list[Price]] = {}
    for each in prices:
        by_model.setdefault(each.model, []).append(each)
    return [_sum(name, rows) for name, rows in by_model.items()]


def tokens(text: str) -> int:
    """About how many tokens a text has."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def splitting(omegas: omega.OmegaSet) -> float:
    """About how many times the lane-steps of one omega a set takes."""
    interval = 1 + (SPLITTING - 1) * (omegas.hi - omegas.lo) / SPLITTING_WIDTH
    return interval if isinstance(omegas, omega.Interval) else min(len(omegas.values), interval)


def n_parameters(shape: ShapeConfig) -> int:
    """Weights of a model of that shape."""
    hidden, vocabulary = shape.hidden, shape.vocabulary
    codegen = shape.architecture == "codegen"
    biases = shape.intermediate + hidden if codegen else 0
    ends = 2 * hidden + vocabulary if codegen else hidden
    embeddings = vocabulary * hidden * (1 if shape.tied else 2)
    return n_quantized(shape) + shape.layers * (biases + 2 * hidden) + ends + embeddings


def n_quantized(shape: ShapeConfig) -> int:
    """Those that bitsandbytes quantizes: of the linear layers but the last, without biases."""
    hidden = shape.hidden
    if shape.architecture == "codegen":
        layer = 4 * hidden**2 + 2 * hidden * shape.intermediate
    else:
        attention = 2 * hidden**2 + 2 * hidden * hidden // shape.heads * shape.key_value_heads
        layer = attention + 3 * hidden * shape.intermediate
    return shape.layers * layer


def memory_gib(cell: Cell) -> float:
    """Weights, and the cache of a full batch of long texts; in main memory at least what loading takes."""
    needed = _weights(cell) + _lanes(cell) * _branches(cell) * _text(cell)
    if cell.device.name == "cpu":
        largest = cell.model.shape.vocabulary * cell.model.shape.hidden * _bytes(cell)
        needed = max(LOADING * _weights(cell) + largest, needed)
    return needed / GIB


def gpus(cell: Cell) -> int:
    """How many GPUs of the device a job needs; 0 on a CPU and for a stand-in, 1 where nothing is known."""
    if cell.standin or cell.device.name == "cpu":
        return 0
    needed = memory_gib(cell) if _known(cell) else 0
    return max(1, math.ceil(needed / (cell.device.memory_gib - HEADROOM_GIB)))


def host_gib(cell: Cell) -> int:
    """Main memory of a job: 16-bit weights on their way to the GPU, lanes that wait, and what scoring needs."""
    loading = 0 if cell.standin or not _known(cell) else 2 * n_parameters(cell.model.shape) / GIB
    parked = 0 if cell.standin or cell.omegas.lo == cell.omegas.hi else cell.parked_gib
    return math.ceil(loading + parked + HOST_GIB)


def roofline(cell: Cell, prompt: int, generated: int) -> float:
    """Seconds for all prompts and texts, with lanes that are always in use; quantized, no fewer than in 16 bits."""
    if cell.quantization == "none":
        return _own_roofline(cell, prompt, generated)
    unquantized = replace(cell, quantization="none", dtype="bfloat16")
    return max(_own_roofline(each, prompt, generated) for each in (cell, unquantized))


def measured_rate(cell: Cell, bench: Path) -> float | None:
    """Tokens per second on this device, for this shape and dtype, at the nearest batch size that was measured.

    None where nothing fits. Sides without drafts count where there are no others: those of random weights.
    """
    found: list[tuple[int, float]] = []
    for _, measured in speed.read_folder(bench):
        if _fits(measured, cell):
            sides = [side for side in measured.sides if side.kind == "ours" and (side.omega == 0) == cell.is_plain]
            sides = [side for side in sides if side.quantization == cell.quantization]
            sides = [side for side in sides if side.drafts] or sides
            found += [(abs(side.batch - _lanes(cell)), side.tokens_per_second) for side in sides]
    return min(found)[1] if found else None


def render(prices: Sequence[Price], device: DeviceConfig) -> str:
    """A row for each model, their sum, and what the hours are."""
    rows = [*prices, _sum("all", prices)] if len(prices) > 1 else list(prices)
    unit = "CPU" if device.name == "cpu" else "GPU"
    headers = ["model", "cells", "tasks", "prompt tokens", "generated", "at most", f"{unit} hours", "GiB", "GPUs"]
    if device.name != "cpu":
        headers.append("host GiB")
    table = [
        [
            row.model,
            row.cells,
            row.tasks,
            f"{row.prompt_tokens:,}",
            f"{row.generated_tokens:,}",
            "no limit" if row.most_tokens is None else f"{row.most_tokens:,}",
            "?" if row.hours is None else f"{row.hours:.2f} {row.rate}",
            "?" if row.memory_gib is None else f"{row.memory_gib:.0f}",
            row.gpus,
            *([] if device.name == "cpu" else [row.host_gib]),
        ]
        for row in rows
    ]
    note = (
        f"Device: {device.name}. An estimate is a roofline, rather too low than too high; a measured rate is from "
        "results/bench/. Scoring is not included."
    )
    sides = ["left", *["right"] * (len(headers) - 1)]
    return f"{tabulate(table, headers, disable_numparse=True, colalign=sides)}\n\n{note}"


def _fits(measured: speed.Measurement, cell: Cell) -> bool:
    setting = measured.setting
    cpu = cell.device.name == "cpu"
    same_device = setting.device == "cpu" if cpu else measured.machine.processor == cell.device.name
    default = "float32" if cpu else "bfloat16"
    same_dtype = cell.quantization == "int8" or setting.dtype == (default if cell.dtype == "auto" else cell.dtype)
    same_shape = load_model_config(setting.shape or "smollm2_135m").shape == cell.model.shape
    return same_device and same_dtype and same_shape


def _own_roofline(cell: Cell, prompt: int, generated: int) -> float:
    device, shape, lanes = cell.device, cell.model.shape, _lanes(cell)
    operations = 2 * n_parameters(shape) * _branches(cell)  # of one token
    read = memory_gib(cell) * GIB
    step = max(read / device.bandwidth, operations * lanes / device.operations)
    more = LINEARS[shape.architecture or "llama"] * INT8_STARTS if cell.quantization == "int8" else 0
    starts = shape.layers * device.seconds_per_layer * (1 + more / LAYER_KERNELS)
    return operations * prompt / device.operations + generated / lanes * (step + starts)


def _known(cell: Cell) -> bool:
    return cell.model.shape.architecture is not None


def _most(cell: Cell, n_tasks: int) -> int | None:
    limits = [cell.max_lane_steps]
    omegas = cell.omegas
    texts = cell.max_lanes_per_task if isinstance(omegas, omega.Interval) else len(omegas.values)
    if texts is not None:
        limits.append(texts * cell.max_new_tokens)
    return min((n_tasks * limit for limit in limits if limit is not None), default=None)


def _lanes(cell: Cell) -> int:
    """Those in flight; with batch_size=auto what fills half of the memory that the weights leave on one GPU."""
    if cell.batch_size != "auto":
        return cell.batch_size
    if not _known(cell):
        return MOST_LANES
    free = cell.device.memory_gib * GIB - _weights(cell)
    return max(1, min(MOST_LANES, int(free / 2 / (_branches(cell) * _text(cell)))))


def _branches(cell: Cell) -> int:
    return 1 if cell.is_plain else 2


def _weights(cell: Cell) -> float:
    """Bytes; without int8's scales, four for each row of a matrix, and nf4's, four for each 64 weights."""
    quantized = n_quantized(cell.model.shape) if cell.quantization != "none" else 0
    rest = n_parameters(cell.model.shape) - quantized
    return rest * _bytes(cell) + quantized * QUANTIZED_BYTES.get(cell.quantization, 0)


def _bytes(cell: Cell) -> float:
    """Of a weight that is not quantized, a key or a value; int8 computes in float16 everywhere."""
    full = cell.dtype == "float32" or (cell.dtype == "auto" and cell.device.name == "cpu")
    return 4.0 if full and cell.quantization != "int8" else 2.0


def _text(cell: Cell) -> float:
    """Bytes of the keys and values of one long text."""
    shape = cell.model.shape
    state = 2 * shape.layers * shape.hidden // shape.heads * shape.key_value_heads * _bytes(cell)
    return (PROMPT_TOKENS + cell.max_new_tokens) * state


def _sum(name: str, rows: Sequence[Price]) -> Price:
    return Price(
        model=name,
        cells=sum(row.cells for row in rows),
        tasks=sum(row.tasks for row in rows),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        generated_tokens=sum(row.generated_tokens for row in rows),
        most_tokens=_added([row.most_tokens for row in rows]),
        hours=_added([row.hours for row in rows]),
        memory_gib=max((row.memory_gib for row in rows if row.memory_gib is not None), default=None),
        host_gib=max(row.host_gib for row in rows),
        gpus=max(row.gpus for row in rows),
        rate=", ".join(dict.fromkeys(row.rate for row in rows)),
    )


def _added(numbers: Sequence[N | None]) -> N | None:
    known = [number for number in numbers if number is not None]
    return sum(known[1:], known[0]) if len(known) == len(numbers) else None
