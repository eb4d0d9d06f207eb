"""Our kernels against torch's: the same numbers up to rounding, the same greedy texts."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import nn
from transformers import GenerationConfig
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from spa.decoding.cpu import kernels
from spa.decoding.cpu.kernels import PackedLinear
from spa.models.checkpoints import identify, load, load_tokenizer
from spa.schema import ModelConfig


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_a_model_gives_the_same_logits_and_texts(architecture: str) -> None:
    model: Any = tiny.model(architecture)
    ids = torch.arange(40).reshape(4, 10)
    padding = torch.ones_like(ids)
    padding[0, :4] = 0
    settings = GenerationConfig(max_new_tokens=12, do_sample=False, pad_token_id=0)

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        return model(ids).logits, model.generate(ids, attention_mask=padding, generation_config=settings)

    with torch.inference_mode():
        before, text_before = run()
        assert kernels.supports(model)
        kernels.install(model)
        after, text_after = run()
    assert not any(type(module) is nn.Linear for module in model.modules())
    assert torch.equal(text_before, text_after)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    assert torch.equal(after.argmax(-1), before.argmax(-1))


@pytest.mark.parametrize("shape", [(1, 7), (33, 7), (2, 3, 7)])
@pytest.mark.parametrize("bias", [True, False])
def test_packed_layer(shape: tuple[int, ...], bias: bool) -> None:
    linear, hidden = nn.Linear(7, 5, bias=bias), torch.randn(shape)
    with torch.inference_mode():
        torch.testing.assert_close(PackedLinear(linear)(hidden), linear(hidden))


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_gradients_by_the_input_are_those_of_torch(architecture: str) -> None:
    model: Any = tiny.model(architecture).requires_grad_(False)
    ids = torch.arange(10)[None]

    def gradient(length: int) -> torch.Tensor:
        embeddings = model.get_input_embeddings()(ids[:, :length]).requires_grad_()
        model(inputs_embeds=embeddings, use_cache=False).logits[0, -1].topk(5).values.sum().backward()
        assert embeddings.grad is not None
        return embeddings.grad

    before = [gradient(10), gradient(1)]
    kernels.install(model)
    torch.testing.assert_close([gradient(10), gradient(1)], before, rtol=1e-4, atol=1e-5)


def stored(order: tuple[int, ...]) -> torch.Tensor:
    """Random [6, 2, 20, 8], with its dimensions in another order in memory."""
    shape = torch.empty(6, 2, 20, 8).permute(order).shape
    return torch.randn(shape).permute([order.index(dimension) for dimension in range(4)])


@pytest.mark.parametrize("masking", ["none", "additive", "bool"])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 0, 2, 3), (0, 2, 1, 3), (0, 1, 3, 2)])
def test_attention_of_one_token_a_row(masking: str, groups: int, order: tuple[int, ...]) -> None:
    layer = nn.Module()
    layer.num_key_value_groups, layer.is_causal = groups, True  # type: ignore[assignment]
    query = torch.randn(4, 2 * groups, 1, 8)
    key, value = (stored(order)[1:5, :, :15] for _ in range(2))  # a view, as the cache gives
    seen = torch.rand(4, 1, 1, 15) < 0.7
    seen[..., 0] = True
    additive = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    mask = {"none": None, "additive": additive, "bool": seen}[masking]
    ours, _ = kernels.attention(layer, query, key, value, mask, scaling=0.3)
    theirs, _ = sdpa_attention_forward(layer, query, key, value, mask, scaling=0.3)
    torch.testing.assert_close(ours, theirs)


def test_only_float32_is_supported() -> None:
    assert not kernels.supports(nn.Linear(2, 2).to(torch.bfloat16))


def test_a_loaded_model_uses_them(tiny_llama: Path) -> None:
    config = ModelConfig(path=str(tiny_llama))
    checkpoint = identify(config)
    tokenizer = load_tokenizer(checkpoint)
    single = load(checkpoint, config, tokenizer, "float32", "none")
    assert isinstance(single.model.lm_head, PackedLinear)
    assert single.attention == kernels.ATTENTION
    half = load(checkpoint, config, tokenizer, "bfloat16", "none")
    assert isinstance(half.model.lm_head, nn.Linear)
    assert half.attention == "sdpa"
