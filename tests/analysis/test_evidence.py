import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from synthetic import grid_with_plus

from spa.analysis import aggregate, evidence
from spa.errors import SpaError
from spa.records import VisibleScore
from spa.results.store import Results


def bench(folder: Path, name: str, shape: str | None = "deepseek_coder_6_7b", **changes: Any) -> None:
    """A benchmark's result in which SPA takes 1.5 times as long as plain decoding."""
    sides = [
        {"name": "ours, SPA", "batch": 1, "rounds": [9, 9], "seconds": 9, "tokens_per_second": 1, "tasks": 2},
        {"name": "ours, plain", "batch": 4, "rounds": [9, 9], "seconds": 9, "tokens_per_second": 1},
        {"name": "ours, plain", "batch": 16, "rounds": [2, 4], "seconds": 3, "tokens_per_second": 90},
        {"name": "ours, SPA", "batch": 4, "rounds": [9, 9], "seconds": 9.9, "tokens_per_second": 1},
        {"name": "ours, SPA", "batch": 16, "rounds": [3, 6.4], "seconds": 4.5, "tokens_per_second": 60},
    ]
    setting = {"shape": shape, "dtype": "bfloat16", "device": "cuda"}
    content = {"setting": setting, "machine": {"processor": "GPU"}, "sides": sides}
    content |= {"ratios": {evidence.SPEED_RATIO: 1.5}} | changes
    (folder / "bench").mkdir(parents=True, exist_ok=True)
    (folder / "bench" / f"{name}.json").write_text(json.dumps(content))


def shares(folder: Path, key: str, columns: list[str]) -> None:
    place = folder / "attention" / key
    place.mkdir(parents=True)
    pd.DataFrame([[1] * len(columns)], columns=columns).to_csv(place / "shares.csv", index=False)
    (place / "manifest.json").write_text(json.dumps({"model": "Tiny 1M", "benchmark": "humaneval"}))


def test_everything_of_a_folder_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "main"
    run = grid_with_plus(folder)
    run.append_visible([VisibleScore("T/A", "sha", 2, True), VisibleScore("T/B", "sha", 0, True)])
    shares(folder, "k", [*evidence.ATTENTION, "prompt_tokens"])
    bench(tmp_path, "cuda-6.7b-bfloat16")
    bench(folder, "cpu-smollm2-float32", shape=None)
    bench(folder, "cpu-smollm2-float32-sizes", ratios={"other": 2})
    found = evidence.read([Results(folder)], aggregate.tasks(aggregate.load([Results(folder)])))
    assert [curve.benchmark for curve in found.curves] == ["humaneval", "humaneval_plus"]
    assert list(found.curves[0].visible[:2]) == [1, 1]
    assert [(each.key, each.model, len(each.shares)) for each in found.attention] == [("k", "Tiny 1M", 1)]
    small, large = found.speed
    assert (small.name, small.of_the_paper) == ("cpu-smollm2-float32", False)
    assert (large.ratio, large.of_the_paper) == (1.5, True)
    assert large.rounds == pytest.approx((1.5, 1.6))
    assert large.by_batch == pytest.approx({4: 1.1, 16: 1.5})
    assert (large.plain_tokens_per_second, large.spa_tokens_per_second) == (90, 60)
    assert large.conditions == "random weights of shape deepseek_coder_6_7b, bfloat16, cuda (GPU)"


def test_a_benchmark_that_is_not_json_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "a.json").write_text("{")
    with pytest.raises(SpaError, match=r"a\.json is not JSON .*; remove it, or measure again"):
        evidence.read_speed([Results(tmp_path)])


def test_attention_without_a_column_is_one_line(tmp_path: Path) -> None:
    shares(tmp_path, "k", evidence.ATTENTION[:-1])
    with pytest.raises(SpaError, match=r"shares\.csv has no column anchor_share; measure it again"):
        evidence.read_attention([Results(tmp_path)])
