"""The benchmark's arithmetic, and one worker that really works."""

import re
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from spa.bench import decoding, decoding_worker
from spa.bench.decoding import Worker
from spa.errors import SpaError
from spa.results import speed
from spa.results.speed import Setting, Side
from spa.schema import ShapeConfig

SETTING = Setting(tasks=2, device="cpu", shape=None, dtype="float32", threads=1, lengths=(3, 5))


RANDOM = replace(SETTING, device="cuda", shape="deepseek_coder_6_7b", dtype="bfloat16", tasks=64)


def answer(seconds: float, batch: int = 1, **more: object) -> dict[str, Any]:
    """Of a worker after one round."""
    nothing = {"tokens": 100, "peak_mib": 1.0, "bytes_per_token": None, "halvings": []}
    return {"seconds": seconds, "batch": batch} | nothing | more


@pytest.fixture
def everything_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spa.bench.decoding.importlib.util.find_spec", lambda name: name)


@pytest.mark.usefixtures("everything_installed")
def test_ratios_by_hand(tmp_path: Path) -> None:
    seconds = [9, 6, 5, 8, 4, 2, 50, 75, 6, 3, 3, 40, 60, 90, 3, 6, 9, 18, 2, 6]
    measured = [
        decoding.measured_side(side, [answer(duration, side.batch)] * 5)
        for side, duration in zip(decoding.sides(SETTING), seconds, strict=True)
    ]
    ratios = decoding.ratios(measured)
    assert list(ratios) == [ratio for ratio in speed.Ratio if ratio != speed.Ratio.INT8]
    assert list(ratios.values()) == pytest.approx([2.5, 4.5, 1.5, 1.5, 1.2, 40 / 3, 20, 30, 2, 3, 1.5, 2, 0.25, 2])
    measurement = speed.Measurement(SETTING, 5, decoding.machine(), tuple(measured), ratios)
    text = decoding.render(measurement)
    assert "2 HumanEval tasks, natural lengths, in the mean 4 tokens, medians of 5 rounds, interleaved" in text
    assert "limit" not in text
    assert "too large" not in text
    speed.write(tmp_path / "a.json", measurement)
    assert speed.read(tmp_path / "a.json") == measurement


def test_ratios_need_both_sides() -> None:
    measured = [
        decoding.measured_side(Side(decoding.SPA, "ours", 16), [answer(2.0, 16)]),
        decoding.measured_side(Side(decoding.SPA_INT8, "ours", 16), [answer(5.0, 16)]),
    ]
    assert decoding.ratios(measured) == {speed.Ratio.INT8: 2.5}
    assert decoding.ratios([]) == {}


@pytest.mark.usefixtures("everything_installed")
def test_sides_of_random_weights_on_a_gpu() -> None:
    """They are bounded, draft nothing, and leave out what only a CPU or a real text can show."""
    chosen = decoding.sides(RANDOM)
    assert {side.kind for side in chosen} == {"ours", "natural", "generate", "guidance", "package"}
    assert all(side.own_kernels and not side.drafts for side in chosen)
    assert [(side.name, side.batch) for side in chosen if side.quantization == "int8"] == [(decoding.SPA_INT8, 16)]
    assert {side.name: side.lanes for side in chosen if side.lanes} == {decoding.WHOLE_INTERVAL: 4}
    assert decoding.GRID_OF_11 not in {side.name for side in chosen}
    real = decoding.sides(replace(RANDOM, shape=None))
    assert {side.drafts for side in real} == {True, False}
    assert not any(side.lanes for side in real)


def test_llama_cpp_is_a_side_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spa.bench.decoding.importlib.util.find_spec", lambda name: None)
    assert not any(side.kind == speed.LLAMA_CPP for side in decoding.sides(SETTING))


def test_without_a_gpu_none_is_measured() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(SpaError, match="no GPU here that torch sees; measure with --device cpu"):
            decoding.compare(RANDOM, 1)


