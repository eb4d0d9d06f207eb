import io
from pathlib import Path

import pandas as pd
import pytest
from synthetic import grid_with_plus, interval, points, write_run

from spa.analysis import aggregate
from spa.report.main_table import INTERVAL_NOTE, NOTE, main_table
from spa.report.tables import Table, csv
from spa.results.store import Results


def summarise(folder: Path) -> pd.DataFrame:
    return aggregate.summary(aggregate.tasks(aggregate.load([Results(folder)])))


def as_written(table: Table) -> pd.DataFrame:
    """As files and page show it."""
    return pd.DataFrame(table.rows, columns=table.headings)


def test_rendered_by_hand(tmp_path: Path) -> None:
    grid_with_plus(tmp_path)
    shown = main_table(summarise(tmp_path)).shown
    assert len(shown) == 6
    assert shown.iloc[1].to_dict() == {
        "Model": "Tiny 1M",
        "Weights": "float32, Q4_1",
        "Benchmark": "HumanEval",
        "Anchor (mask)": "description (per_token)",
        "Tasks (anchored)": "4 (3)",
        "Plain (%)": "50.0",
        "Omega": "0.1",
        "Pass@1 (%)": "75.0",
        "95% CI": "30.1 to 95.4",
        "Delta": "+25.0",
        "Fixed": "1",
        "Broken": "0",
        "p": "1.000",
        "Run": "grid",
    }
    assert list(shown["Delta"]) == ["", "+25.0", "0.0", "", "+25.0", "+25.0"]
    assert list(shown["Benchmark"].unique()) == ["HumanEval", "HumanEval+"]


def test_what_repeats_is_said_once(tmp_path: Path) -> None:
    grid_with_plus(tmp_path)
    shown = as_written(main_table(summarise(tmp_path)))
    assert list(shown["Model"]) == ["Tiny 1M", "", "", "Tiny 1M", "", ""]
    assert list(shown["Plain (%)"]) == ["50.0", "", "", "25.0", "", ""]
    assert list(shown["Omega"]) == ["0", "0.1", "0.2"] * 2


def test_no_plain_run_is_told_apart_from_plain(tmp_path: Path) -> None:
    write_run(tmp_path, "k", {"A": points("p", omegas=[0.3])})
    row = main_table(summarise(tmp_path)).shown.iloc[0]
    assert row[["Plain (%)", "Delta", "Fixed", "Broken", "p"]].to_list() == ["n/a"] * 5


def test_plain_in_the_closed_last_part_of_an_interval(tmp_path: Path) -> None:
    """The part [-0.1, 0] of -0.5..0 holds omega 0; [-0.1, 0) of an interval that goes on does not."""
    verdicts = {"A": [(-0.5, -0.1, "p"), (-0.1, 0.0, "f")]}
    write_run(tmp_path, "k", verdicts, omega={"lo": -0.5, "hi": 0.0})
    shown = main_table(summarise(tmp_path)).shown
    assert list(shown["Omega"]) == ["-0.5000..-0.1000", "-0.1000..0.0000"]
    assert list(shown["Delta"]) == ["+100.0", ""]
    write_run(tmp_path, "k", {"A": [*verdicts["A"], (0.0, 0.5, "p")]}, omega={"lo": -0.5, "hi": 0.5})
    assert list(main_table(summarise(tmp_path)).shown["Delta"]) == ["0.0", "-100.0", ""]


def test_a_negative_delta_and_a_small_p(tmp_path: Path) -> None:
    write_run(tmp_path, "k", {f"T/{number}": points("p", "f") for number in range(12)})
    row = main_table(summarise(tmp_path)).shown.iloc[1]
    assert row[["Delta", "Fixed", "Broken", "p"]].to_list() == ["-100.0", "0", "12", "<0.001"]


def test_of_an_interval_evenly_spaced_omegas_are_shown(tmp_path: Path) -> None:
    """Twenty parts of width 0.025 over 0..0.5: those that hold 0, 0.1, ..., 0.5."""
    verdicts = {"A": [(n / 40, (n + 1) / 40, "pf"[n % 2]) for n in range(20)]}
    write_run(tmp_path, "k", verdicts, omega={"lo": 0.0, "hi": 0.5})
    summary = summarise(tmp_path)
    table = main_table(summary)
    assert len(summary) == 20
    assert list(table.data["omega_lo"]) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.475])
    assert INTERVAL_NOTE in table.markdown()
    assert "0.1000..0.1250" in table.markdown()


def test_few_parts_are_shown_once_each(tmp_path: Path) -> None:
    interval(tmp_path)
    assert list(main_table(summarise(tmp_path)).data["omega_lo"]) == [0.0, 0.2, 0.3]


def test_settings_that_tell_runs_of_a_model_apart_are_named(tmp_path: Path) -> None:
    write_run(tmp_path, "a", {"A": points("p", "p")})
    assert "Template" not in main_table(summarise(tmp_path)).shown
    write_run(tmp_path, "b", {"A": points("p", "p")}, template="evalplus")
    shown = main_table(summarise(tmp_path)).shown
    assert list(shown["Template"]) == ["deepseek", "deepseek", "evalplus", "evalplus"]
    assert "Profile" not in shown


def test_runs_of_one_omega_each_stand_in_order_of_omega(tmp_path: Path) -> None:
    for key, omega in (("c", 0.0), ("a", 0.2), ("b", 0.1)):
        write_run(tmp_path, key, {"A": points("p", omegas=[omega])})
    shown = as_written(main_table(summarise(tmp_path)))
    assert list(shown["Omega"]) == ["0", "0.1", "0.2"]
    assert list(shown["Run"]) == ["c", "b", "a"]
    assert list(shown["Model"]) == ["Tiny 1M", "", ""]


def test_csv_keeps_fractions_and_empty_cells(tmp_path: Path) -> None:
    grid_with_plus(tmp_path)
    write_run(tmp_path, "alone", {"A": points("p", omegas=[0.3])}, model="Other")
    summary = summarise(tmp_path)
    back = pd.read_csv(io.StringIO(csv(summary)))
    assert list(back.columns) == aggregate.SUMMARY
    assert list(back["pass_at_1"]) == list(summary["pass_at_1"])
    alone = next(line for line in csv(summary).splitlines() if ",alone," in line)
    assert alone.endswith(",,,,,")
    assert ",1.0,1,0," not in alone  # counts stay integers


def test_latex_escapes_and_uses_booktabs(tmp_path: Path) -> None:
    write_run(tmp_path, "k", {"A": points("p", "p")}, model="A&B_100% #1 {x} ~^$\\")
    tex = main_table(summarise(tmp_path)).latex()
    assert r"A\&B\_100\% \#1 \{x\} \textasciitilde \textasciicircum \$\textbackslash" in tex
    assert r"description (per\_token)" in tex
    assert r"Pass@1 (\%)" in tex
    for rule in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert rule in tex
    body = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert {line.replace(r"\&", "").count("&") for line in body} == {13}


def test_markdown_has_a_row_for_each_omega(tmp_path: Path) -> None:
    grid_with_plus(tmp_path)
    lines = main_table(summarise(tmp_path)).markdown().splitlines()
    assert sum(line.startswith("|") for line in lines) == 2 + 6
    assert NOTE in lines


def test_an_empty_table_renders(tmp_path: Path) -> None:
    write_run(tmp_path, "k", {"A": points("")}, scoring=None)
    table = main_table(summarise(tmp_path))
    assert table.markdown().startswith("| Model")
    assert r"\toprule" in table.latex()
    assert table.forms()["csv"].splitlines() == [",".join(aggregate.SUMMARY)]
