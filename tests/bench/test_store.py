"""The simulation does what it measures: every cell is written, listed, resumed and aggregated."""

import subprocess
from pathlib import Path

import pytest

from spa.analysis import aggregate
from spa.bench import store
from spa.cli import scale, standing
from spa.results.store import Results, find_results


def test_the_steps_do_their_work(tmp_path: Path) -> None:
    cells, omegas = 120, len(store.OMEGAS[0].values)
    per_cell = len(store.TASKS) * omegas
    assert store.write(tmp_path, cells) == cells * per_cell - 12
    assert scale.look(tmp_path, cells) == 12
    assert store.resume(tmp_path, cells) == 12
    assert store.resume(tmp_path, cells) == 0
    assert {len(run.samples()) for run in Results(tmp_path).runs()} == {per_cell}
    assert store.summarise(tmp_path, cells) == cells * omegas * 2
    table = aggregate.summary(aggregate.tasks(aggregate.load(find_results([tmp_path]))))
    assert set(table["n_tasks"]) == {len(store.TASKS)}
    assert table["delta"].notna().all()
    assert {row.done for row in standing.look([Results(tmp_path)]).rows} == {len(store.TASKS)}


def test_growth_by_hand() -> None:
    rows = [
        {"cells": cells, "step": step, "seconds": seconds}
        for cells, step, seconds in [(10, "look", 1.0), (10, "resume", 4.0), (20, "look", 2.5), (20, "resume", 6.0)]
    ]
    assert store.growth(rows) == {"look, 20 / 10 cells": 2.5, "resume, 20 / 10 cells": 1.5}


def measured_by_df(folder: Path) -> str:
    return subprocess.check_output(["df", "--output=fstype", folder], text=True).split()[-1]


@pytest.mark.slow
def test_a_step_has_a_process_of_its_own(tmp_path: Path) -> None:
    held = b"x" * 2**30
    seconds, peak_mib, result = store._alone(store.write, tmp_path, 10)
    assert seconds > 0
    assert 10 < peak_mib < len(held) / 2**20
    assert result == 59


def test_a_measurement_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_alone", store._timed)
    result = store.measure([10, 20], scale.look, tmp_path)
    assert [(row["step"], row["cells"], row["result"]) for row in result["steps"]] == [
        ("write", 10, 59),
        ("write", 20, 118),
        ("look", 10, 1),
        ("look", 20, 2),
        ("resume", 10, 1),
        ("resume", 20, 2),
        ("summarise", 10, 40),
        ("summarise", 20, 80),
    ]
    assert all(row["seconds"] > 0 for row in result["steps"])
    assert [len(row["rounds"]) for row in result["steps"]] == [store.ROUNDS] * 8
    assert len(result["growth"]) == 4
    assert "cells/s" in store.render(result)
    assert result["filesystem"] == measured_by_df(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_report_of_many_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "N_TASKS", 3)
    monkeypatch.setattr(store, "N_PARTS", 7)
    assert store.write_texts(tmp_path / "results", 2) == 2 * 3 * 7
    (first, second) = Results(tmp_path / "results").runs()
    assert [omega for omega in {(s.omega_lo, s.omega_hi) for s in first.samples()} if omega[0] >= omega[1]] == []
    assert len({s.solution for s in first.samples()}) == 3 * 7
    assert first.samples() != second.samples()
    assert store.build_report(tmp_path / "results", 2) > 10_000
    page = (tmp_path / "results" / "report.html").read_text()
    assert "synthetic 1" in page
    assert "Unfinished" not in page