def test_a_halved_side_is_reported_with_the_batch_that_ran() -> None:
    answers = [answer(9.0, 64), answer(5.0, 32, halvings=[64]), answer(7.0, 32, halvings=[64])]
    side = decoding.measured_side(Side(speed.SPA, "ours", 64), answers)
    assert (side.batch, side.halvings, side.rounds, side.seconds) == (32, (64,), (5, 7), 6)
    measurement = speed.Measurement(RANDOM, 3, decoding.machine(), (side,), {})
    assert measurement.whole(speed.SPA) == {}
    text = decoding.render(measurement)
    assert "too large" in text
    assert "texts of 4 tokens, medians of 3 rounds, one side after the other" in text


def test_the_limit_by_hand() -> None:
    """At 2,000 bytes a token a bandwidth of 3 MB/s allows 1,500 tokens a second."""
    side = decoding.measured_side(Side(speed.SPA, "ours", 16), [answer(1.0, 16, bytes_per_token=2000)], bandwidth=3e6)
    assert side.limit == 1500
    text = decoding.render(speed.Measurement(RANDOM, 1, decoding.machine(), (side,), {}))
    assert re.search(r"ours, SPA +16 +100 +1\.0 +100\.0 +1500\.0 +1\b", text)
    assert "limit: tokens/s if steps only read the weights and the cache" in text
    assert decoding.measured_side(side_of(side), [answer(1.0, bytes_per_token=2000)]).limit is None


def side_of(measured: speed.MeasuredSide) -> Side:
    return Side(**{field.name: getattr(measured, field.name) for field in fields(Side)})


def test_a_portion_is_of_about_average_length() -> None:
    setting = replace(SETTING, tasks=4, lengths=(10, 90, 40, 50))
    pairs = [([number], [number]) for number in range(4)]
    assert decoding_worker._portion(setting, Side("", "ours", 1, tasks=2), pairs) == (
        [([2], [2]), ([3], [3])],
        [40, 50],
    )
    assert decoding_worker._portion(setting, Side("", "ours", 1, length=7), pairs) == (pairs, [7] * 4)
    natural = Side("", "natural", 1)
    assert decoding_worker._portion(setting, natural, pairs) == (pairs, [400] * 4)
    assert decoding_worker._portion(replace(setting, shape="codellama_7b"), natural, pairs) == (pairs, [10, 90, 40, 50])


class Answering:
    """A worker without a process, that answers what the test has laid out and notes what becomes of it."""

    answers: Iterator[dict[str, Any]]
    events: list[str]

    def __init__(self, setting: Setting, side: Side) -> None:
        self.name = side.name
        self.events.append(f"{self.name} begins")

    def ask(self, question: str) -> dict[str, Any]:
        self.events.append(f"{self.name} {question.split()[0]}")
        given = next(self.answers, None)
        if given is None:
            raise KeyboardInterrupt
        if not given:
            raise SpaError(f"the process for {self.name} ended")
        return given

    def close(self) -> None:
        self.events.append(f"{self.name} ends")


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> type[Answering]:
    monkeypatch.setattr(decoding, "Worker", Answering)
    Answering.events = []
    return Answering


CHOSEN = [Side("a", "ours", 1), Side("b", "ours", 1)]
LENGTHS = {"lengths": [3, 5]}


def test_an_interrupt_leaves_the_complete_rounds(answering: type[Answering]) -> None:
    answering.answers = iter([LENGTHS, *(answer(float(n)) for n in range(1, 8))])
    setting, measured = decoding.measure(SETTING, CHOSEN, rounds=5, one_at_a_time=False)
    assert setting == SETTING
    assert [side.rounds for side in measured] == [(1, 3, 5), (2, 4, 6)]


