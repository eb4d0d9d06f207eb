"""The engine against three independent oracles, and its own promises, on tiny random models in float32."""

import itertools
from typing import Any

import pytest
import tiny
import torch
from decoded import MASK, NEW_TOKENS, by_the_package, compare_intervals, decode, generate, outcome, prompts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spa import omega
from spa.decoding import prefixes
from spa.decoding.cache import RowCache
from spa.decoding.engine import Engine
from spa.decoding.lanes import Request
from spa.decoding.stopping import ClosedBlock, NeverStop, StopRule, TopLevelLine
from spa.errors import SpaError
from spa.omega import Interval, OmegaSet, Values

OMEGAS = (-1.0, -0.3, 0.0, 0.275, 1.5)


@pytest.mark.parametrize("mask", ["per_token", "collapsed"])
def test_zero_is_plain_generate(model: Any, mask: str) -> None:
    pairs = prompts(mask)
    texts = decode(model, omega.PLAIN, pairs)
    assert len({len(parts[0].completion_ids) for parts in texts.values()}) > 1, "texts should end at different steps"
    for number, (original, _) in enumerate(pairs):
        assert texts[number][0].completion_ids == generate(model, original)


@pytest.mark.parametrize("mask", ["per_token", "collapsed"])
@pytest.mark.parametrize("weight", [omega for omega in OMEGAS if omega])
def test_guidance_of_transformers(model: Any, mask: str, weight: float) -> None:
    pairs = prompts(mask)
    texts = decode(model, Values((weight,)), pairs)
    for number, (original, masked) in enumerate(pairs):
        guided = generate(model, original, guidance_scale=1 + weight, negative_prompt_ids=torch.tensor([masked]))
        assert texts[number][0].completion_ids == guided


@pytest.mark.parametrize("mask", ["per_token", "collapsed"])
@pytest.mark.parametrize("weight", OMEGAS[::2])
def test_the_authors_package(model: Any, mask: str, weight: float) -> None:
    pairs = prompts(mask)
    texts = decode(model, Values((weight,)), pairs)
    for number, (original, masked) in enumerate(pairs):
        assert texts[number][0].completion_ids == by_the_package(model, original, masked, weight)


@pytest.mark.parametrize("omegas", [omega.PLAIN, Values((0.3,)), Values((0.0, 0.3, 1.0)), Interval(-0.2, 0.5)])
def test_any_batch_size_equals_batch_1(model: Any, omegas: OmegaSet) -> None:
    pairs = prompts("per_token")
    alone = outcome(decode(model, omegas, pairs, batch_size=1))
    for batch_size in (2, 3, 16):
        texts = outcome(decode(model, omegas, pairs, batch_size=batch_size))
        if isinstance(omegas, Interval):
            compare_intervals(alone, texts)
        else:
            assert texts == alone


def test_strict_equals_batched(model: Any) -> None:
    pairs = prompts("collapsed")
    assert outcome(decode(model, Values((0.0, 0.5)), pairs, strict=True)) == outcome(
        decode(model, Values((0.0, 0.5)), pairs)
    )


@pytest.mark.parametrize(
    ("mask", "stop"),
    [
        ("collapsed", NeverStop()),
        ("per_token", NeverStop()),
        ("per_token", ClosedBlock()),
        ("per_token", TopLevelLine.of("f")),
        ("per_token", TopLevelLine.of(None)),
    ],
)
def test_grid_equals_single_runs(model: Any, mask: str, stop: StopRule) -> None:
    pairs, values = prompts(mask), (-0.5, 0.0, 0.1, 0.2, 0.5, 1.0)
    grid = decode(model, Values(values), pairs, stop=stop)
    for value in values:
        single = decode(model, Values((value,)), pairs, stop=stop)
        for number in range(len(pairs)):
            (part,) = [part for part in grid[number] if value in part.omegas.values]
            assert part.completion_ids == single[number][0].completion_ids
            assert part.completion == single[number][0].completion
            assert part.finish_reason == single[number][0].finish_reason


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_interval_equals_single_runs_inside(model: Any, data: st.DataObject) -> None:
    lo = data.draw(st.floats(-1, 1))
    hi = lo + data.draw(st.floats(0.05, 1))
    pairs = prompts(data.draw(st.sampled_from(["per_token", "collapsed"])), count=3)
    texts = decode(model, Interval(lo, hi), pairs)
    for number, parts in texts.items():
        assert parts[0].omegas.lo == lo
        assert parts[-1].omegas.hi == hi
        assert all(a.omegas.hi == b.omegas.lo for a, b in itertools.pairwise(parts))
        part = data.draw(st.sampled_from(parts))
        if part.omegas.hi - part.omegas.lo >= 4e-4:
            inside = data.draw(st.floats(part.omegas.lo + 1e-4, part.omegas.hi - 1e-4))
            single = decode(model, Values((inside,)), [pairs[number]])
            assert single[0][0].completion_ids == part.completion_ids


