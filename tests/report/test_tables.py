import pandas as pd

from spa.analysis.formats import percent
from spa.report.tables import Table, shown_as


def test_a_table_in_three_forms() -> None:
    data = pd.DataFrame({"name": ["a_b", "c"], "rate": [0.123456, float("nan")]})
    shown = shown_as(data, {"Name": ("name", str), "Rate (%)": ("rate", percent)})
    table = Table("t", "Rates", data, shown, 1, ("A note.",))
    forms = table.forms()
    assert forms["csv"] == "name,rate\na_b,0.123456\nc,\n"
    assert forms["md"].splitlines()[0] == "# Rates"
    assert "| a_b    |       12.3 |" in forms["md"]
    assert "| c      |            |" in forms["md"]
    assert forms["md"].endswith("\n\nA note.\n")
    assert r"a\_b & 12.3 \\" in forms["tex"]
    assert r"\begin{tabular}{lr}" in forms["tex"]
    assert forms["tex"].splitlines()[2] == "% A note."


def table_of_runs() -> Table:
    shown = pd.DataFrame({"Model": ["M", "M", "N"], "Omega": ["0", "0", "0"], "Run": ["aa", "aa", "aa"]}, dtype=object)
    return Table("t", "Runs", shown, shown, 1, (), said_once=("Model", "Run"), has_heading=False)


def test_what_repeats_is_said_once_in_files_and_on_the_page() -> None:
    table = table_of_runs()
    assert table.rows == [["M", "0", "aa"], ["", "0", ""], ["N", "0", "aa"]]
    assert table.columns == [("Model", "left"), ("Omega", "right"), ("Run", "left")]
    assert table.markdown().startswith("| Model   |   Omega | Run   |")
    assert r"M & 0 & aa \\" in table.latex()
