import io
import re

import numpy as np
import pandas as pd
import pytest
from synthetic import all_tables, curve, outcomes

from spa.analysis import readings
from spa.analysis.evidence import Evidence, Speed
from spa.analysis.formats import signed
from spa.records import SETTINGS
from spa.report import paper_tables
from spa.statistics import delta_interval

SPEED = Speed("cuda-6.7b", "random weights", True, 1.5, (1.4, 1.7), {16: 1.5}, 90, 60)


def test_every_table_is_made_where_data_allow() -> None:
    made = all_tables()
    assert list(made) == list(paper_tables.TITLES)
    assert paper_tables.missing_tables(made.values()) == []


def test_every_form_holds_the_same_rows() -> None:
    for table in all_tables().values():
        forms = table.forms()
        n_rows = len(table.shown)
        assert n_rows > 0
        assert sum(line.startswith("|") for line in forms["md"].splitlines()) == n_rows + 2
        assert forms["md"].startswith(f"# {table.title}\n")
        assert all(note in forms["md"] for note in table.notes)
        body = forms["tex"].split(r"\midrule")[1].split(r"\bottomrule")[0]
        assert body.count(r"\\") == n_rows
        assert r"\toprule" in forms["tex"]
        assert len(pd.read_csv(io.StringIO(forms["csv"]))) >= n_rows


def test_what_is_not_there_is_said() -> None:
    made = paper_tables.tables(Evidence([]))
    assert [table.name for table in made] == ["published"]
    assert len(paper_tables.missing_tables(made)) == len(paper_tables.NEEDS)
    assert "No table 'Cost of SPA': it needs the benchmark of speed (make bench)." in paper_tables.missing_tables(made)


def test_the_main_table_has_models_by_benchmarks() -> None:
    table = all_tables()["paper"]
    assert list(table.shown.columns) == [
        *(("Model", ""), ("Weights", "")),
        *((name, part) for name in ("HumanEval", "MBPP+") for part in ("Plain", "SPA", "Delta")),
    ]
    assert list(table.shown["Model", ""]) == ["M 7B", "M 33B"]
    assert list(table.shown["HumanEval", "Plain"]) == ["40.0", "40.0"]
    assert r"\multicolumn{3}{c}{HumanEval}" in table.latex()
    (delta, interval) = table.shown["MBPP+", "Delta"].iloc[0].split(" ", 1)
    assert float(delta) == pytest.approx(40, abs=2)
    assert interval.startswith("(+")


def test_models_with_several_templates_have_a_row_each() -> None:
    cells = [curve(outcomes([0.4, 0.8], 20), template=template) for template in ("deepseek", "evalplus")]
    table = paper_tables.models_by_benchmarks(cells)
    assert table is not None
    assert list(table.shown["Template", ""]) == ["deepseek", "evalplus"]


def test_cost() -> None:
    table = all_tables()["cost"]
    assert table.shown.iloc[0].tolist() == ["random weights", "1.50", "1.40", "1.70", "90.0", "60.0"]


@pytest.mark.parametrize(
    ("n_omegas", "shown"), [(10, [*range(1, 11)]), (20, [4, 8, 12, 16, 20]), (13, [3, 6, 8, 11, 13])]
)
def test_of_many_omegas_a_table_shows_few_and_its_csv_all(n_omegas: int, shown: list[int]) -> None:
    cells = [
        curve(outcomes([0.4] * (n_omegas + 1), 20), benchmark=name, visible=np.zeros(20))
        for name in ("humaneval", "mbpp")
    ]
    omegas = cells[0].grid[1:]
    made = {table.name: table for table in paper_tables.tables(Evidence(cells))}
    for name, groups in (("every_task", 2), ("test_triggered", 4)):
        table = made[name]
        assert list(table.shown["Omega"]) == [f"{omegas[place - 1]:.3g}" for place in shown] * groups
        assert len(pd.read_csv(io.StringIO(table.forms()["csv"]))) == n_omegas * groups


NO_SUMMARY = pd.DataFrame(columns=[*SETTINGS, *["n_tasks", "pass_at_1", "delta", "omega_lo", "omega_hi"]])


def test_a_terminal_gets_a_row_for_each_cell() -> None:
    """40 tasks: at one omega beside 0 every task counts, of several omega is tuned, and a plain run has no SPA."""
    cells = [
        curve(outcomes([0.4, 0.6], 40), [0, 0.2], model="M 7B", benchmark="humaneval"),
        curve(outcomes([0.4, 0.8, 0.6], 40), [0, 0.1, 0.2], model="M 7B", benchmark="mbpp"),
        curve(outcomes([0.4], 40), [0], model="M 33B", benchmark="humaneval"),
    ]
    table, note = paper_tables.closing(cells, NO_SUMMARY).split("\n\n")
    heading, _, *rows = [re.split(r"  +", line.strip()) for line in table.splitlines()]
    assert heading == ["Model", "Benchmark", "Tasks", "Plain (%)", "SPA (%)", "Delta", "95%", "Omega"]
    low, high = (signed(float(bound[0])) for bound in delta_interval([8], [0], [40], readings.seeded()))
    assert rows[0] == ["M 7B", "HumanEval", "40", "40.0", "60.0", "+20.0", f"{low} to {high}", "0.2"]
    tuned = readings.tune(cells[1])
    low, high = map(signed, tuned.interval)
    assert rows[1][:4] == ["M 7B", "MBPP", "40", "40.0"]
    assert rows[1][5:] == [signed(tuned.delta), f"{low} to {high}", "tuned"]
    assert rows[2] == ["M 33B", "HumanEval", "40", "40.0"]
    assert "is chosen on 20% of the tasks" in note
    assert paper_tables.closing([], NO_SUMMARY) == ""


def test_a_terminal_gets_what_tells_cells_apart_and_no_note_without_need() -> None:
    cells = [curve(outcomes([0.4, 0.6], 4), [0, 0.2], anchor=anchor) for anchor in ("description", "prompt")]
    heading, _, *rows = paper_tables.closing(cells, NO_SUMMARY).splitlines()
    assert heading.split()[:4] == ["Model", "Benchmark", "Anchor", "(mask)"]
    assert [" (per_token) " in row for row in rows] == [True, True]
    assert len(rows) == 2


def test_a_terminal_shows_an_omega_without_a_plain_run_alone() -> None:
    (with_plain,) = cells = [curve(outcomes([0.4, 0.6], 4), [0, 0.2])]
    alone = {**with_plain.settings, "benchmark": "mbpp", "n_tasks": 8, "pass_at_1": 0.25, "omega_lo": 0.3}
    summary = pd.DataFrame([{**alone, "omega_hi": 0.3, "delta": None}, {**alone, "omega_hi": 0.4, "delta": None}])
    *_, row = paper_tables.closing(cells, summary).splitlines()
    assert row.split()[-4:] == ["MBPP", "8", "25.0", "0.3"]
    assert len(paper_tables.closing([], summary).splitlines()) == 3
