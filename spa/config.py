"""One cell, checked: `resolve` makes a `Cell` of what Hydra composed, or raises a `SpaError` that names the field."""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from omegaconf import DictConfig, OmegaConf

from spa import omega
from spa.errors import SpaError
from spa.method import Method
from spa.omega import PLAIN, OmegaSet
from spa.records import EXTRACTIONS, OWN
from spa.schema import (
    AnchorConfig,
    BenchmarkConfig,
    DeviceConfig,
    MaskConfig,
    MethodConfig,
    ModelConfig,
    ProfileConfig,
    RunConfig,
)

Group = TypeVar("Group", "BenchmarkConfig", "DeviceConfig", "MethodConfig", "ModelConfig")
T = TypeVar("T")

PACKAGE = Path(__file__).resolve().parent


def shipped(folder: str) -> Path:
    """A folder of data: in the package where a wheel brought it, else beside the package, in a checkout."""
    inside = PACKAGE / "data" / folder
    return inside if inside.is_dir() else PACKAGE.parent / folder


CONF = shipped("conf")

DTYPES = ("auto", "float32", "bfloat16", "float16")
QUANTIZATIONS = ("none", "int8", "nf4")
BACKENDS = ("auto", "eager", "graph", "compile")
KINDS = ("chat", "base")
FAMILIES = ("humaneval", "mbpp")
MOST_LANES = 96  # of batch_size=auto; beyond this a CPU gains nothing and a GPU little
QUANTIZED_BYTES = {"int8": 1.0, "nf4": 0.5}  # of a weight
LOADING = 1.05  # memory of a CPU while weights are converted, over theirs, without the one that lies there twice
COUNTS = ("max_new_tokens", "max_total_tokens", "max_lanes_per_task", "max_lane_steps", "limit")
MASKS = ("per_token", "collapsed", "attention", "removed", "last_token", "text", "package")
OF_A_TOKEN = ("per_token", "collapsed")  # what is anchored becomes a mask token
EXTRACTION_OF = dict.fromkeys(("evalplus", "qwen_coder"), "evalplus")  # by template: the step that belongs to it
SANDBOXES = ("auto", "bubblewrap", "apptainer:IMAGE", "none")


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
    method: MethodConfig
    profile: ProfileConfig
    device: DeviceConfig
    experiment: str
    omegas: OmegaSet
    template: str  # never "auto"
    extraction: str  # likewise
    limit: int | None
    task_ids: list[str] | None
    batch_size: int | Literal["auto"]
    max_new_tokens: int
    max_total_tokens: int | None
    max_lanes_per_task: int | None
    max_lane_steps: int | None
    dtype: str  # "auto" where the hardware decides
    quantization: str  # never "auto"
    parked_gib: float
    backend: str
    drafts: bool
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
    def factors(self) -> Method:
        """What the method multiplies the difference between the branches by."""
        return _factors(self.method)

    @property
    def instead(self) -> str | None:
        """What is put in the anchored text's place, if anything; None also where the tokenizer is to say."""
        return (self.mask.token or self.model.mask_token) if self.mask.name in OF_A_TOKEN else self.mask.text

    def to_json(self) -> dict[str, Any]:
        """The cell as manifests keep it, in the form and order of `RunConfig`."""
        given = {
            "omegas": ("omega", omega.as_written(self.omegas)),
            "shard": ("shard", self.shard and str(self.shard)),
            "results_dir": ("results_dir", str(self.results_dir)),
        }
        return dict(given.get(name, (name, value)) for name, value in asdict(self).items())


