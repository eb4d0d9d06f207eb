"""The benchmark's arithmetic, and one worker that really works."""

from dataclasses import asdict

import pytest

from spa import bench
from spa.bench import Setting, Side, Worker

SETTING = Setting(tasks=2, device="cpu", shape=None, dtype="float32", threads=1, lengths=(3, 5))


def test_ratios_by_hand() -> None:
    rows = [
        asdict(side) | {"seconds": seconds, "tokens": 100, "tokens_per_second": 100 / seconds, "peak_mib": 1.0}
        for side, seconds in zip(bench.sides(SETTING), [9, 6, 5, 4, 2, 50, 6, 3, 3, 40, 60, 3, 6, 9], strict=True)
    ]
    assert list(bench.ratios(rows).values()) == pytest.approx([4.5, 2.5, 1.5, 1.5, 20, 40 / 3, 2, 3])
    result = {"setting": asdict(SETTING), "rounds": 5, "machine": bench.machine(), "sides": rows}
    text = bench.render(result | {"ratios": bench.ratios(rows)})
    assert "2 HumanEval tasks, natural lengths (mean 4 tokens), medians of 5 interleaved rounds" in text


@pytest.mark.slow
def test_every_side_generates_the_given_number_of_tokens() -> None:
    loaded = bench._load(SETTING, own_kernels=True)
    pairs = bench._pairs(SETTING, loaded)
    for kind in ("ours", "generate", "guidance", "package"):
        answer = bench._timed(loaded, SETTING, Side(kind, kind, 2), pairs)
        assert answer["tokens"] == 8, kind
        assert answer["seconds"] > 0


@pytest.mark.slow
def test_a_worker_answers() -> None:
    worker = Worker(SETTING, Side("ours", "ours", 2))
    try:
        assert worker.ask("run")["tokens"] == 8
    finally:
        worker.close()
