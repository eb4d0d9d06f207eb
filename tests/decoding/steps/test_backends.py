"""Steps that are captured, compiled or looked ahead give the texts of plain ones; and can be captured at all."""

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from captured import Recorder, Watched
from decoded import NEW_TOKENS, compare_intervals, decode, outcome, prompts

from spa import config, omega
from spa.decoding import forward
from spa.decoding.cache import RowCache
from spa.decoding.engine import Engine
from spa.decoding.lanes import Budget, Request
from spa.decoding.sharing import ALL, Sharing
from spa.decoding.steps import backends
from spa.decoding.steps.backends import Captured, Compiled
from spa.decoding.steps.passes import Pass
from spa.decoding.steps.shapes import Shape
from spa.decoding.steps.step import Inputs, Step
from spa.decoding.stopping import NeverStop, StopStrings
from spa.errors import SpaError
from spa.method import SPA
from spa.omega import Interval, Values

GRID, INTERVAL = Values((-0.5, 0.0, 0.3, 1.0)), Interval(-0.5, 1.0)


@pytest.fixture(scope="module")
def model() -> Any:
    """One architecture: the others are beside their oracles in test_oracles."""
    return tiny.model("llama")


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Makes backend=recorded known, which stands in for CUDA graphs."""
    recorder = Recorder()
    monkeypatch.setitem(backends.BACKENDS, "recorded", lambda step: Captured(step, recorder))
    return recorder


def look_ahead(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Let engines look ahead as they do on a GPU; for each pass whether one was started behind it."""
    started: list[bool] = []
    step, new_cache = Engine._step, Engine._new_cache

    def watched(engine: Engine) -> Any:
        now = step(engine)
        started.append(engine.ahead is not None)
        return now

    def looking(engine: Engine, slots: int) -> None:
        engine.looks_ahead = engine.sharing == ALL
        new_cache(engine, slots)

    monkeypatch.setattr(Engine, "_step", watched)
    monkeypatch.setattr(Engine, "_new_cache", looking)
    return started