def resolve(config: DictConfig) -> Cell:
    """Check the composed config, and replace every "auto" that needs no hardware.

    Raises SpaError that names the field; OmegaConf's own errors pass through.
    """
    if OmegaConf.is_missing(config.model, "path"):
        raise SpaError("model.path is missing; name a hub id or a local folder: model=hf model.path=...")
    run: RunConfig = OmegaConf.to_object(config)  # type: ignore[assignment]
    if run.benchmark.name == "custom" and run.benchmark.path is None:
        raise SpaError("benchmark.path is missing; name a file or a hub dataset: benchmark=custom benchmark.path=...")
    template = run.model.template if run.template == "auto" else run.template
    cell = Cell(
        **{name: value for name, value in vars(run).items() if name != "omega"}
        | {
            "model": _completed(run.model, run.profile),
            "omegas": omega.parse(run.omega),
            "template": template,
            "extraction": EXTRACTION_OF.get(template, OWN) if run.extraction == "auto" else run.extraction,
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
    if cell.mask.name not in OF_A_TOKEN and cell.mask.token is not None:
        raise SpaError(
            f"mask.token={cell.mask.token} has no meaning with mask={cell.mask.name}, which replaces no token; drop it"
        )
    if (cell.mask.name == "text") != bool((cell.mask.text or "").strip()):
        needs = "needs mask.text, the second prompt" if cell.mask.name == "text" else "takes no mask.text"
        raise SpaError(f"mask={cell.mask.name} {needs}")
    cell.factors.check(cell.omegas)
    _check_choice("dtype", cell.dtype, DTYPES)
    _check_choice("quantization", cell.quantization, QUANTIZATIONS)
    if not cell.sandbox.startswith("apptainer:"):
        _check_choice("sandbox", cell.sandbox, SANDBOXES)
    _check_choice("backend", cell.backend, BACKENDS)
    _check_choice("extraction", cell.extraction, EXTRACTIONS)
    _check_choice("template", cell.template, [path.stem for path in sorted((CONF / "templates").glob("*.yaml"))])
    counts = [(name, getattr(cell, name)) for name in COUNTS]
    counts += [(f"profile.{name}", getattr(cell.profile, name)) for name in ("max_lines", "max_newlines")]
    for name, value in counts:
        if value is not None and value < 1:
            raise SpaError(f"{name}={value} must be at least 1")
    if cell.batch_size != "auto" and not (isinstance(cell.batch_size, int) and cell.batch_size >= 1):
        raise SpaError(f"batch_size={cell.batch_size} must be at least 1, or auto")
    if not cell.parked_gib >= 0:
        raise SpaError(f"parked_gib={cell.parked_gib} must be 0 or more")
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


def find_device(name: str) -> DeviceConfig | None:
    """The one of `conf/device/` that torch names so, if any."""
    devices = (_load_group("device", path.stem, DeviceConfig) for path in sorted((CONF / "device").glob("*.yaml")))
    return next((device for device in devices if device.name == name), None)


def load_method(method: Method | str) -> Method:
    """The factors that `conf/method/<method>.yaml` sets; a `Method` is returned as it is.

    The mask and the anchor that some presets (cad, cfg) choose as well are left out. Raises SpaError where there is no
    such file, and for anything else.
    """
    if isinstance(method, Method):
        return method
    if not isinstance(method, str):
        raise SpaError(f"method is a {type(method).__name__}; give a spa.Method or the name of one in conf/method")
    return _factors(_load_group("method", method, MethodConfig))


def _factors(method: MethodConfig) -> Method:
    return Method(**{each.name: getattr(method, each.name) for each in fields(Method)})


def _load_group(group: str, name: str, schema: type[Group]) -> Group:
    known = {path.stem: path for path in sorted((CONF / group).glob("*.yaml"))}
    _check_choice(group, name, list(known))
    content: Any = OmegaConf.load(known[name])
    content = content.get(group, content)  # a preset of several groups keeps its own part there
    loaded: Group = OmegaConf.to_object(OmegaConf.merge(schema, content))  # type: ignore[assignment]
    return loaded


def usable_cores() -> int:
    """Cores that this process, or its Slurm job, may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, int(os.environ.get("SLURM_CPUS_PER_TASK", cores)))
