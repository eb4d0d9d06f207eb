"""Packed linear layers: the same numbers up to rounding, the same greedy texts."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from torch import nn

from spa.config import ModelConfig
from spa.models import identify, load, load_tokenizer
from spa.packing import PackedLinear, can_pack, pack


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_packed_model_gives_the_same_logits(architecture: str) -> None:
    model: Any = tiny.model(architecture)
    ids = torch.arange(40).reshape(4, 10)
    with torch.inference_mode():
        before = model(ids).logits
        assert can_pack(model)
        pack(model)
        after = model(ids).logits
    assert not any(type(module) is nn.Linear for module in model.modules())
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    assert torch.equal(after.argmax(-1), before.argmax(-1))


@pytest.mark.parametrize("shape", [(1, 7), (33, 7), (2, 3, 7)])
@pytest.mark.parametrize("bias", [True, False])
def test_packed_layer(shape: tuple[int, ...], bias: bool) -> None:
    linear, hidden = nn.Linear(7, 5, bias=bias), torch.randn(shape)
    with torch.inference_mode():
        torch.testing.assert_close(PackedLinear(linear)(hidden), linear(hidden))


def test_only_float32_is_packed() -> None:
    assert not can_pack(nn.Linear(2, 2).to(torch.bfloat16))


def test_a_loaded_model_is_packed(tiny_llama: Path) -> None:
    config = ModelConfig(path=str(tiny_llama))
    checkpoint = identify(config)
    tokenizer = load_tokenizer(checkpoint)
    assert isinstance(load(checkpoint, config, tokenizer, "float32", "none").model.lm_head, PackedLinear)
    assert isinstance(load(checkpoint, config, tokenizer, "bfloat16", "none").model.lm_head, nn.Linear)
