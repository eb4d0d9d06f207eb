"""Drafts change no text: whatever is drafted, good or bad, and whatever the lanes are."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import tiny
import torch
from decoded import NEW_TOKENS, compare_intervals, decode, outcome, prompts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import spa
from spa import omega
from spa.decoding import drafts
from spa.decoding.drafts import LONGEST, Drafts, longest
from spa.decoding.engine import Engine
from spa.decoding.lanes import Budget, Request
from spa.decoding.stopping import ClosedBlock, NeverStop, StopStrings
from spa.method import Method
from spa.omega import Interval, OmegaSet, Values, holds

SETS = [omega.PLAIN, Values((0.3,)), Values((-0.5, 0.0, 0.5, 1.0)), Interval(-0.2, 0.5)]


def test_what_stood_behind_the_same_three_tokens() -> None:
    found = Drafts([5, 1, 2, 3, 9, 8, 7, 1])
    first, second = [2], [4]
    assert found.push(first) is None  # 7 1 2 stands nowhere
    first.append(3)
    text, at = found.push(first) or ([], 0)
    assert text[at : at + 2] == [9, 8]
    for token in (6, 6, 1):
        second.append(token)
        found.push(second)
    second += [2]
    assert found.push(second) is None
    second += [3]
    text, at = found.push(second) or ([], 0)
    assert (text, at) == (first, 2)  # the latest of all places: a text of the same task
    first += [11, 12]
    assert text[at:] == [11, 12]  # which has grown


def test_the_fewer_rows_the_longer_the_drafts() -> None:
    assert [longest(rows, "cpu") for rows in (1, 2, 3, 4, 7, 8, 32)] == [LONGEST, 6, 3, 2, 1, 0, 0]
    assert longest(1, "meta") == 0


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("stop", [NeverStop(), ClosedBlock()], ids=["never", "block"])
@pytest.mark.parametrize("omegas", SETS, ids=str)
def test_texts_are_those_without_drafts(model: Any, omegas: OmegaSet, stop: Any, batch_size: int) -> None:
    for mask in ("per_token", "collapsed"):
        settings = {"batch_size": batch_size, "stop": stop}
        drafted = outcome(decode(model, omegas, prompts(mask), **settings))
        compare_intervals(outcome(decode(model, omegas, prompts(mask), drafts=False, **settings)), drafted)


class Known(Drafts):
    """Drafts that know how each text goes on, and err where they are told to."""

    texts: Sequence[Sequence[int]] = ()
    errors: frozenset[int] = frozenset()

    def push(self, tokens: list[int]) -> drafts.Place | None:
        for text in self.texts:
            if list(text[: len(tokens)]) == tokens and len(text) > len(tokens):
                told = [(token + (place in self.errors)) % tiny.VOCABULARY for place, token in enumerate(text)]
                return told, len(tokens)
        return None


def known(
    monkeypatch: pytest.MonkeyPatch, texts: Sequence[Sequence[int]], errors: frozenset[int] = frozenset()
) -> None:
    monkeypatch.setattr(Known, "texts", texts)
    monkeypatch.setattr(Known, "errors", errors)
    monkeypatch.setattr("spa.decoding.engine.Drafts", Known)


@pytest.mark.parametrize("omegas", SETS, ids=str)
def test_known_texts_take_few_passes(model: Any, omegas: OmegaSet, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = prompts("per_token")[:1]
    expected = outcome(decode(model, omegas, pair, batch_size=1, eos=(), drafts=False))
    known(monkeypatch, [part[1] for parts in expected.values() for part in parts])
    shapes = tiny.record_shapes(model, monkeypatch)
    compare_intervals(expected, outcome(decode(model, omegas, pair, batch_size=1, eos=())))
    (parts,) = expected.values()
    room = [columns - 1 - longest(rows, "cpu") for rows, columns in shapes[2:]]
    assert max(room) == 0
    assert len(shapes) < sum(len(part[1]) for part in parts) / 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12, deadline=None)
@given(st.sets(st.integers(0, NEW_TOKENS)), st.sampled_from(SETS), st.integers(1, 4))
def test_drafts_that_err_change_nothing(model: Any, errors: set[int], omegas: OmegaSet, batch_size: int) -> None:
    expected = outcome(decode(model, omegas, prompts("collapsed"), batch_size=1, drafts=False))
    with pytest.MonkeyPatch.context() as patch:
        known(patch, [part[1] for parts in expected.values() for part in parts], frozenset(errors))
        compare_intervals(expected, outcome(decode(model, omegas, prompts("collapsed"), batch_size=batch_size)))


def test_stop_strings_and_ends_within_a_draft(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = prompts("per_token")[:1]
    ((whole,),) = outcome(decode(model, omega.PLAIN, pair, eos=(), drafts=False)).values()
    known(monkeypatch, [whole[1]])
    for end in range(1, NEW_TOKENS):
        rule = StopStrings((tiny.detokenize(whole[1][end : end + 1]),))
        for ends in ({"stop": rule, "eos": ()}, {"eos": (whole[1][end],)}):
            expected = outcome(decode(model, omega.PLAIN, pair, drafts=False, **ends))
            assert outcome(decode(model, omega.PLAIN, pair, **ends)) == expected


TOKENIZER = tiny.tokenizer()
PROMPTS = ["def f(x):\n    add one\n    add one\n", "sort the list of names, the list of ages"]
ANCHORS = [["add one"], ["list"]]


@pytest.mark.parametrize(
    ("mask", "method"),
    [
        ("attention", spa.Method()),
        ("removed", Method(schedule="rise", schedule_tokens=9)),
        ("per_token", Method("probability", 0.1)),
        ("package", Method("package")),
    ],
)
def test_masks_and_methods(mask: str, method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.model("llama", vocabulary=len(TOKENIZER))
    asked = {"anchors": ANCHORS, "mask": mask, "method": method, "max_new_tokens": 24, "eos_token_ids": ()}
    for omegas in ([0.5, 2.0], 1.0, 0.0):
        texts = spa.generate(model, TOKENIZER, PROMPTS, omegas, batch_size=1, **asked)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("spa.decoding.engine.longest", lambda rows, device: 0)
            assert spa.generate(model, TOKENIZER, PROMPTS, omegas, **asked) == texts


def test_random_omegas_of_an_interval(model: Any) -> None:
    pairs = prompts("per_token")
    whole = outcome(decode(model, Interval(-1.0, 2.0), pairs))
    draw = torch.Generator().manual_seed(1)
    compared = 0
    for value in torch.rand(30, generator=draw).mul(3).sub(1).tolist():
        for number, (single,) in outcome(decode(model, Values((value,)), pairs, batch_size=1)).items():
            parts = whole[number]
            part = next(part for part in parts if holds(part[0].lo, part[0].hi, value, 2.0))
            if min(value - part[0].lo, part[0].hi - value) > 1e-4:
                compared += 1
                assert single[1:] == part[1:], (number, value)
    assert compared >= 200


@pytest.mark.parametrize("settings", [{"strict": True}, {"budget": Budget(steps=1000)}, {"drafts": False}])
def test_where_nothing_is_drafted(model: Any, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    original, masked = prompts("per_token")[0]
    known(monkeypatch, [[5] * NEW_TOKENS])
    shapes = tiny.record_shapes(model, monkeypatch)
    request = Request("0", original, masked, Values((0.3,)), NeverStop(), NEW_TOKENS)
    list(Engine(model, (), tiny.detokenize, 1, **settings).decode([request]))
    assert {columns for _, columns in shapes[2:]} == {1}


def test_memory_that_runs_out_amid_drafts(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = prompts("per_token")
    expected = outcome(decode(model, Interval(-1.0, 2.0), pairs, drafts=False))
    known(monkeypatch, [part[1] for parts in expected.values() for part in parts])
    step, calls = Engine._step, itertools.count(1)

    def failing(engine: Engine) -> Any:
        if next(calls) in (3, 7):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(engine)

    monkeypatch.setattr(Engine, "_step", failing)
    compare_intervals(expected, outcome(decode(model, Interval(-1.0, 2.0), pairs, batch_size=4)))
