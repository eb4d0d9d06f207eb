import gc
import json
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from synthetic import generation, grid_with_plus, interval, points, score, write_run

import spa
from spa.analysis import aggregate
from spa.errors import SpaError
from spa.results.store import Results


def summarise(*folders: Path) -> pd.DataFrame:
    return aggregate.summary(aggregate.tasks(aggregate.load([Results(folder) for folder in folders])))


def numbers(rows: pd.DataFrame, *columns: str) -> list[tuple[float, ...]]:
    return [tuple(row) for row in rows[list(columns)].to_numpy().tolist()]


def test_a_folder_is_one_call_away(tmp_path: Path) -> None:
    grid_with_plus(tmp_path / "main")
    pd.testing.assert_frame_equal(spa.load_results(str(tmp_path)), summarise(tmp_path / "main"))
    with pytest.raises(SpaError, match="holds no results"):
        spa.load_results(tmp_path / "nowhere")


def test_columns_are_the_contract(tmp_path: Path) -> None:
    grid_with_plus(tmp_path)
    assert " ".join(summarise(tmp_path).columns) == (
        "experiment key model benchmark anchor mask method profile template extraction dtype quantization "
        "omega_lo omega_hi n_tasks n_anchored n_passed pass_at_1 ci_low ci_high "
        "baseline_pass_at_1 delta delta_low delta_high fixed broken p_value"
    )


def test_grid_with_plus(tmp_path: Path) -> None:
    """Base passes A, C | A, B, C | A, B; base and plus pass A | B, C | A, B."""
    grid_with_plus(tmp_path)
    table = summarise(tmp_path)
    assert list(table["benchmark"]) == ["humaneval"] * 3 + ["humaneval_plus"] * 3
    assert set(table["n_tasks"]) == {4}
    assert set(table["n_anchored"]) == {3}
    assert set(table["quantization"]) == {"Q4_1"}
    assert numbers(table, "omega_lo", "omega_hi", "n_passed", "delta", "fixed", "broken", "p_value") == [
        (0.0, 0.0, 2, 0.0, 0, 0, 1.0),
        (0.1, 0.1, 3, 0.25, 1, 0, 1.0),
        (0.2, 0.2, 2, 0.0, 1, 1, 1.0),
        (0.0, 0.0, 1, 0.0, 0, 0, 1.0),
        (0.1, 0.1, 2, 0.25, 2, 1, 1.0),
        (0.2, 0.2, 2, 0.25, 1, 0, 1.0),
    ]
    assert list(table["pass_at_1"]) == [0.5, 0.75, 0.5, 0.25, 0.5, 0.5]
    assert list(table["baseline_pass_at_1"]) == [0.5] * 3 + [0.25] * 3
    assert numbers(table.head(1), "ci_low", "ci_high") == [
        (pytest.approx(0.15, abs=1e-4), pytest.approx(0.85, abs=1e-4))
    ]


def test_interval_is_the_coarsest_partition(tmp_path: Path) -> None:
    interval(tmp_path)
    table = summarise(tmp_path)
    assert numbers(table, "omega_lo", "omega_hi", "n_tasks", "n_passed", "fixed", "broken") == [
        (0.0, 0.2, 3, 2, 0, 0),
        (0.2, 0.3, 3, 3, 1, 0),
        (0.3, 0.5, 3, 2, 1, 1),
    ]
    assert list(table["delta"]) == [0, pytest.approx(1 / 3), 0]


def test_a_swap_of_passing_tasks_is_a_cut(tmp_path: Path) -> None:
    """The number of passing tasks stays, the set changes."""
    verdicts = {"A": [(0.0, 0.2, "p"), (0.2, 0.5, "f")], "B": [(0.0, 0.2, "f"), (0.2, 0.5, "p")]}
    write_run(tmp_path, "k", verdicts, omega={"lo": 0.0, "hi": 0.5})
    assert numbers(summarise(tmp_path), "omega_lo", "n_passed", "fixed", "broken") == [(0.0, 1, 0, 0), (0.2, 1, 1, 1)]


def test_a_task_of_an_interval_is_done_when_its_parts_cover_it(tmp_path: Path) -> None:
    verdicts = {"A": [(0.0, 0.2, "p"), (0.2, 0.5, "f")], "B": [(0.0, 0.2, "p")], "C": [(0.0, 0.5, "")]}
    write_run(tmp_path, "k", verdicts, omega={"lo": 0.0, "hi": 0.5}, task_ids=["A", "B", "C", "D"], n_tasks=4)
    progress = aggregate.progress(next(aggregate.load([Results(tmp_path)])))
    assert (progress.done, progress.total, progress.lines, progress.scored) == (2, 4, 4, 3)


