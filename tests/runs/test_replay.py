"""The references that stored samples are replayed with. Replays of whole results stand with the models they need."""

from pathlib import Path
from typing import Any

import pytest
import tiny
import torch

from spa.models.checkpoints import LoadedModel, identify, load, load_tokenizer
from spa.runs.replay import attention_reference, reference
from spa.schema import ModelConfig


@pytest.fixture
def loaded(tiny_llama: Path) -> LoadedModel:
    config = ModelConfig(path=str(tiny_llama), eos_token_ids=list(tiny.EOS))
    checkpoint = identify(config)
    return load(checkpoint, config, load_tokenizer(checkpoint), "float32", "none")


def by_hand(model: Any, original: list[int], masked: list[int], omega: float, n_tokens: int) -> list[int]:
    """The formula, on whole sequences without a cache, up to and with the first EOS."""
    tokens: list[int] = []
    while len(tokens) < n_tokens and not set(tokens) & set(tiny.EOS):
        a, m = (model(torch.tensor([prompt + tokens])).logits[0, -1].double() for prompt in (original, masked))
        tokens.append(int((a + omega * (a - m)).argmax()))
    return tokens


@pytest.mark.parametrize("omega", [-0.5, 0.0, 0.3, 1.5])
def test_the_reference_is_the_formula(loaded: LoadedModel, omega: float) -> None:
    original, masked = [1, 20, 30, 40, 50], [1, 20, 5, 5, 50]
    with torch.inference_mode():
        expected = by_hand(loaded.model, original, masked, omega, 12)
    assert reference(loaded, original, masked, omega, 12) == expected


def test_the_reference_may_be_asked_for_nothing(loaded: LoadedModel) -> None:
    assert reference(loaded, [1, 2], [1, 3], 0.5, 0) == []


def test_with_nothing_hidden_the_branches_are_equal(loaded: LoadedModel) -> None:
    prompt = [1, 20, 30, 40, 50]
    tokens = reference(loaded, prompt, prompt, 0.0, 8)
    assert attention_reference(loaded, prompt, [], 0.7, tokens)[: len(tokens)] == tokens
