"""The benchmark's arithmetic, and one worker that really works."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from spa.bench import decoding, decoding_worker
from spa.bench.decoding import Worker
from spa.errors import SpaError
from spa.results import speed
from spa.results.speed import Setting, Side

SETTING = Setting(tasks=2, device="cpu", shape=None, dtype="float32", threads=1, lengths=(3, 5))


def test_ratios_by_hand(tmp_path: Path) -> None:
    seconds = [9, 6, 5, 4, 2, 50, 6, 3, 3, 40, 60, 90, 3, 6, 9]
    measured = [
        decoding.measured_side(side, [{"seconds": duration, "tokens": 100, "peak_mib": 1.0}] * 5)
        for side, duration in zip(decoding.sides(SETTING), seconds, strict=True)
    ]
    ratios = decoding.ratios(measured)
    assert list(ratios) == list(speed.Ratio)
    assert list(ratios.values()) == pytest.approx([2.5, 4.5, 1.5, 1.5, 1.2, 40 / 3, 20, 30, 2, 3])
    measurement = speed.Measurement(SETTING, 5, decoding.machine(), tuple(measured), ratios)
    text = decoding.render(measurement)
    assert "2 HumanEval tasks, natural lengths (mean 4 tokens), medians of 5 interleaved rounds" in text
    speed.write(tmp_path / "a.json", measurement)
    assert speed.read(tmp_path / "a.json") == measurement


def test_a_portion_is_of_about_average_length() -> None:
    setting = replace(SETTING, tasks=4, lengths=(10, 90, 40, 50))
    pairs = [([number], [number]) for number in range(4)]
    assert decoding_worker._portion(setting, Side("", "ours", 1, tasks=2), pairs) == (
        [([2], [2]), ([3], [3])],
        [40, 50],
    )
    assert decoding_worker._portion(setting, Side("", "ours", 1, length=7), pairs) == (pairs, [7] * 4)


def test_an_interrupt_leaves_the_complete_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([{"lengths": [3, 5]}, *({"seconds": float(n), "tokens": 10, "peak_mib": 1.0} for n in range(1, 8))])

    class Answering:
        def __init__(self, setting: Setting, side: Side) -> None:
            pass

        def ask(self, question: str) -> dict[str, object]:
            answer = next(answers, None)
            if answer is None:
                raise KeyboardInterrupt
            return answer

        def close(self) -> None:
            pass

    monkeypatch.setattr(decoding, "Worker", Answering)
    chosen = [Side("a", "ours", 1), Side("b", "ours", 1)]
    setting, measured = decoding.measure(SETTING, chosen, rounds=5)
    assert setting == SETTING
    assert [side.rounds for side in measured] == [(1, 3, 5), (2, 4, 6)]


@pytest.fixture
def tiny_setting(tmp_path: Path) -> Setting:
    """A model as the benchmark unpacks it, with the embedded one's mask token."""
    return replace(SETTING, folder=str(tiny.checkpoint(tmp_path, "llama", chat=True, special=["<|endoftext|>"])))


def test_every_side_generates_the_given_number_of_tokens(tiny_setting: Setting) -> None:
    loaded = decoding_worker._load(tiny_setting, own_kernels=True)
    pairs = decoding_worker._pairs(tiny_setting, loaded)
    for kind in ("ours", "generate", "guidance", "package"):
        answer = decoding_worker._timed(loaded, tiny_setting, Side(kind, kind, 2), pairs)
        assert answer["tokens"] == 8, kind
        assert answer["seconds"] > 0


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
