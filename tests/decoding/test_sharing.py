"""Rows share a forward pass only where the model computes the same for each of them."""

from typing import Any

import pytest
import tiny
from transformers import GPTNeoConfig, Llama4TextConfig, LlamaConfig, Phi3Config

from spa.decoding.sharing import Sharing

LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "original_max_position_embeddings": 40,
    "short_factor": [1.0] * 4,
    "long_factor": [2.0] * 4,
}


def runs(sharing: Sharing, starts: list[int], lengths: list[int]) -> list[tuple[int, int]]:
    return [(run.start, run.stop) for run in sharing.runs(starts, lengths)]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (LlamaConfig(), Sharing()),
        (GPTNeoConfig(window_size=16), Sharing(alike_beyond=16)),
        (
            GPTNeoConfig(num_layers=2, attention_types=[[["global", "global"], 1]], window_size=16),
            Sharing(),
        ),
        (Llama4TextConfig(floor_scale=16, attn_temperature_tuning=True), Sharing(alike_beyond=15)),
        (Llama4TextConfig(floor_scale=16, attn_temperature_tuning=False), Sharing()),
        (
            Phi3Config(
                hidden_size=32,
                num_attention_heads=4,
                original_max_position_embeddings=40,
                pad_token_id=0,
                rope_parameters=LONGROPE,
            ),
            Sharing(switch=40),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_model_asks_for(config: Any, expected: Sharing) -> None:
    assert Sharing.of(config) == expected


def test_rows_of_most_models_share_every_pass() -> None:
    assert runs(Sharing(), [0, 3, 7], [5, 99, 12]) == [(0, 3)]
    assert runs(Sharing(), [], []) == []


def test_beyond_a_length_rows_share_what_begins_and_ends_alike() -> None:
    assert runs(Sharing(alike_beyond=16), [0, 0, 0, 0, 3], [16, 9, 17, 17, 17]) == [(0, 2), (2, 4), (4, 5)]


def test_rows_on_both_sides_of_a_switch_share_nothing() -> None:
    assert runs(Sharing(switch=40), [0, 0, 0], [40, 41, 90]) == [(0, 1), (1, 3)]


def test_a_shared_beginning_is_read_again_on_the_other_side_of_a_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read in a shorter row, or in a longer one, holds other keys."""
    from spa.decoding.cache import RowCache
    from spa.decoding.prefixes import PrefixReader

    reader = PrefixReader(tiny.model("llama"), RowCache(3, 2, 10), Sharing())
    assert reader._start(6, 6, range(50)) == 6
    reader.sharing = Sharing(switch=40)
    assert reader._start(6, 6, range(50)) == 0
    assert reader._start(6, 6, range(40)) == 6
    assert reader._start(45, 60, range(50)) == 45