def test_deltas_are_over_the_tasks_that_have_both(tmp_path: Path) -> None:
    verdicts = {"A": points("f", "p"), "B": points("p", "p"), "C": [(0.1, 0.1, "p")], "D": [(0.1, 0.1, "f")]}
    write_run(tmp_path, "k", verdicts, omega=[0.0, 0.1])
    table = summarise(tmp_path)
    columns = ("omega_lo", "n_tasks", "n_passed", "pass_at_1", "baseline_pass_at_1", "delta")
    assert numbers(table, *columns) == [(0.0, 2, 1, 0.5, 0.5, 0.0), (0.1, 4, 3, 0.75, 0.5, 0.5)]


def test_what_is_given_up_counts_in_no_rate(tmp_path: Path) -> None:
    verdicts = {"A": [(0.0, 0.2, "p"), (0.2, 0.5, "budget")], "B": [(0.0, 0.4, "f"), (0.4, 0.5, "budget")]}
    write_run(tmp_path, "k", verdicts, omega={"lo": 0.0, "hi": 0.5})
    columns = ["omega_lo", "omega_hi", "n_tasks", "n_passed", "pass_at_1", "baseline_pass_at_1"]
    assert numbers(summarise(tmp_path), *columns) == [(0.0, 0.2, 2, 1, 0.5, 0.5), (0.2, 0.4, 1, 0, 0.0, 0.0)]
    done = aggregate.progress(next(aggregate.load([Results(tmp_path)])))
    assert done == aggregate.Progress(done=2, total=2, lines=4, scored=2, given_up=2, not_plain=0)


def test_unfinished_runs_count_what_is_there(tmp_path: Path) -> None:
    """A is finished and scored, B lacks a score at 0.1 and a sample at 0.2, C has only the plain sample."""
    verdicts = {"A": points("f", "p", "p"), "B": points("n", ""), "C": points("p")}
    write_run(tmp_path, "k", verdicts, status="running", omega=[0, 0.1, 0.2])
    table = summarise(tmp_path)
    assert numbers(table, "omega_lo", "n_tasks", "n_passed", "pass_at_1") == [
        (0.0, 3, 1, 1 / 3),
        (0.1, 1, 1, 1.0),
        (0.2, 1, 1, 1.0),
    ]
    # compared over the same tasks: only A has both
    assert numbers(table[1:], "baseline_pass_at_1", "delta", "fixed", "broken") == [(0.0, 1.0, 1, 0)] * 2
    done = aggregate.progress(next(aggregate.load([Results(tmp_path)])))
    assert done == aggregate.Progress(done=6, total=9, lines=6, scored=5, given_up=0, not_plain=1)


def test_a_baseline_from_a_plain_run_of_another_anchor_and_folder(tmp_path: Path) -> None:
    identity = {"max_new_tokens": 400, "anchor": None, "mask": None, "omega": [0.0]}
    plain = {"A": points("p"), "B": points("f"), "C": points("f")}
    write_run(tmp_path / "a", "plain", plain, anchor="none", identity=identity)
    spa = {"A": points("p", omegas=[0.3]), "B": points("p", omegas=[0.3])}
    identity = {"max_new_tokens": 400, "anchor": "description", "mask": ["per_token", "x"], "omega": [0.3]}
    write_run(tmp_path / "b", "spa", spa, identity=identity)
    table = summarise(tmp_path / "a", tmp_path / "b")
    row = table[table["key"] == "spa"].iloc[0]
    assert (row["baseline_pass_at_1"], row["delta"], row["fixed"], row["broken"]) == (0.5, 0.5, 1, 0)


def test_tasks_name_the_plain_run_that_they_are_compared_with(tmp_path: Path) -> None:
    """Its own, else the one with most tasks; a task that it lacks has none."""
    write_run(tmp_path, "a_few", {"A": points("f")}, anchor="none")
    write_run(tmp_path, "many", {"A": points("p"), "B": points("f")}, anchor="none")
    write_run(tmp_path, "own", {"A": points("f", "p")}, anchor="signature")
    write_run(tmp_path, "spa", {task: points("p", omegas=[0.3]) for task in "ABC"})
    table = aggregate.tasks(aggregate.load([Results(tmp_path)])).set_index(["key", "task_id", "omega_lo"])
    compared = table[["plain_key", "plain"]]
    assert compared.loc["own"].to_numpy().tolist() == [["own", False]] * 2
    assert compared.loc["spa"][:2].to_numpy().tolist() == [["many", True], ["many", False]]
    assert compared.loc["spa"].iloc[2].isna().all()


def test_many_cells_are_read_one_at_a_time(tmp_path: Path) -> None:
    """Whatever the number of cells, only the one that is being read is in memory."""
    for number in range(5):
        write_run(tmp_path, f"k{number}", {"A": points("p", "f")})
    alive: list[weakref.ref[aggregate.JudgedRun]] = []

    def watched() -> Iterator[aggregate.JudgedRun]:
        for cell in aggregate.load([Results(tmp_path)]):
            alive.append(weakref.ref(cell))
            yield cell
            del cell
            gc.collect()
            assert sum(reference() is not None for reference in alive) <= 1

    assert len(aggregate.summary(aggregate.tasks(watched()))) == 10
    assert len(alive) == 5


