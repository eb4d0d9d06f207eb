"""A mask for each row by the model's own rule."""

from typing import Any

import pytest
import tiny
import torch
from transformers.masking_utils import (
    causal_mask_function,
    create_causal_mask,
    sliding_window_causal_mask_function,
)

from spa.decoding import forward
from spa.decoding.cache import RowCache, Window
from spa.decoding.masks import seen
from spa.errors import SpaError

SLOTS = torch.tensor([[0, 1, 2], [1, 2, 3]])
NONE_HIDDEN = torch.zeros(2, 0, dtype=torch.bool)


def test_each_query_sees_what_the_rule_says_from_its_own_place() -> None:
    assert seen(causal_mask_function, Window(0, SLOTS, 4, NONE_HIDDEN))[:, 0].int().tolist() == [
        [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]],
        [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]],
    ]
    assert seen(sliding_window_causal_mask_function(2), Window(0, SLOTS, 4, NONE_HIDDEN))[:, 0].int().tolist() == [
        [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]],
        [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]],
    ]


@pytest.mark.parametrize("longest", [2, 4, 6])
def test_hidden_slots_are_seen_by_none_but_a_query_that_sees_nothing_else(longest: int) -> None:
    hidden = torch.zeros(2, longest, dtype=torch.bool)
    hidden[0, 0] = True
    assert seen(causal_mask_function, Window(0, SLOTS, 4, hidden))[:, 0].int().tolist() == [
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0]],  # the first token would see nothing and sees itself
        [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]],
    ]


def test_a_rule_of_a_kind_of_its_own_is_refused() -> None:
    model = tiny.model("llama")
    cache = RowCache(n_layers=3, rows=2, slots=10)
    cache.window = Window(0, SLOTS, 4, NONE_HIDDEN)
    embeddings = torch.zeros(2, 3, 32)
    with pytest.raises(SpaError, match="an attention mask of its own kind"):
        create_causal_mask(
            model.config, embeddings, None, cache, and_mask_function=lambda row, head, query, key: query >= key
        )


def test_a_model_that_does_not_ask_for_its_masks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.models.llama.modeling_llama.create_causal_mask", lambda **_: None)
    model: Any = tiny.model("llama")
    with torch.inference_mode(), pytest.raises(SpaError, match="LlamaForCausalLM makes its attention masks by itself"):
        forward.prefill(model, RowCache(3, 2, 10), 0, [[1, 2], [3, 4]], [0, 0], [*NONE_HIDDEN])


def test_other_caches_get_transformers_own_masks() -> None:
    model = tiny.model("llama")
    ids = torch.tensor([[1, 2, 3]])
    whole = model(ids).logits[0, -1]
    half = model(ids[:, :2], use_cache=True)
    torch.testing.assert_close(model(ids[:, 2:], past_key_values=half.past_key_values).logits[0, -1], whole)
