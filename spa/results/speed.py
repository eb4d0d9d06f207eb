"""The benchmark of decoding speed as it lies on disk: results/bench/DEVICE-SHAPE-DTYPE.json, one measurement a file.

`make bench` writes it (`spa.bench.decoding`); the claims, the price of cells and the README read it. Other benchmarks
keep files of their own form in the same folder: what has no sides is none of speed.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from spa.errors import SpaError
from spa.results.files import write_atomically

OMEGA = 0.2  # of every side that names no other
# The names of sides that are looked up.
PLAIN = "ours, plain"
SPA = "ours, SPA"
LLAMA_CPP = "llama.cpp"  # and its kind


class Ratio(StrEnum):
    """What the benchmark is for, under the names that the file has.

    Quotients of times over the same work, or of tokens per second where a side did less of it. A file has those whose
    sides were measured.
    """

    GENERATE = "generate at its better batch / ours plain at 16, time"
    GENERATE_TORCH_KERNELS = "the same, generate with torch's kernels"
    SPA_AT_4 = "SPA / plain at 4, time"
    SPA_AT_16 = "SPA / plain at 16, time"
    PACKAGE_AT_1 = "SPA at 1 / anchoring package, tokens per second"
    GUIDANCE = "SPA at 16 / guidance, tokens per second"
    PACKAGE = "SPA at 16 / anchoring package, tokens per second"
    PACKAGE_TORCH_KERNELS = "the same, package with torch's kernels"
    GRID = "grid of 11 / one omega, time"
    INTERVAL = "interval / one omega, time"
    DRAFTS_AT_1 = "SPA at 1 / the same without drafts, tokens per second"
    DRAFTS_OF_INTERVAL = "interval without drafts / interval, time"
    INT8 = "SPA at 16 / the same in int8, tokens per second"
    LLAMA_CPP_AT_1 = "plain at 1 / llama.cpp, tokens per second"
    LLAMA_CPP = "SPA at 16 / llama.cpp with as many rows, tokens per second"


@dataclass(frozen=True)
class Setting:
    """What all sides share."""

    tasks: int
    device: str  # "cpu" or "cuda"
    shape: str | None  # None: the embedded model; else random weights of the shape of conf/model/<shape>.yaml
    dtype: str
    threads: int
    folder: str = ""  # where the embedded model lies unpacked from its GGUF, while the benchmark runs
    lengths: tuple[int, ...] = ()  # tokens to generate for each task

    @property
    def model(self) -> str:
        """For readers."""
        return f"random weights of shape {self.shape}" if self.shape else "SmolLM2-135M-Instruct"


@dataclass(frozen=True)
class Side:
    """One way to do the work."""

    name: str
    kind: str  # "ours", "natural" (ours, with the stop rule), "generate", "guidance", "package" or "llama.cpp"
    batch: int
    omega: Any = OMEGA  # a number, a list or an interval's text
    tasks: int | None = None  # so many only, those whose length is nearest to the mean
    length: int | None = None  # tokens of every text, instead of its natural length
    drafts: bool = True  # of our own sides
    own_kernels: bool = True  # spa.decoding.cpu.kernels, as `spa.models.checkpoints.load` installs them
    quantization: str = "none"  # "int8" computes in float16, whatever the setting's dtype
    lanes: int | None = None  # texts that a task may split into


@dataclass(frozen=True, kw_only=True)
class MeasuredSide(Side):
    """A side with what it took."""

    seconds: float  # median of the rounds
    rounds: tuple[float, ...]  # seconds of each
    tokens: int  # of one round
    tokens_per_second: float
    peak_mib: float
    limit: float | None = None  # tokens per second if a step only read weights and cache; None: bandwidth not known
    halvings: tuple[int, ...] = ()  # batches for which memory did not suffice; `batch` is the one that was measured


@dataclass(frozen=True)
class Machine:
    """Where it was measured, by which code."""

    processor: str  # of the GPU, where there is one
    torch: str
    versions: dict[str, str]
    git: dict[str, Any] | None
    hardware: dict[str, Any]


@dataclass(frozen=True)
class Measurement:
    """All sides of one benchmark, in interleaved rounds."""

    setting: Setting
    rounds: int
    machine: Machine
    sides: tuple[MeasuredSide, ...]
    ratios: dict[str, float]  # by `Ratio`

    def whole(self, name: str) -> dict[int, MeasuredSide]:
        """The sides of that name that did all tasks, by batch, at the batch that was meant."""
        found = [side for side in self.sides if side.name == name and not side.tasks and not side.halvings]
        return {side.batch: side for side in found}


def write(path: Path, measurement: Measurement) -> None:
    """Write a measurement, atomically."""
    write_atomically(path, json.dumps(asdict(measurement), indent=1) + "\n")


def read(path: Path) -> Measurement | None:
    """A measurement of speed; None where the file is of another benchmark. SpaError where it can be neither."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise SpaError(f"{path} is not JSON ({error}); remove it, or measure again (make bench)") from None
    if not isinstance(content, dict) or "sides" not in content:
        return None
    try:
        return msgspec.convert(content, Measurement)
    except msgspec.ValidationError as error:
        raise SpaError(
            f"{path} is no measurement of speed ({error}); remove it, or measure again (make bench)"
        ) from None


def read_folder(folder: Path) -> Iterator[tuple[Path, Measurement]]:
    """The measurements of speed in a folder, with their files."""
    for path in sorted(folder.glob("*.json")):
        if found := read(path):
            yield path, found
