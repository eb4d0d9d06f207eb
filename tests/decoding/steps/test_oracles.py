"""The engine against independent decoders with every backend: here without a GPU, by `make check-gpu` on one."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
import tiny
import torch
from captured import Recorder
from decoded import by_the_package, compare_intervals, decode, generate, outcome, prompts
from transformers import LlamaConfig, LlamaForCausalLM

from spa import omega
from spa.decoding.engine import Engine
from spa.decoding.lanes import Request
from spa.decoding.steps import backends
from spa.decoding.steps.backends import Captured, Compiled
from spa.decoding.stopping import NeverStop, StopStrings
from spa.omega import Interval, Values

PLACES = [
    ("cpu", "eager"),
    ("cpu", "recorded"),
    ("cpu", "traced"),
    *(pytest.param(("cuda", backend), marks=pytest.mark.gpu) for backend in ("eager", "graph", "compile")),
]
PAIRS = prompts("per_token", 5)


@pytest.fixture(scope="module", params=PLACES, ids="-".join)
def place(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A device and a backend; without a GPU a graph is imitated, and what is compiled is traced only."""
    device, backend = request.param
    if device == "cuda" and not torch.cuda.is_available():
        pytest.exit("torch sees no NVIDIA GPU here; run `make check-gpu` on a machine that has one", returncode=2)
    imitations = {
        "recorded": lambda step: Captured(step, Recorder()),
        "traced": lambda step: Compiled(step, "eager"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, imitation in imitations.items():
            patch.setitem(backends.BACKENDS, name, imitation)
        torch._dynamo.reset()
        yield device, backend
    torch._dynamo.reset()


@pytest.fixture(scope="module", params=tiny.ARCHITECTURES)
def model(request: pytest.FixtureRequest, place: tuple[str, str]) -> Any:
    return tiny.model(request.param).to(place[0])


@pytest.mark.parametrize("drafts", [False, True])
def test_plain_texts_are_those_of_generate(model: Any, place: tuple[str, str], drafts: bool) -> None:
    texts = decode(model, omega.PLAIN, PAIRS, drafts=drafts, backend=place[1])
    for number, (original, _) in enumerate(PAIRS):
        assert texts[number][0].completion_ids == generate(model, original)


@pytest.mark.parametrize("weight", [-1.0, 0.275, 1.5])
def test_guidance_of_transformers(model: Any, place: tuple[str, str], weight: float) -> None:
    texts = decode(model, Values((weight,)), PAIRS, backend=place[1])
    for number, (original, masked) in enumerate(PAIRS):
        negative = torch.tensor([masked], device=model.device)
        guided = generate(model, original, guidance_scale=1 + weight, negative_prompt_ids=negative)
        assert texts[number][0].completion_ids == guided


@pytest.mark.parametrize("weight", [-0.3, 1.5])
def test_the_authors_package(model: Any, place: tuple[str, str], weight: float) -> None:
    texts = decode(model, Values((weight,)), PAIRS, backend=place[1])
    for number, (original, masked) in enumerate(PAIRS):
        assert texts[number][0].completion_ids == by_the_package(model, original, masked, weight)


@pytest.mark.parametrize("drafts", [False, True])
def test_an_interval_is_what_single_omegas_give(model: Any, place: tuple[str, str], drafts: bool) -> None:
    """At 200 random omegas, with stop strings, and lanes that join, split and wait."""
    settings: dict[str, Any] = {"batch_size": 3, "stop": StopStrings(("\n ", "```")), "backend": place[1]}
    whole = outcome(decode(model, Interval(-0.5, 1.0), PAIRS, drafts=drafts, **settings))
    draw = random.Random(0)
    values = sorted(draw.uniform(-0.5, 1.0) for _ in range(40))
    grid = outcome(decode(model, Values(tuple(values)), PAIRS, drafts=drafts, **settings))
    compared = 0
    for number, parts in grid.items():
        for omegas, *text in parts:
            for value in omegas.values:
                part = next(p for p in whole[number] if omega.holds(p[0].lo, p[0].hi, value, 1.0))
                if min(value - part[0].lo, part[0].hi - value) > 1e-4:
                    assert [*part[1:]] == text
                compared += 1
    assert compared == 200


def test_texts_are_those_of_plain_steps(model: Any, place: tuple[str, str]) -> None:
    for omegas in (Values((0.3,)), Values((-0.5, 0.0, 0.3)), Interval(-0.2, 0.5)):
        expected = outcome(decode(model, omegas, PAIRS, drafts=False, backend="eager"))
        compare_intervals(expected, outcome(decode(model, omegas, PAIRS, backend=place[1])))


@pytest.mark.gpu
def test_in_16_bits_a_text_does_not_depend_on_its_companions() -> None:
    """With one number of rows: bit by bit, breakpoints included."""
    shape = LlamaConfig(
        vocab_size=8192, hidden_size=1024, intermediate_size=2816, num_hidden_layers=4, num_attention_heads=16
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(shape).to(device="cuda", dtype=torch.bfloat16).eval()
    draw = random.Random(0)
    pairs = [([draw.randrange(8192) for _ in range(40)], [draw.randrange(8192) for _ in range(30)]) for _ in range(24)]

    def first(companions: list[Any]) -> list[Any]:
        engine = Engine(model, (), lambda ids: "", batch_size=8, drafts=False)
        every = [pairs[0], *companions]
        requests = [Request(str(n), *pair, Interval(0.0, 0.1), NeverStop(), 40) for n, pair in enumerate(every)]
        return sorted((text.omegas.lo, text.completion_ids) for text in engine.decode(requests) if text.task_id == "0")

    assert first(pairs[1:9]) == first(pairs[9:24])
