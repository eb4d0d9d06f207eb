"""A GGUF file read tensor by tensor gives what transformers' own loading gives."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GgufConfig, LlamaForCausalLM

from spa.config import load_model_config
from spa.models import checkpoints, gguf
from spa.models.checkpoints import Checkpoint


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return checkpoints.identify(load_model_config("smollm2_135m"))


@pytest.fixture(scope="module")
def theirs(checkpoint: Checkpoint) -> Any:
    return AutoModelForCausalLM.from_pretrained(
        checkpoint.location,
        gguf_file=checkpoint.gguf_file,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
    )


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_all_of_a_model_is_as_transformers_loads_it(checkpoint: Checkpoint, theirs: Any, dtype: str) -> None:
    config = load_model_config("smollm2_135m")
    tokenizer = checkpoints.load_tokenizer(checkpoint)
    ours = checkpoints.load(checkpoint, config, tokenizer, dtype, "none", own_kernels=False).model
    found, expected = ours.state_dict(), theirs.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name].to(getattr(torch, dtype))) for name in found)
    assert ours.lm_head.weight is ours.model.embed_tokens.weight
    assert torch.equal(ours.model.rotary_emb.inv_freq, theirs.model.rotary_emb.inv_freq)
    assert ours.generation_config.to_dict() == theirs.generation_config.to_dict()


@pytest.mark.slow
def test_a_weight_is_read_when_it_is_asked_for(checkpoint: Checkpoint, theirs: Any) -> None:
    with torch.device("meta"):
        outline = LlamaForCausalLM(theirs.config)
    weights = gguf.state_dict(Path(checkpoint.location) / str(checkpoint.gguf_file), outline)
    assert weights
    assert set(weights) == {name for name, _ in theirs.named_parameters()}
    for name in ("model.layers.3.self_attn.q_proj.weight", "model.norm.weight"):
        assert torch.equal(weights[name][...], theirs.state_dict()[name])


@pytest.mark.slow
def test_architectures_that_nobody_compared_are_left_to_transformers(
    checkpoint: Checkpoint, theirs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf, "ARCHITECTURES", ())
    config = load_model_config("smollm2_135m")
    tokenizer = checkpoints.load_tokenizer(checkpoint)
    ours = checkpoints.load(checkpoint, config, tokenizer, "float32", "none", own_kernels=False).model
    assert all(torch.equal(ours.state_dict()[name], weight) for name, weight in theirs.state_dict().items())
