"""`mask=attention` against forward passes without a cache under an explicit mask, token for token, in float32."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from hydra import compose, initialize_config_dir

from spa.config import CONF, Cell, resolve
from spa.decoding.engine import Engine
from spa.decoding.lanes import Decoded, Request
from spa.decoding.stopping import NeverStop
from spa.errors import SpaError
from spa.omega import Interval, OmegaSet, Values
from spa.results.store import Results
from spa.runs import prepare, run_cell
from spa.runs.replay import attention_reference, replay
from spa.schema import register
from spa.tasks.prompts import load_template, renderer

NEW_TOKENS = 20
OMEGAS = (-1.0, -0.3, 0.275, 1.5)

Prompt = tuple[list[int], list[int]]  # token ids and hidden positions


@pytest.fixture(scope="module", params=tiny.ARCHITECTURES)
def model(request: pytest.FixtureRequest) -> Any:
    return tiny.model(request.param)


@pytest.fixture(scope="module")
def expected(model: Any) -> Callable[[Prompt, float], list[int]]:
    """The oracle's tokens without the EOS, each computed once."""
    known: dict[tuple[Any, ...], list[int]] = {}

    def tokens(prompt: Prompt, omega: float) -> list[int]:
        key = (*prompt[0], -1, *prompt[1], -1, omega)
        if key not in known:
            known[key] = uncached(model, *prompt, omega)
        return known[key]

    return tokens


def prompts() -> list[Prompt]:
    """Prompts that begin alike, with stretches hidden at the beginning, in the middle, at the end, everywhere."""
    draw = random.Random(0)
    common = [draw.randrange(tiny.VOCABULARY) for _ in range(6)]
    texts = [[*common, *(draw.randrange(tiny.VOCABULARY) for _ in range(draw.randint(2, 20)))] for _ in range(8)]
    hidden: list[Callable[[int], Sequence[int]]] = [
        lambda n: range(7, n - 1),
        lambda n: range(2),  # the first queries see no key
        lambda n: [1, 4, n - 2],  # one of them in what all prompts share
        lambda n: range(n),
        lambda n: [n - 1],
        lambda n: range(3, n),
        lambda n: [0],
        lambda n: [],
    ]
    return [(text, list(choose(len(text)))) for text, choose in zip(texts, hidden, strict=True)]


@torch.inference_mode()
def uncached(model: Any, ids: list[int], hidden: list[int], omega: float) -> list[int]:
    """Greedy decoding that reads everything again for each token."""
    tokens: list[int] = []
    while len(tokens) < NEW_TOKENS:
        text = torch.tensor([ids + tokens])
        mask = torch.full((1, 1, text.shape[1], text.shape[1]), torch.finfo(torch.float32).min)
        for query in range(text.shape[1]):
            keys = [key for key in range(query + 1) if key not in hidden] or [query]
            mask[0, 0, query, keys] = 0
        a = model(text).logits[0, -1].double()
        m = model(text, attention_mask=mask).logits[0, -1].double()
        token = int((a + omega * (a - m)).argmax())
        if token in tiny.EOS:
            break
        tokens.append(token)
    return tokens


def decode(
    model: Any, omegas: OmegaSet, batch_size: int = 4, strict: bool = False, engine: Engine | None = None
) -> dict[int, list[Decoded]]:
    """Each prompt's texts, by ascending omega."""
    engine = engine or Engine(model, tiny.EOS, tiny.detokenize, batch_size, strict)
    requests = [
        Request(str(number), ids, ids, omegas, NeverStop(), NEW_TOKENS, hidden)
        for number, (ids, hidden) in enumerate(prompts())
    ]
    texts: dict[int, list[Decoded]] = {}
    for decoded in engine.decode(requests):
        texts.setdefault(int(decoded.task_id), []).append(decoded)
    return {number: sorted(parts, key=lambda part: part.omegas.lo) for number, parts in texts.items()}


def choice(parts: list[Decoded], omega: float) -> list[int]:
    (part,) = [part for part in parts if isinstance(part.omegas, Values) and omega in part.omegas.values]
    return part.completion_ids


@pytest.mark.parametrize("weight", OMEGAS)
def test_one_omega(model: Any, expected: Any, weight: float) -> None:
    texts = decode(model, Values((weight,)), batch_size=3)
    for number, prompt in enumerate(prompts()):
        assert choice(texts[number], weight) == expected(prompt, weight)


@pytest.mark.parametrize(("batch_size", "strict"), [(1, False), (3, False), (16, False), (3, True)])
def test_grid(model: Any, expected: Any, batch_size: int, strict: bool) -> None:
    texts = decode(model, Values((-1.0, -0.3, 0.0, 0.275, 1.5)), batch_size, strict)
    for number, prompt in enumerate(prompts()):
        for weight in OMEGAS:
            assert choice(texts[number], weight) == expected(prompt, weight)
        assert choice(texts[number], 0.0) == expected((prompt[0], []), 0.0)


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_interval(model: Any, batch_size: int) -> None:
    texts = decode(model, Interval(-0.2, 0.8), batch_size)
    assert max(map(len, texts.values())) > 3, "the interval should split"
    draw = random.Random(batch_size)
    for number, prompt in enumerate(prompts()):
        parts = [part for part in texts[number] if part.omegas.hi - part.omegas.lo >= 4e-4]
        for part in draw.sample(parts, min(3, len(parts))):
            inside = draw.uniform(part.omegas.lo + 1e-4, part.omegas.hi - 1e-4)
            assert part.completion_ids == uncached(model, *prompt, inside)


