"""The benchmark of speed on disk: its form stays, and what is none of it is told apart."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from speeds import measurement

from spa.config import CONF
from spa.errors import SpaError
from spa.results import speed

BENCH = CONF.parent / "results" / "bench"
OURS = BENCH / "cpu-smollm2-float32.json"


def test_what_is_read_is_written_back(tmp_path: Path) -> None:
    """What came after a file was written has a default there, and is written with it."""
    measured = speed.read(OURS)
    assert measured
    assert list(measured.ratios) == [ratio for ratio in speed.Ratio if ratio in measured.ratios]
    speed.write(tmp_path / OURS.name, measured)
    assert speed.read(tmp_path / OURS.name) == measured
    before, after = (json.loads(path.read_bytes()) for path in (OURS, tmp_path / OURS.name))
    sides = [dict(old, **new) for old, new in zip(after.pop("sides"), before.pop("sides"), strict=True)]
    assert before == after
    assert sides == [asdict(side) | {"rounds": [*side.rounds], "halvings": [*side.halvings]} for side in measured.sides]


def test_other_benchmarks_are_told_apart(tmp_path: Path) -> None:
    assert {path.stem for path in BENCH.glob("*.json")} > {"store-scale", "report-scale", OURS.stem}
    assert [path for path, _ in speed.read_folder(BENCH)] == [OURS]
    (tmp_path / "list.json").write_text("[]")
    assert list(speed.read_folder(tmp_path)) == []
    assert list(speed.read_folder(tmp_path / "none")) == []


def test_sides_that_did_all_tasks() -> None:
    whole = measurement().whole(speed.SPA)
    assert {batch: side.seconds for batch, side in whole.items()} == {4: 9.9, 16: 4.5}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content["sides"][0].pop("rounds"), r"missing required field `rounds` - at `\$\.sides\[0\]`"),
        (lambda content: content["setting"].update(tasks="24"), r"Expected `int`, got `str` - at `\$\.setting\.tasks`"),
        (lambda content: content.pop("machine"), "missing required field `machine`"),
    ],
)
def test_a_damaged_measurement_is_one_line(tmp_path: Path, spoil: Any, message: str) -> None:
    content = json.loads(OURS.read_bytes())
    spoil(content)
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content))
    with pytest.raises(SpaError, match=rf"a\.json is no measurement of speed \(.*{message}.*\); remove it, or"):
        speed.read(path)


def test_a_benchmark_that_is_not_json_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(SpaError, match=r"a\.json is not JSON .*; remove it, or measure again"):
        list(speed.read_folder(tmp_path))