@pytest.mark.parametrize(
    "other",
    [
        {"model": "Other"},
        {"dtype": "bfloat16"},
        {"template": "evalplus"},
        {"profile": "official_2024"},
        {"weights": "Q4_1"},
        {"benchmark": "mbpp"},
        {"identity": {"max_new_tokens": 512, "anchor": None, "mask": None, "omega": [0.0]}},
        {"data": {"source": "file", "md5": "other"}},
    ],
)
def test_no_baseline_of_other_settings(tmp_path: Path, other: dict[str, object]) -> None:
    plain = {"identity": {"max_new_tokens": 400, "anchor": None, "mask": None, "omega": [0.0]}}
    write_run(tmp_path, "plain", {"A": points("p")}, **{**plain, **other})
    identity = {"max_new_tokens": 400, "anchor": "description", "mask": ["per_token", "x"], "omega": [0.3]}
    write_run(tmp_path, "spa", {"A": points("p", omegas=[0.3])}, identity=identity)
    row = summarise(tmp_path).query("key == 'spa'").iloc[0]
    assert row[["baseline_pass_at_1", "delta", "fixed", "broken", "p_value"]].isna().all()


def test_one_key_in_two_folders_counts_once_the_fuller_one(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "same", {"A": points("p", "p")})
    write_run(tmp_path / "b", "same", {"A": points("p", "p"), "B": points("f", "p")})
    forward, backward = summarise(tmp_path / "a", tmp_path / "b"), summarise(tmp_path / "b", tmp_path / "a")
    assert list(forward["n_tasks"]) == [2, 2]
    assert set(forward["experiment"]) == {"b"}
    pd.testing.assert_frame_equal(forward, backward)


def test_only_the_manifests_scorer_counts_else_the_newest(tmp_path: Path) -> None:
    run = Results(tmp_path).run("k")
    write_run(tmp_path, "k", {"A": points("")})
    solution = run.samples()[0].solution
    run.append_scores([score("A", solution, "pass", None, "old"), score("A", solution, "fail", None, "new")])
    scoring = run.manifest().scoring
    assert scoring
    for found, passed in ((replace(scoring, scorer_id="old"), 1), (replace(scoring, scorer_id="new"), 0), (None, 0)):
        run.write_manifest(replace(run.manifest(), scoring=found))
        assert list(summarise(tmp_path)["n_passed"]) == [passed]


def test_equal_solutions_share_one_score(tmp_path: Path) -> None:
    run = write_run(tmp_path, "k", {"A": []}, omega=[0.0, 0.1])
    run.append_samples([generation("A", "x = 1\n", omega, omega) for omega in (0.0, 0.1)])
    run.append_scores([score("A", "x = 1\n", "pass", None)])
    assert list(summarise(tmp_path)["n_passed"]) == [1, 1]


def test_an_interval_below_zero_finds_its_plain_part(tmp_path: Path) -> None:
    """omega 0 belongs to the part on its right, or to the last part where the interval ends there."""
    around = {"A": [(-0.5, 0.0, "p"), (0.0, 0.5, "f")]}
    write_run(tmp_path / "a", "k", around, omega={"lo": -0.5, "hi": 0.5})
    assert list(summarise(tmp_path / "a")["baseline_pass_at_1"]) == [0, 0]
    ending = {"A": [(-0.5, -0.2, "f"), (-0.2, 0.0, "p")]}
    write_run(tmp_path / "b", "k", ending, omega={"lo": -0.5, "hi": 0.0})
    assert list(summarise(tmp_path / "b")["baseline_pass_at_1"]) == [1, 1]


def test_unscored_runs_give_an_empty_table(tmp_path: Path) -> None:
    write_run(tmp_path, "k", {"A": points("", "")}, scoring=None)
    table = summarise(tmp_path)
    assert table.empty
    assert list(table.columns) == aggregate.SUMMARY


def test_quantization_names_lossy_weights(tmp_path: Path) -> None:
    for key, weights, quantization in [("a", None, "none"), ("b", "Q4_1", "none"), ("c", "Q4_1", "int8")]:
        write_run(tmp_path, key, {"A": points("p")}, weights=weights, quantization=quantization)
    runs = list(aggregate.load([Results(tmp_path)]))
    assert [run.manifest.weights_text for run in runs] == ["none", "Q4_1", "Q4_1+int8"]


def test_a_manifest_without_a_field_is_one_line(tmp_path: Path) -> None:
    run = write_run(tmp_path, "k", {"A": points("p")})
    content = json.loads(run.manifest_path.read_text())
    del content["model"]
    run.manifest_path.write_text(json.dumps(content))
    with pytest.raises(SpaError, match=r"k/manifest.json has no field 'model'; run its cell again"):
        summarise(tmp_path)