def test_cached_steps_equal_recomputation(model: Any) -> None:
    original, masked = prompts("collapsed")[0]
    (part,) = decode(model, Values((0.7,)), [(original, masked)])[0]
    tokens: list[int] = []
    while len(tokens) < NEW_TOKENS:
        a, m = (model(torch.tensor([prompt + tokens])).logits[0, -1].double() for prompt in (original, masked))
        token = int((a + 0.7 * (a - m)).argmax())
        if token in tiny.EOS:
            break
        tokens.append(token)
    assert part.completion_ids == tokens


def test_plain_lanes_run_no_masked_branch(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = tiny.record_shapes(model, monkeypatch)
    decode(model, omega.PLAIN, prompts("per_token"), batch_size=8)
    assert max(rows for rows, _ in shapes) == 8
    shapes.clear()
    decode(model, Values((0.5,)), prompts("per_token"), batch_size=8)
    assert max(rows for rows, _ in shapes) == 15  # seven tasks with two branches, one without an anchor


def test_what_prompts_share_is_read_once(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    common = list(range(40, 60))
    pairs = [([*common, task, 9, 9, 9], [*common, task, MASK, MASK, 9]) for task in (10, 11, 12)]
    expected = outcome(decode(model, Values((0.5,)), pairs, batch_size=1, strict=True))
    shapes = tiny.record_shapes(model, monkeypatch)
    assert outcome(decode(model, Values((0.5,)), pairs)) == expected
    # the common beginning, the rest of the originals, the masked ones from the first mask token on
    assert shapes[:3] == [(1, 20), (3, 4), (3, 3)]


def test_strict_reads_each_prompt_alone(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    common = list(range(40, 60))
    pairs = [([*common, task, 9, 9, 9], [*common, task, MASK, MASK, 9]) for task in (10, 11)]
    shapes = tiny.record_shapes(model, monkeypatch)
    decode(model, Values((0.5,)), pairs, strict=True)
    assert shapes[:4] == [(1, 24)] * 4
    assert set(shapes[4:]) == {(1, 1)}


def test_lanes_in_flight_never_exceed_the_batch(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = tiny.record_shapes(model, monkeypatch)
    decode(model, Interval(-1.0, 2.0), prompts("per_token"), batch_size=3)
    assert max(rows for rows, _ in shapes) <= 6


def test_seconds_sum_to_the_time_spent(model: Any) -> None:
    import time

    started = time.perf_counter()
    texts = decode(model, Values((0.0, 0.5, 1.0)), prompts("per_token"))
    elapsed = time.perf_counter() - started
    total = sum(part.seconds for parts in texts.values() for part in parts)
    assert 0.3 * elapsed < total <= elapsed


def test_passes_show_that_work_goes_on(model: Any) -> None:
    original, masked = prompts("per_token")[0]
    decoder = Engine(model, (), tiny.detokenize, drafts=False)
    request = Request("0", original, masked, omega.Values((0.3,)), NeverStop(), NEW_TOKENS)
    tokens, ended = zip(*((decoder.n_tokens, len(texts)) for texts in decoder.passes([request])), strict=True)
    assert tokens == tuple(range(1, NEW_TOKENS + 1))
    assert ended == (0,) * (NEW_TOKENS - 1) + (1,)


def test_other_errors_pass_through(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(model, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        decode(model, omega.PLAIN, prompts("per_token"))


def test_cache_writes_and_copies_rows() -> None:
    cache = RowCache(n_layers=1, rows=4, slots=10)
    layer = cache.row_layers[0]
    cache.window.slots = torch.tensor([[0, 1], [4, 5]])
    cache.window.width = 6
    states = torch.arange(2 * 3 * 2 * 4, dtype=torch.float32).reshape(2, 3, 2, 4)
    keys, values = layer.update(states, -states)
    assert keys.shape == values.shape == (2, 3, 6, 4)
    assert torch.equal(keys[0, :, :2], states[0])
    assert torch.equal(values[1, :, 4:], -states[1])
    cache.copy_rows([(1, 3, 6)])
    assert layer.keys is not None
    assert torch.equal(layer.keys[3, :, 4:6], states[1])
    assert not layer.keys[3, :, :4].any()


def test_prefill_in_groups_equals_prefill_at_once(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = prompts("collapsed")
    expected = outcome(decode(model, Values((0.5,)), pairs))
    shapes = tiny.record_shapes(model, monkeypatch)
    monkeypatch.setattr(prefixes, "PREFILL_TOKENS", 40)
    assert outcome(decode(model, Values((0.5,)), pairs)) == expected
    prefills = [shape for shape in shapes if shape[1] > 1]
    assert max(rows for rows, _ in prefills) > 1
    assert all(rows == 1 or rows * columns <= 40 for rows, columns in prefills)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_not_finite_are_an_error(model: Any, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    forward = model.forward

    def broken(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        output.logits[:] = value
        return output

    monkeypatch.setattr(model, "forward", broken)
    for omegas in (omega.PLAIN, Values((0.0, 0.5)), Interval(0.0, 0.5)):
        with pytest.raises(SpaError, match="not finite"):
            decode(model, omegas, prompts("per_token"))
