"""Models that differ in what they attend to, beside transformers' own decoding."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from spa.bench import architectures
from spa.bench.architectures import attempt, decoded, ids_of, prompts
from spa.bench.tiny_models import VOCABULARY, build, model_types
from spa.decoding.cpu import kernels
from spa.decoding.engine import Engine
from spa.decoding.lanes import Request
from spa.decoding.stopping import NeverStop
from spa.omega import Values
from spa.runs.replay import attention_reference

WINDOWED = ["mistral", "starcoder2", "gemma3_text", "gpt_oss", "qwen2", "cohere2", "phi3", "llama4_text", "gpt_neo"]
OTHERS = ["deepseek_v2", "gemma3", "gemma3n_text", "doge", "bloom", "mpt", "falcon"]
REFUSED = {
    "mamba": "takes position_ids and a cache",
    "jamba": "layers of the kind linear_attention",
    "bart": "takes position_ids and a cache",
    "openai-gpt": "takes position_ids and a cache",
}


@pytest.mark.parametrize("name", [*WINDOWED, *OTHERS])
def test_texts_are_those_of_transformers(name: str) -> None:
    changes = {"alibi": True} if name == "falcon" else {}
    outcome = attempt(name, seeds=(0,), changes=changes)
    assert (outcome.verdict, outcome.note) == ("equal", "")
    assert outcome.distinct >= architectures.DISTINCT
    assert outcome.close <= 2


@pytest.mark.parametrize("window", [40, 110])
@pytest.mark.parametrize("name", ["mistral", "gemma3_text"])
def test_a_window_that_ends_within_the_text(name: str, window: int) -> None:
    outcome = attempt(name, seeds=(0,), changes={"sliding_window": window})
    assert (outcome.verdict, outcome.note) == ("equal", "")


@pytest.mark.parametrize(("name", "message"), REFUSED.items())
def test_what_is_not_served_is_refused_in_a_line(name: str, message: str) -> None:
    outcome = attempt(name, seeds=(0,))
    assert outcome.verdict == "refused"
    assert message in outcome.note
    assert "\n" not in outcome.note


def test_a_wrong_text_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from spa.decoding.sharing import Sharing

    monkeypatch.setattr(Sharing, "of", classmethod(lambda cls, config, alone=False: cls()))
    assert attempt("gpt_neo", seeds=(0,)).verdict == "wrong"
    assert attempt("phi3", seeds=(0,)).verdict == "wrong"


@pytest.mark.parametrize("name", ["deepseek_v2", "doge", "mistral", "gemma3n_text", "llama4_text"])
def test_texts_are_the_same_with_our_kernels(name: str) -> None:
    """Values of another size than keys, a mask for each head, windows, layers that share keys."""
    given, omegas = prompts(0), [-0.5, 0.0, 0.3]
    model = build(name, 0, 8.0)
    expected = decoded(model, given, omegas)
    kernels.install(model)
    assert model.config.get_text_config()._attn_implementation == kernels.ATTENTION
    assert decoded(model, given, omegas) == expected


@pytest.mark.parametrize(
    "name", ["mistral", "starcoder2", "gemma3_text", "gpt_oss", "qwen2", "cohere2", "phi3", "gemma2", "llama4_text"]
)
def test_attention_can_be_hidden_where_it_is_limited(name: str) -> None:
    """`mask=attention` beside forward passes without a cache, under masks of all positions."""
    model = build(name, 0, 8.0)
    loaded: Any = SimpleNamespace(model=model, n_tokens=VOCABULARY)
    hidden = [list(range(length // 4, length // 2)) for length in architectures.LENGTHS]
    originals = [ids_of(*each)[0] for each in prompts(0)]
    requests = [
        Request(str(number), ids, ids, Values((-0.5, 0.3)), NeverStop(), 16, places)
        for number, (ids, places) in enumerate(zip(originals, hidden, strict=True))
    ]
    n_wrong = 0
    for text in Engine(model, (), lambda ids: "a" * len(ids), batch_size=8).decode(requests):
        number = int(text.task_id)
        for omega in text.omegas.values:  # type: ignore[union-attr]
            choices = attention_reference(loaded, originals[number], hidden[number], omega, text.completion_ids)
            n_wrong += choices[:-1] != text.completion_ids
    assert n_wrong == 0


def test_what_is_kept_of_the_outcomes() -> None:
    outcome = architectures.Outcome("llama", "equal", distinct=9)
    outcome.compared["generate"] += 5
    kept = json.loads(architectures.to_json([outcome]))
    assert kept["outcomes"] == [
        {"name": "llama", "verdict": "equal", "note": "", "distinct": 9, "close": 0, "compared": {"generate": 5}}
    ]
    assert kept["lengths"] == list(architectures.LENGTHS)


def test_every_model_type_of_transformers_has_a_class() -> None:
    types: dict[str, Any] = model_types()
    assert len(types) >= 180
    assert {*WINDOWED, *OTHERS} <= types.keys()
