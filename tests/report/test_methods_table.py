import pandas as pd
from synthetic import curve, outcomes

from spa.analysis import methods
from spa.report.methods_table import methods_table


def test_a_row_for_each_method() -> None:
    cells = [
        curve(outcomes([0, 1], 10), [0, 0.1], method="cfg", anchor="prompt", mask="last_token"),
        curve(outcomes([0, 0, 1], 10), quantization="int8"),
        curve(outcomes([0, 0, 1], 10)),
    ]
    (table,) = methods_table(methods.method_rows(methods.comparisons(cells)))
    assert table.shown.columns[: table.n_names].tolist() == [
        *("Model", "Weights", "Benchmark", "Method", "Anchor (mask)", "Omegas")
    ]
    spa, cfg = table.rows
    assert spa[:6] == ["Tiny 1M", "float32", "HumanEval", "spa", "description (per_token)", "0..0.2, 3 values"]
    assert spa[6:10] == ["10", "0.0", "100.0", "+100.0"]
    assert spa[11:] == ["+100.0", "", "", "", "0.2", "omega 0.2", "10", "0", "100.0", "0.2"]
    assert cfg[3:6] == ["cfg", "prompt (last_token)", "0..0.1, 2 values"]
    assert cfg[12:17] == ["0.0", "0.0", "0.0", "0.1", "gamma 1.1"]
    assert table.markdown().startswith("# Methods: ")


def test_further_settings_are_named_where_they_differ() -> None:
    cells = [
        curve(outcomes([0, 1], 10), method=method, template=template)
        for template in ("deepseek", "evalplus")
        for method in ("spa", "cad")
    ]
    (table,) = methods_table(methods.method_rows(methods.comparisons(cells)))
    assert table.shown["Template"].tolist() == ["deepseek", "deepseek", "evalplus", "evalplus"]
    assert table.n_names == 7


def test_without_rows_there_is_no_table() -> None:
    assert methods_table(pd.DataFrame()) == []
