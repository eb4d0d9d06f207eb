"""The benchmark's arithmetic, and one worker that really works."""

from dataclasses import asdict, replace

import pytest

from spa.bench import decoding, decoding_worker
from spa.bench.decoding import Worker
from spa.bench.decoding_worker import Setting, Side

SETTING = Setting(tasks=2, device="cpu", shape=None, dtype="float32", threads=1, lengths=(3, 5))


def test_ratios_by_hand() -> None:
    seconds = [9, 6, 5, 4, 2, 50, 6, 3, 3, 40, 60, 90, 3, 6, 9]
    rows = [
        asdict(side) | {"seconds": duration, "tokens": 100, "tokens_per_second": 100 / duration, "peak_mib": 1.0}
        for side, duration in zip(decoding.sides(SETTING), seconds, strict=True)
    ]
    assert list(decoding.ratios(rows).values()) == pytest.approx([2.5, 4.5, 1.5, 1.5, 1.2, 40 / 3, 20, 30, 2, 3])
    result = {"setting": asdict(SETTING), "rounds": 5, "machine": decoding.machine(), "sides": rows}
    text = decoding.render(result | {"ratios": decoding.ratios(rows)})
    assert "2 HumanEval tasks, natural lengths (mean 4 tokens), medians of 5 interleaved rounds" in text


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
    result = decoding.measure(SETTING, chosen, rounds=5)
    assert result["rounds"] == 3
    assert [row["rounds"] for row in result["sides"]] == [[1, 3, 5], [2, 4, 6]]


@pytest.mark.slow
def test_every_side_generates_the_given_number_of_tokens() -> None:
    loaded = decoding_worker._load(SETTING, own_kernels=True)
    pairs = decoding_worker._pairs(SETTING, loaded)
    for kind in ("ours", "generate", "guidance", "package"):
        answer = decoding_worker._timed(loaded, SETTING, Side(kind, kind, 2), pairs)
        assert answer["tokens"] == 8, kind
        assert answer["seconds"] > 0


@pytest.mark.slow
def test_a_worker_answers() -> None:
    worker = Worker(SETTING, Side("ours", "ours", 2))
    try:
        assert worker.ask("run")["tokens"] == 8
    finally:
        worker.close()