def test_one_side_after_the_other(answering: type[Answering]) -> None:
    """Each warms up, and its process ends before the next begins."""
    answering.answers = iter([LENGTHS, answer(99.0), answer(1.0), answer(2.0), answer(99.0), answer(3.0), answer(4.0)])
    _, measured = decoding.measure(SETTING, CHOSEN, rounds=2, one_at_a_time=True)
    assert [side.rounds for side in measured] == [(1, 2), (3, 4)]
    course = ["begins", "warm", "run", "run", "ends"]
    assert answering.events[3:] == [f"{name} {event}" for name in "ab" for event in course]


def test_a_side_that_fails_leaves_the_others(answering: type[Answering], caplog: pytest.LogCaptureFixture) -> None:
    answering.answers = iter([LENGTHS, answer(99.0), {}, answer(99.0), answer(3.0), answer(4.0)])
    _, measured = decoding.measure(SETTING, CHOSEN, rounds=2, one_at_a_time=True)
    assert [(side.name, side.rounds) for side in measured] == [("b", (3, 4))]
    assert "the process for a ended" in caplog.text
    assert answering.events[3:6] == ["a begins", "a warm", "a run"]
    assert answering.events[6] == "a ends"


def test_an_interrupt_leaves_the_complete_sides(answering: type[Answering]) -> None:
    answering.answers = iter([LENGTHS, answer(99.0), answer(1.0), answer(99.0)])
    _, measured = decoding.measure(SETTING, CHOSEN, rounds=1, one_at_a_time=True)
    assert [side.name for side in measured] == ["a"]
    answering.answers = iter([LENGTHS])
    with pytest.raises(SpaError, match="no side of the benchmark could be measured"):
        decoding.measure(SETTING, CHOSEN, rounds=1, one_at_a_time=True)


@pytest.fixture
def tiny_setting(tmp_path: Path) -> Setting:
    """A model as the benchmark unpacks it, with the embedded one's mask token."""
    return replace(SETTING, folder=str(tiny.checkpoint(tmp_path, "llama", chat=True, special=["<|endoftext|>"])))


def test_every_side_generates_the_given_number_of_tokens(tiny_setting: Setting) -> None:
    loaded = decoding_worker._load(tiny_setting, own_kernels=True)
    pairs = decoding_worker._pairs(tiny_setting, loaded)
    for kind in ("ours", "generate", "guidance", "package"):
        took = decoding_worker._timed(loaded, tiny_setting, Side(kind, kind, 2), pairs)
        assert took["tokens"] == 8, kind
        assert took["seconds"] > 0
    warm = decoding_worker.Round(tiny_setting, Side("", "ours", 2), loaded, pairs).run(most=4)
    assert (warm["tokens"], warm["batch"], warm["halvings"]) == (7, 2, [])


class Halving:
    """An engine whose memory suffices for three lanes."""

    def __init__(self, batch: int) -> None:
        self.batch_size, self.halvings = batch, list[int]()

    def passes(self, requests: object) -> Iterator[list[Any]]:
        yield []
        if self.batch_size > 3:
            self.halvings.append(self.batch_size)
            self.batch_size //= 2
        texts = [([1, 2], "length"), ([3], "stop"), ([1, 4], "budget")]
        yield [SimpleNamespace(completion_ids=ids, finish_reason=reason) for ids, reason in texts]


def test_a_batch_that_was_halved_is_begun_anew(tiny_setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding_worker, "Engine", lambda model, eos, detokenize, batch, **more: Halving(batch))
    monkeypatch.setattr(decoding_worker, "bytes_per_token", lambda *arguments: 1.0)
    pairs = [([1], [1]), ([1], [1])]
    loaded: Any = SimpleNamespace(model=None, tokenizer=SimpleNamespace(decode=None), eos_ids=(), linear="torch")
    for kind in ("ours", "natural"):
        work = decoding_worker.Round(tiny_setting, Side("", kind, 12), loaded, pairs)
        for _ in range(2):
            took = work.run()
            assert (took["tokens"], took["batch"], took["halvings"]) == (3, 3, [12, 6])


