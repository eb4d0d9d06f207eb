"""Finding and loading checkpoints, and one line for each that is missing or broken."""

import json
import shutil
import weakref
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from transformers import OpenAIGPTConfig, OpenAIGPTLMHeadModel

from spa.decoding.cpu import kernels
from spa.errors import SpaError
from spa.models import checkpoints
from spa.models.checkpoints import LoadedModel, identify, load, load_tokenizer, resolve_dtype
from spa.schema import ModelConfig

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folder(tiny_llama: Path, tmp_path: Path) -> Path:
    """A checkpoint to spoil."""
    return Path(shutil.copytree(tiny_llama, tmp_path / "model"))


def load_folder(path: Path, dtype: str = "float32", quantization: str = "none", **fields: Any) -> LoadedModel:
    config = ModelConfig(path=str(path), **fields)
    checkpoint = identify(config)
    return load(checkpoint, config, load_tokenizer(checkpoint), dtype, quantization)


def assert_one_line(error: SpaError, *parts: str) -> None:
    assert "\n" not in str(error)
    for part in parts:
        assert part in str(error)


# Loading


@pytest.mark.parametrize("cuda", [True, False])
def test_resolve_dtype(cuda: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert resolve_dtype("auto", "none") == ("bfloat16" if cuda else "float32")
    assert resolve_dtype("auto", "int8") == "float16"
    assert resolve_dtype("auto", "nf4") == resolve_dtype("auto", "none")
    assert resolve_dtype("bfloat16", "none") == "bfloat16"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_load(tiny_llama: Path, tiny_codegen: Path, dtype: str) -> None:
    sdpa = kernels.ATTENTION if dtype == "float32" else "sdpa"
    for path, attention in ((tiny_llama, sdpa), (tiny_codegen, "eager")):
        loaded = load_folder(path, dtype)
        assert loaded.attention == loaded.model.config._attn_implementation == attention
        assert loaded.dtype == dtype
        assert loaded.model.dtype == getattr(torch, dtype)
        assert loaded.context_length == 4096
        assert not loaded.model.training


def test_weights_are_those_of_the_checkpoint(tiny_llama: Path) -> None:
    loaded = load_folder(tiny_llama)
    original = tiny.model("llama", vocabulary=len(loaded.tokenizer), positions=4096)
    ids = torch.tensor([[1, 2, 3]], device=loaded.model.device)
    torch.testing.assert_close(loaded.model(ids).logits.cpu(), original(ids.cpu()).logits, rtol=1e-4, atol=1e-4)


def test_eos_ids_are_the_configs_else_the_generation_configs_else_the_tokenizers(folder: Path) -> None:
    assert load_folder(folder).eos_ids == (load_folder(folder).tokenizer.eos_token_id,) == (257,)
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": [2, 56]}))
    assert load_folder(folder).eos_ids == (2, 56), "as transformers' generate takes them"
    assert load_folder(folder, eos_token_ids=[3, 5]).eos_ids == (3, 5)
    path.unlink()
    config = ModelConfig(path=str(folder))
    tokenizer = tiny.tokenizer()
    tokenizer.eos_token = None
    assert load(identify(config), config, tokenizer, "float32", "none").eos_ids == ()


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_int8(architecture: str, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("bitsandbytes", reason="install the extra `quantization`")
    path = request.getfixturevalue(f"tiny_{architecture}")
    loaded = load_folder(path, "float16", "int8")
    layers = [type(module).__name__ for module in loaded.model.modules()]
    assert "Linear8bitLt" in layers
    assert loaded.model.is_loaded_in_8bit
    ids = torch.tensor([[1, 2, 3]], device=loaded.model.device)
    logits = loaded.model(ids).logits
    assert logits.isfinite().all()
    exact = load_folder(path).model(ids).logits
    assert not torch.equal(logits.float(), exact)
    assert (logits.float() - exact).abs().mean() < 0.1 * exact.abs().mean(), "near the model in full precision"


def test_quantization_without_bitsandbytes(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spa.models.checkpoints.importlib.util.find_spec", lambda name: None)
    with pytest.raises(SpaError, match=r"quantization=int8 needs bitsandbytes; run: pip install 'spa\[quantization\]'"):
        load_folder(tiny_llama, "float16", "int8")


def spoil_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "config.json").write_text("{"), "is not a valid JSON file"),
        (lambda folder: (folder / "config.json").write_text("[]"), "must be a mapping"),
        (lambda folder: (folder / "config.json").unlink(), "Unrecognized model"),
        (lambda folder: spoil_config(folder, model_type="nope"), "model type `nope`"),
        (lambda folder: spoil_config(folder, model_type="clip"), "CLIPConfig"),
        (lambda folder: spoil_config(folder, hidden_size="wide"), "hidden_size"),
        (lambda folder: spoil_config(folder, hidden_size=64), "ignore_mismatched_sizes"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no file named model.safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"12"), "header too small"),
        (lambda folder: (folder / "tokenizer.json").write_text("{"), "cannot load"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer"),
    ],
    ids=lambda value: "" if callable(value) else value,
)
def test_a_broken_checkpoint_gives_one_line(folder: Path, spoil: Any, message: str) -> None:
    spoil(folder)
    with pytest.raises(SpaError) as error:
        load_folder(folder)
    assert_one_line(error.value, f"cannot load {folder}: ", message, "; check model.path")


