from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import curve, grid_with_plus, interval, points, write_run

from spa.analysis import aggregate, curves
from spa.results.store import Results


def read(folder: Path, visible: curves.Visible | None = None) -> list[curves.Curve]:
    return curves.curves(aggregate.tasks(aggregate.load([Results(folder)])), visible or {})


def test_a_grid_by_hand(tmp_path: Path) -> None:
    grid_with_plus(tmp_path)
    base, plus = read(tmp_path, {("grid", "spa"): {"T/A": True, "T/B": False, "T/C": True}})
    assert (base.benchmark, plus.benchmark) == ("humaneval", "humaneval_plus")
    assert (base.family, plus.family) == ("humaneval", "humaneval")
    assert list(base.task_ids) == ["T/A", "T/B", "T/C", "T/D"]
    np.testing.assert_array_equal(base.lo, [0, 0.1, 0.2])
    np.testing.assert_array_equal(base.passed, [[1, 1, 1], [0, 1, 1], [1, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(plus.plain, [True, False, False, False])
    np.testing.assert_array_equal(base.visible, [1, 0, 1, np.nan])
    assert base.keys == ("grid",)
    assert base.has_omegas
    np.testing.assert_array_equal(base.on_grid, base.passed)


def test_an_interval_has_exact_parts_and_an_even_grid(tmp_path: Path) -> None:
    interval(tmp_path)
    (found,) = read(tmp_path)
    np.testing.assert_allclose(found.lo, [0, 0.2, 0.3])
    np.testing.assert_allclose(found.hi, [0.2, 0.3, 0.5])
    np.testing.assert_array_equal(found.passed.sum(axis=0), [2, 3, 2])
    assert [found.column(omega) for omega in (0, 0.1, 0.2, 0.29, 0.5, 0.51, -0.1)] == [0, 0, 1, 1, 2, None, None]
    np.testing.assert_allclose(found.grid, np.linspace(0, 0.5, curves.SAMPLED))
    np.testing.assert_array_equal(found.on_grid.sum(axis=0), [2] * 8 + [3] * 4 + [2] * 9)


def test_runs_of_one_omega_each_are_one_cell(tmp_path: Path) -> None:
    for key, omega, verdict in (("a", 0.0, "f"), ("b", 0.1, "p"), ("c", 0.2, "f")):
        write_run(tmp_path, key, {"A": points(verdict, omegas=[omega])})
    (found,) = read(tmp_path)
    assert found.keys == ("a", "b", "c")
    np.testing.assert_array_equal(found.passed, [[0, 1, 0]])


def test_a_task_without_a_verdict_somewhere_is_left_out(tmp_path: Path) -> None:
    lines = {"A": points("p", "f"), "B": points("p", ""), "C": points("f", "p")}
    write_run(tmp_path, "k", lines)
    given_up = {"A": [(0.0, 0.5, "p")], "B": [(0.0, 0.2, "p"), (0.2, 0.5, "budget")]}
    write_run(tmp_path, "part", given_up, omega={"lo": 0.0, "hi": 0.5}, model="Other")
    other, tiny = read(tmp_path)
    assert list(tiny.task_ids) == ["A", "C"]
    assert list(other.task_ids) == ["A"]
    assert (list(other.lo), list(other.hi)) == ([0], [0.5])  # no longer cut where the other task's verdict ends


def test_without_plain_there_is_no_curve(tmp_path: Path) -> None:
    write_run(tmp_path, "k", {"A": points("p", omegas=[0.3])})
    assert read(tmp_path) == []
    write_run(tmp_path, "plain", {"A": points("p", omegas=[0.0])}, anchor="none")
    found = {each.anchor: each for each in read(tmp_path)}
    assert found["description"].keys == ("k", "plain")
    assert not found["none"].has_omegas


def test_of_two_intervals_the_one_with_more_tasks_is_taken(tmp_path: Path) -> None:
    interval(tmp_path, key="three")
    write_run(tmp_path, "one", {"T/A": [(0.0, 0.9, "p")]}, omega={"lo": 0.0, "hi": 0.9})
    (found,) = read(tmp_path)
    assert found.n_tasks == 3


def test_the_last_part_of_an_interval_is_closed(tmp_path: Path) -> None:
    """omega 0 is read off the last part of -0.5..0."""
    write_run(tmp_path, "k", {"A": [(-0.5, -0.2, "f"), (-0.2, 0.0, "p")]}, omega={"lo": -0.5, "hi": 0.0})
    (found,) = read(tmp_path)
    assert (found.column(-0.2), found.column(0.0), found.column(0.1)) == (1, 1, None)
    assert list(found.plain) == [True]


def test_models_stand_by_size(tmp_path: Path) -> None:
    for model in ("M 33B", "M 6.7B", "M 350M"):
        write_run(tmp_path, model, {"A": points("p", "f")}, model=model)
    assert [each.model for each in read(tmp_path)] == ["M 6.7B", "M 33B", "M 350M"]


def test_a_part_of_the_tasks_in_an_order() -> None:
    whole = curve([[0, 1], [1, 1], [1, 0]])
    part = whole.of(pd.Index(["T/002", "T/000"]))
    np.testing.assert_array_equal(part.passed, [[1, 0], [0, 1]])
    np.testing.assert_array_equal(part.plain, [1, 0])
    assert whole.of(whole.task_ids) is whole


@pytest.mark.parametrize("empty", [True, False])
def test_nothing_scored_gives_no_curve(tmp_path: Path, empty: bool) -> None:
    if not empty:
        write_run(tmp_path, "k", {"A": points("", "")}, scoring=None)
    assert read(tmp_path) == []