def test_random_weights_are_bounded(tiny_setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """And in 8 bits they are about the same: what transformers makes of them with bitsandbytes."""
    known = decoding_worker.load_model_config
    shape = ShapeConfig("llama", layers=2, hidden=16, intermediate=32, heads=2, key_value_heads=1)
    monkeypatch.setattr(
        decoding_worker,
        "load_model_config",
        lambda name: replace(known("smollm2_135m"), shape=shape) if name == "tiny" else known(name),
    )
    setting = replace(tiny_setting, shape="tiny")
    torch.manual_seed(0)
    loaded = decoding_worker._load(setting, own_kernels=True)
    pairs = decoding_worker._pairs(setting, loaded)
    folder = str(Path(tiny_setting.folder) / "prepared")
    assert decoding_worker._prepare(setting, loaded, pairs, folder) == [decoding_worker.RANDOM_TOKENS] * 2
    interval = Side("", "natural", 8, omega="0..0.5", lanes=3, drafts=False)
    assert 8 <= decoding_worker._timed(loaded, setting, interval, pairs)["tokens"] <= 3 * 8

    pytest.importorskip("bitsandbytes", reason="install the extra `quantization`")
    exact = decoding_worker._random(loaded.model.config, "cpu", "float16")
    quantized = decoding_worker._in_8_bits(exact)
    assert sum(type(module).__name__ == "Linear8bitLt" for module in quantized.modules()) == 2 * 7
    ids = torch.tensor([[1, 2, 3]])
    expected, found = exact(ids).logits.float(), quantized(ids).logits.float()
    assert 0 < (found - expected).abs().mean() < 0.1 * expected.abs().mean()
    side = Side("", "ours", 2, quantization="int8", drafts=False)
    assert decoding_worker._load(setting, True, side.quantization).dtype == "float16"
    linear = 2 * (2 * 16 * 16 + 2 * 16 * 8 + 3 * 16 * 32)
    both = [decoding_worker.bytes_per_token(model, side, pairs, [4, 4]) for model in (exact, quantized)]
    assert both[0] - both[1] == linear / 2, "one byte less for each weight, shared by two lanes"


def test_bytes_of_a_token_by_hand() -> None:
    """2 layers of queries and outputs, keys and values, the MLP, two norms; the last norm; the output layer of 10."""
    sizes = {"vocab_size": 10, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2}
    config = LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=1)
    weights = 2 * (2 * 8 * 8 + 2 * 8 * 4 + 3 * 8 * 16 + 2 * 8) + 8 + 10 * 8
    state = 2 * 2 * 4  # keys and values, layers, one head of 4
    pairs = [([1] * 30, [1] * 50), ([1] * 10, [1] * 10)]
    model = LlamaForCausalLM(config)
    plain, both = Side("", "ours", 2, omega=0), Side("", "ours", 1)
    assert decoding_worker.bytes_per_token(model, plain, pairs, [8, 8]) == 4 * (weights / 2 + state * (34 + 14) / 2)
    expected = 4 * (weights + state * (34 + 54 + 14 + 14) / 2)
    assert decoding_worker.bytes_per_token(model, both, pairs, [8, 8]) == expected
    assert decoding_worker.bytes_per_token(model.half(), both, pairs, [8, 8]) == expected / 2
    tied = LlamaForCausalLM(LlamaConfig(**config.to_dict() | {"tie_word_embeddings": True}))
    assert decoding_worker.bytes_per_token(tied, both, pairs, [8, 8]) == expected, "the embedding is the output layer"


@pytest.mark.slow
def test_a_worker_answers(tiny_setting: Setting) -> None:
    worker = Worker(tiny_setting, Side("ours", "ours", 2))
    try:
        assert worker.ask("run")["tokens"] == 8
    finally:
        worker.close()


def test_a_worker_that_ends_is_named_with_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho Traceback >&2\necho 'MemoryError: no room' >&2\necho >&2\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(SpaError, match=r"for ours at batch 2 ended \(MemoryError: no room\); is there enough memory\?"):
        Worker(SETTING, Side("ours", "ours", 2))