def test_hiding_changes_texts(expected: Any) -> None:
    differing = [expected(prompt, 1.5) != expected((prompt[0], []), 1.5) for prompt in prompts()]
    assert differing[-1] is False, "nothing is hidden there"
    assert sum(differing) >= 6


def test_after_running_out_of_memory(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    values = Values((-0.3, 0.275, 1.5))
    before = {n: [(p.omegas, p.completion_ids) for p in parts] for n, parts in decode(model, values).items()}
    forward, calls = model.forward, iter(range(1000))

    def failing_once(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", failing_once)
    engine = Engine(model, tiny.EOS, tiny.detokenize, batch_size=4)
    texts = decode(model, values, engine=engine)
    assert engine.halvings == [4]
    assert {n: [(p.omegas, p.completion_ids) for p in parts] for n, parts in texts.items()} == before


def test_only_what_precedes_the_hidden_positions_is_shared(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = tiny.record_shapes(model, monkeypatch)
    ids = list(range(40, 60))
    engine = Engine(model, (), tiny.detokenize)
    tasks = [([*ids, task], [12, 15]) for task in (1, 2)]
    list(engine.decode(Request(str(i), p, p, Values((0.5,)), NeverStop(), 2, h) for i, (p, h) in enumerate(tasks)))
    # what the originals share, the rest of them, the masked ones from the first hidden position on, one step
    assert shapes == [(1, 20), (2, 1), (2, 9), (4, 1)]


# A whole run


def config(model: Path, results: Path, *overrides: str) -> Cell:
    register()
    cell = ["model=hf", f"model.path={model}", f"results_dir={results}", "limit=2", "max_new_tokens=12", "score=false"]
    with initialize_config_dir(str(CONF), version_base=None):
        return resolve(compose("config", [*cell, "reuse=false", "mask=attention", *overrides]))


@pytest.mark.parametrize("omegas", ["omega=[-1,0,5]", "omega=-1..0"])
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_a_run_and_its_replay(
    architecture: str, omegas: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = request.getfixturevalue(f"tiny_{architecture}")
    chat = [] if architecture == "llama" else ["model.kind=base", "template=completion"]
    run = run_cell.run_cell(config(path, tmp_path, omegas, *chat))
    samples = run.samples()
    for sample in samples:
        assert sample.masked_ids == sample.original_ids
        assert len(sample.masked_positions) > 0
    assert len({tuple(sample.completion_ids) for sample in samples}) > 1, "omega should matter"
    replayed = list(replay(Results(tmp_path), n_tasks=2))
    assert len(replayed) == len(samples)
    assert all(done.agrees for done in replayed)
    # a forged token, an omitted one and another omega are noticed
    forged = samples[-1]
    forged = replace(forged, completion_ids=[*forged.completion_ids[:3], 7, *forged.completion_ids[4:]])
    short = replace(samples[-1], completion_ids=samples[-1].completion_ids[:-1], finish_reason="eos")
    monkeypatch.setattr("spa.results.store.Run.samples", lambda run: [forged, short])
    assert [(done.agrees, done.same) for done in replay(Results(tmp_path), n_tasks=2)] == [
        (False, 3),
        (False, len(short.completion_ids)),
    ]


@pytest.mark.parametrize("weight", OMEGAS)
def test_replays_oracle_is_greedy_decoding(model: Any, expected: Any, weight: float) -> None:
    loaded: Any = SimpleNamespace(model=model, n_tokens=tiny.VOCABULARY)
    for prompt in prompts():
        tokens = expected(prompt, weight)
        choices = attention_reference(loaded, *prompt, weight, tokens)
        assert choices[:-1] == tokens
        assert len(tokens) == NEW_TOKENS or choices[-1] in tiny.EOS


def test_no_mask_token_is_needed(tiny_llama: Path, tmp_path: Path) -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.unk_token = None
    render = renderer(load_template("completion"), tokenizer, "humaneval", "attention", None)
    pair = render.pair("t", "abcdef", [(1, 3)])
    assert pair.original_ids == pair.masked_ids
    assert pair.hidden == pair.masked_positions == (1, 2)
    with pytest.raises(SpaError, match="no mask, unk or pad token"):
        renderer(load_template("completion"), tokenizer, "humaneval", "per_token", None)
    with pytest.raises(SpaError, match=r"mask\.token=<unk> has no meaning with mask=attention"):
        config(tiny_llama, tmp_path, "mask.token='<unk>'")


def test_the_models_mask_token_is_no_part_of_the_key(tiny_llama: Path, tmp_path: Path) -> None:
    def key(*overrides: str) -> str:
        return prepare.prepare(config(tiny_llama, tmp_path, "omega=0.3", *overrides)).run.key

    assert key() == key("model.mask_token='<pad>'")
    assert key() != key("mask=per_token")
