"""Budgets and memory: what is given up is named, and nothing else is lost."""

import itertools
from typing import Any

import pytest
import tiny
import torch
from decoded import NEW_TOKENS, compare_intervals, decode, outcome, prompts

from spa import omega
from spa.decoding.engine import Engine
from spa.decoding.lanes import Budget, Decoded, Request
from spa.decoding.stopping import NeverStop
from spa.errors import SpaError
from spa.omega import Interval, Values


def test_out_of_memory_halves_the_batch(
    model: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = prompts("per_token")
    expected = outcome(decode(model, Values((0.0, 0.5)), pairs))
    forward = model.forward

    def limited(*args: Any, **kwargs: Any) -> Any:
        if len(kwargs["input_ids"]) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", limited)
    decoder = Engine(model, tiny.EOS, tiny.detokenize, batch_size=8)
    requests = [
        Request(str(number), original, masked, Values((0.0, 0.5)), NeverStop(), NEW_TOKENS)
        for number, (original, masked) in enumerate(pairs)
    ]
    texts: dict[int, list[Decoded]] = {}
    for decoded in decoder.decode(requests):
        texts.setdefault(int(decoded.task_id), []).append(decoded)
    assert decoder.halvings == [8, 4]
    assert "out of memory at 8 lanes; going on with 4" in caplog.text
    texts = {number: sorted(parts, key=lambda part: part.omegas.lo) for number, parts in texts.items()}
    assert outcome(texts) == expected


@pytest.mark.parametrize("where", ["_step", "_lay_out", "_unpark"])
def test_out_of_memory_anywhere_loses_nothing(model: Any, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    pairs, grid = prompts("per_token"), Values((-0.5, 0.0, 0.5, 1.0))
    expected = outcome(decode(model, grid, pairs, batch_size=4))
    sound, calls = getattr(Engine, where), itertools.count(1)

    def failing(engine: Engine, *args: Any) -> Any:
        done = sound(engine, *args)
        if next(calls) in (5, 40):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return done

    monkeypatch.setattr(Engine, where, failing)
    assert outcome(decode(model, grid, pairs, batch_size=4)) == expected


def test_out_of_memory_with_one_lane_is_refused(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model, "forward", full)
    with pytest.raises(SpaError, match="out of memory with a single lane"):
        decode(model, omega.PLAIN, prompts("per_token"), batch_size=1)


def budgeted(model: Any, budget: Budget) -> list[Decoded]:
    """The parts of one prompt's interval, by ascending omega."""
    decoder = Engine(model, tiny.EOS, tiny.detokenize, 4, budget=budget)
    original, masked = prompts("per_token")[0]
    request = Request("0", original, masked, Interval(-1.0, 2.0), NeverStop(), NEW_TOKENS)
    return sorted(decoder.decode([request]), key=lambda part: part.omegas.lo)


def test_a_budget_gives_up_omega_0_last(model: Any) -> None:
    """Also where its part is the smallest: the others are compared with it."""
    for lanes in (1, 2, 3):
        (plain,) = [part for part in budgeted(model, Budget(lanes=lanes)) if omega.has_zero(part.omegas)]
        assert plain.finish_reason != "budget"


def test_a_budget_is_of_a_task_whatever_was_left_of_it(model: Any) -> None:
    original, masked = prompts("per_token")[0]
    gaps = [Interval(-1.0, 0.0, closed=False), Interval(0.5, 2.0)]
    requests = [Request("0", original, masked, gap, NeverStop(), NEW_TOKENS) for gap in gaps]
    free = list(Engine(model, tiny.EOS, tiny.detokenize, 4).decode(requests))
    assert len(free) > 3
    bounded = list(Engine(model, tiny.EOS, tiny.detokenize, 4, budget=Budget(lanes=3)).decode(requests))
    assert sum(part.finish_reason != "budget" for part in bounded) == 3


@pytest.mark.parametrize("budget", [Budget(lanes=3), Budget(steps=20), Budget(lanes=2, steps=35), Budget(1, 1)])
def test_a_budget_names_what_it_gives_up(model: Any, budget: Budget) -> None:
    full, parts = budgeted(model, Budget()), budgeted(model, budget)
    assert len(full) > 3
    assert parts[0].omegas.lo == -1.0
    assert parts[-1].omegas.hi == 2.0
    assert all(a.omegas.hi == b.omegas.lo for a, b in itertools.pairwise(parts))
    assert any(part.finish_reason == "budget" for part in parts)
    kept = [part for part in parts if part.finish_reason != "budget"]
    if budget.lanes is not None:
        assert len(kept) <= budget.lanes
    if budget.steps is not None:
        assert sum(len(part.completion_ids) for part in kept) <= budget.steps
    for part in kept:
        assert any(part.completion_ids == whole.completion_ids for whole in full)


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_parked_rows_keep_within_their_memory(model: Any, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interval that splits a lot: what finds no room is dropped, read again, and gives the same texts."""
    pairs, interval = prompts("per_token", 3), Interval(-1.0, 2.0)
    expected = outcome(decode(model, interval, pairs, batch_size=2))
    row_bytes = 2 * 3 * 32 * 4 * 40  # at most: keys and values, layers, hidden size, float32, tokens
    limit = rows * row_bytes
    held, reads = [], itertools.count()
    lay_out, join = Engine._lay_out, Engine._join

    def watched(engine: Engine, lanes: Any) -> None:
        lay_out(engine, lanes)
        saved = [states.nbytes for lane in engine.parked for row in lane.saved for layer in row for states in layer]
        assert engine.parking.bytes == sum(saved)
        held.append(sum(saved))

    def counted(engine: Engine, lanes: Any) -> Any:
        next(reads)
        return join(engine, lanes)

    monkeypatch.setattr(Engine, "_lay_out", watched)
    monkeypatch.setattr(Engine, "_join", counted)
    engine = Engine(model, tiny.EOS, tiny.detokenize, 2, parked_gib=limit / 2**30)
    requests = [Request(str(n), *pair, interval, NeverStop(), NEW_TOKENS) for n, pair in enumerate(pairs)]
    texts: dict[int, list[Decoded]] = {}
    for decoded in engine.decode(requests):
        texts.setdefault(int(decoded.task_id), []).append(decoded)
    found = {number: sorted(parts, key=lambda part: part.omegas.lo) for number, parts in texts.items()}
    compare_intervals(expected, outcome(found))
    assert max(held) <= limit
    assert (max(held) > 0) == (rows > 0)
    assert next(reads) > len(pairs)
    assert engine.parking.bytes == 0