def test_a_broken_gguf_file_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF and nothing")
    with pytest.raises(SpaError) as error:
        load_tokenizer(identify(ModelConfig(path=str(tmp_path / "m.gguf"))))
    assert_one_line(error.value, f"cannot load {tmp_path}: ", "; check model.path")


def test_a_model_that_the_engine_would_decode_wrongly_is_refused(tmp_path: Path) -> None:
    """The positions of OpenAI's first GPT cannot be set."""
    tiny.tokenizer().save_pretrained(tmp_path)
    OpenAIGPTLMHeadModel(OpenAIGPTConfig(vocab_size=300, n_embd=16, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    with pytest.raises(SpaError, match="OpenAIGPTLMHeadModel is no causal LM that takes position_ids and a cache"):
        load_folder(tmp_path)


def test_code_of_the_checkpoints_own_is_run_only_where_that_is_allowed(folder: Path) -> None:
    code = """
from transformers import LlamaConfig, LlamaForCausalLM
class OwnConfig(LlamaConfig):
    model_type = "own"
class OwnForCausalLM(LlamaForCausalLM):
    config_class = OwnConfig
"""
    (folder / "own.py").write_text(code)
    spoil_config(
        folder, model_type="own", auto_map={"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"}
    )
    with pytest.raises(SpaError) as error:
        load_folder(folder)
    assert_one_line(error.value, f"{folder} comes with code of its own", "model.trust_remote_code=true")
    loaded = load_folder(folder, trust_remote_code=True)
    assert type(loaded.model).__name__ == "OwnForCausalLM"
    assert loaded.attention == kernels.ATTENTION


def test_a_checkpoint_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny.checkpoint(tmp_path / "model", "llama", chat=True)
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = ModelConfig(path=str(folder))
    checkpoint = identify(config)
    with pytest.raises(SpaError, match=r"lacks weights \(model\.layers\.1\.mlp\.up_proj\.weight"):
        load(checkpoint, config, load_tokenizer(checkpoint), "float32", "none")


def test_a_kept_model_is_loaded_once_and_makes_room_for_the_next(
    tiny_llama: Path, tiny_codegen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[weakref.ref[Any]] = []

    def counted(*arguments: Any) -> LoadedModel:
        assert not [model for model in alive if model()], "the one before is gone when the next is loaded"
        loaded = load(*arguments)
        alive.append(weakref.ref(loaded.model))
        return loaded

    monkeypatch.setattr(checkpoints, "load", counted)
    monkeypatch.setattr(checkpoints, "_kept", {})

    def kept(path: Path, dtype: str = "float32", **fields: Any) -> tuple[int, ...]:
        config = ModelConfig(path=str(path), **fields)
        checkpoint = identify(config)
        return checkpoints.load_kept(checkpoint, config, load_tokenizer(checkpoint), dtype, "none").eos_ids

    assert kept(tiny_llama) == (257,)
    assert kept(tiny_llama, eos_token_ids=[3]) == (3,), "what the model itself does not depend on is each cell's own"
    assert len(alive) == 1
    kept(tiny_codegen)
    kept(tiny_codegen, dtype="bfloat16")
    kept(tiny_llama)
    assert len(alive) == 4
