from pathlib import Path

import pandas as pd
import pytest
from speeds import measurement
from synthetic import grid_with_plus, measurement_of

from spa.analysis import aggregate, evidence
from spa.errors import SpaError
from spa.records import VisibleScore, solution_sha
from spa.results import speed
from spa.results.store import Results


def shares(folder: Path, key: str, columns: list[str]) -> None:
    table = pd.DataFrame([[1] * len(columns)], columns=columns).to_csv(index=False)
    Results(folder).attention(key).write(table, "", measurement_of(key))


def test_everything_of_a_folder_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "main"
    run = grid_with_plus(folder)
    plain = {sample.task_id: sample for sample in run.samples() if sample.omega_lo == 0}
    run.append_visible(VisibleScore(task, solution_sha(plain[task].solution), 2, True) for task in ("T/A", "T/B"))
    shares(folder, "k", [*evidence.ATTENTION, "anchor_tokens"])
    speed.write(tmp_path / "bench" / "cuda-6.7b-bfloat16.json", measurement())
    speed.write(folder / "bench" / "cpu-smollm2-float32.json", measurement(shape=None))
    speed.write(folder / "bench" / "cpu-smollm2-float32-other.json", measurement(ratios={}))
    runs = list(aggregate.load([Results(folder)]))
    found = evidence.read([Results(folder)], runs, aggregate.tasks(runs))
    assert [curve.benchmark for curve in found.curves] == ["humaneval", "humaneval_plus"]
    assert list(found.curves[0].visible[:2]) == [1, 1]
    assert [(each.key, each.model, len(each.shares)) for each in found.attention] == [("k", "Tiny 1M", 1)]
    small, large = found.speed
    assert (small.name, small.of_the_paper) == ("cpu-smollm2-float32", False)
    assert (large.ratio, large.of_the_paper) == (1.5, True)
    assert large.rounds == pytest.approx((1.5, 1.5, 1.6))
    assert large.by_batch == pytest.approx({4: 1.1, 16: 1.5})
    assert (large.plain_tokens_per_second, large.spa_tokens_per_second) == (90, 60)
    assert large.conditions == "random weights of shape deepseek_coder_6_7b, bfloat16, cuda (GPU)"


def test_attention_without_a_column_is_one_line(tmp_path: Path) -> None:
    shares(tmp_path, "k", evidence.ATTENTION[:-1])
    with pytest.raises(SpaError, match=r"shares\.csv has no column prompt_tokens; measure it again"):
        evidence.read_attention([Results(tmp_path)])