@pytest.mark.parametrize("omegas", [omega.PLAIN, Values((0.4,)), GRID, INTERVAL], ids=str)
@pytest.mark.parametrize("drafts", [False, True])
@pytest.mark.parametrize("ahead", [False, True])
def test_texts_of_recorded_steps(
    model: Any, omegas: Any, drafts: bool, ahead: bool, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lanes that join, end by stop strings and EOS, split, and wait."""
    settings: dict[str, Any] = {"batch_size": 3, "stop": StopStrings(("\n ", "```"))}
    expected = outcome(decode(model, omegas, prompts("per_token", 4), drafts=drafts, **settings))
    started = look_ahead(monkeypatch) if ahead else []
    found = outcome(decode(model, omegas, prompts("per_token", 4), drafts=drafts, backend="recorded", **settings))
    compare_intervals(expected, found)
    assert recorder.replayed > len(recorder.recorded) > 1
    assert any(started) == ahead


@pytest.mark.parametrize("omegas", [omega.PLAIN, GRID, INTERVAL], ids=str)
@pytest.mark.parametrize("batch_size", [1, 4])
def test_texts_with_lookahead(model: Any, omegas: Any, batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {"drafts": False, "batch_size": batch_size}
    expected = outcome(decode(model, omegas, prompts("collapsed", 4), **settings))
    started = look_ahead(monkeypatch)
    compare_intervals(expected, outcome(decode(model, omegas, prompts("collapsed", 4), **settings)))
    assert sum(started) > len(started) / 2


def test_memory_that_runs_out_while_a_pass_is_ahead(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = outcome(decode(model, INTERVAL, prompts("per_token", 4), drafts=False))
    look_ahead(monkeypatch)
    start, calls = Engine._start, itertools.count(1)

    def failing(engine: Engine, *arguments: Any) -> Any:
        if next(calls) in (4, 9, 30):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return start(engine, *arguments)

    monkeypatch.setattr(Engine, "_start", failing)
    compare_intervals(expected, outcome(decode(model, INTERVAL, prompts("per_token", 4), drafts=False, batch_size=16)))
    assert next(calls) > 30


def test_a_budget_with_lookahead(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that are thrown away are not charged."""
    original, masked = prompts("per_token", 4)[0]

    def texts() -> dict[int, list[Any]]:
        request = Request("0", original, masked, INTERVAL, NeverStop(), NEW_TOKENS)
        engine = Engine(model, tiny.EOS, tiny.detokenize, 2, budget=Budget(lanes=3, steps=60))
        found = sorted(engine.decode([request]), key=lambda part: part.omegas.lo)
        return {0: [(part.omegas, part.completion_ids, part.finish_reason) for part in found]}

    expected = texts()
    started = look_ahead(monkeypatch)
    compare_intervals(expected, texts())
    assert any(started)


def test_equal_scores_at_the_lower_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interval's lower end takes the steepest of equal scores, and a pass ahead was fed the lowest id."""
    model = tiny.model("llama")
    scored = model.forward
    table = torch.randint(-3, 3, (tiny.VOCABULARY, tiny.VOCABULARY), generator=torch.Generator().manual_seed(0)).float()

    def tied(*arguments: Any, **named: Any) -> Any:
        output = scored(*arguments, **named)
        output.logits = table[(named["input_ids"] + named["position_ids"]) % tiny.VOCABULARY]
        return output

    monkeypatch.setattr(model, "forward", tied)
    expected = outcome(decode(model, INTERVAL, prompts("collapsed", 4), drafts=False))
    look_ahead(monkeypatch)
    forgotten, forget = [], Pass.forget
    monkeypatch.setattr(Pass, "forget", lambda *arguments: forgotten.append(forget(*arguments)))
    assert outcome(decode(model, INTERVAL, prompts("collapsed", 4), drafts=False)) == expected
    assert forgotten


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Makes backend=counted known: torch.compile without its code generator; the graphs that it is given."""
    found: list[Any] = []

    def counting(graph: Any, inputs: Any) -> Any:
        found.append(graph)
        return graph.forward

    torch._dynamo.reset()
    monkeypatch.setitem(backends.BACKENDS, "counted", lambda step: Compiled(step, counting))
    yield found
    torch._dynamo.reset()


def shapes_run(monkeypatch: pytest.MonkeyPatch, backend: Any) -> list[Shape]:
    """The shape of each step that a kind of backend runs from now on."""
    run, found = backend.run, []

    def watched(self: Any, shape: Shape, inputs: Inputs) -> Any:
        found.append(shape)
        return run(self, shape, inputs)

    monkeypatch.setattr(backend, "run", watched)
    return found


def test_one_graph_for_each_shape(model: Any, graphs: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Over more than 200 steps: nothing breaks a graph, and none is compiled twice."""
    expected = outcome(decode(model, INTERVAL, prompts("per_token", 4)))
    shapes = shapes_run(monkeypatch, Compiled)
    compare_intervals(expected, outcome(decode(model, INTERVAL, prompts("per_token", 4), backend="counted")))
    assert len(shapes) > 200
    assert len(graphs) == len(set(shapes)) < 20


def outside(step: Step, shape: Shape, inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations of a step that are not the model's, views left out."""
    with Watched() as counted:

        def silent(*arguments: Any, **named: Any) -> Any:
            before = len(counted.operations)
            output = type(step.model).forward(step.model, *arguments, **named)
            del counted.operations[before:]
            return output

        monkeypatch.setattr(step.model, "forward", silent)
        step(shape, inputs)
    views = ("view", "slice", "select", "expand", "unsqueeze", "t.default", "detach", "alias", "split", "as_strided")
    return [name for name, _ in counted.operations if not any(f"aten.{view}" in name for view in views)]


@pytest.mark.parametrize("vocabulary", [97, 151_936])
@pytest.mark.parametrize("lanes", [1, 4, 64])
@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_a_step_is_few_operations_on_a_gpu(
    architecture: str, vocabulary: int, lanes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many for many lanes and tokens as for few, for each of them is started by the host.

    On the meta device, which stands for any that is not the host: a tensor of the host among the others raises.
    """
    n_rows, nothing = 2 * lanes, torch.zeros(0, dtype=torch.bool)
    with torch.device("meta"):
        model = tiny.model(architecture, vocabulary=vocabulary)
        chosen, rows, places = (torch.zeros(*size, dtype=torch.long) for size in ((n_rows,), (n_rows, 3), (lanes, 3)))
        omegas, hidden = torch.zeros(lanes, 2, dtype=torch.float64), torch.zeros(n_rows, 64, dtype=torch.bool)
    cache = RowCache(3, n_rows, 128)
    with torch.inference_mode(), Watched(prepares=True):
        logits = forward.prefill(model, cache, 0, [[1, 2, 3]] * n_rows, [0] * n_rows, [nothing] * n_rows)
        cache.copy_rows([(row, row - 1, 3) for row in range(1, n_rows, 2)])
    assert logits.is_meta
    shape = Shape(((0, n_rows, 64),), 1, lanes, plain=False, single=False, hidden=64)
    with torch.inference_mode():
        step = Step(model, cache, SPA, None, chosen)
        names = outside(step, shape, Inputs(rows, places, omegas, hidden), monkeypatch)
    assert 10 < len(names) <= 45, names


def test_names_of_backends_are_those_of_the_config() -> None:
    assert list(config.BACKENDS) == ["auto", *backends.BACKENDS]


def test_auto_is_a_graph_where_a_gpu_can_replay_the_model() -> None:
    model = SimpleNamespace(device=torch.device("cuda"))
    assert backends.resolve("auto", model, ALL) == "graph"
    assert backends.resolve("auto", tiny.model("llama"), ALL) == "eager"
    assert backends.resolve("compile", tiny.model("llama"), ALL) == "compile"
    for fact in ({"is_loaded_in_8bit": True}, {"hf_device_map": {"first": 0, "second": 1}}):
        refused = SimpleNamespace(device=torch.device("cuda"), **fact)
        assert backends.resolve("auto", refused, ALL) == "eager"
        with pytest.raises(SpaError, match="backend=graph cannot run this model: "):
            backends.resolve("graph", refused, ALL)
    for sharing in (Sharing(alike_beyond=256), Sharing(alone=True)):
        assert backends.resolve("auto", model, sharing) == "eager"
    with pytest.raises(SpaError, match="backend=graph needs an NVIDIA GPU"):
        backends.resolve("graph", tiny.model("llama"), ALL)


def test_what_cannot_be_captured_runs_step_by_step(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny.model("llama")
    forward = model.forward

    def asking(*arguments: Any, **named: Any) -> Any:
        output = forward(*arguments, **named)
        assert output.logits.sum().item() != 0
        return output

    expected = outcome(decode(model, GRID, prompts("per_token", 4)))
    monkeypatch.setattr(model, "forward", asking)
    assert outcome(decode(model, GRID, prompts("per_token", 4), backend="recorded")) == expected
    assert caplog.text.count("a step of this model cannot be captured") == 1
    assert not recorder.recorded


def test_attention_is_never_cudnns(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.model("llama")
    forward, seen = model.forward, set()

    def watched(*arguments: Any, **named: Any) -> Any:
        seen.add(torch.backends.cuda.cudnn_sdp_enabled())
        return forward(*arguments, **named)

    monkeypatch.setattr(model, "forward", watched)
    assert torch.backends.cuda.cudnn_sdp_enabled()
    decode(model, omega.PLAIN, prompts("per_token", 4))
    assert seen == {False}
    assert torch.backends.cuda.cudnn_sdp_enabled()
