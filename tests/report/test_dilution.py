from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.text import Text
from synthetic import measurement_of

from spa.report.figures import dilution as dilution_figures
from spa.report.figures.dilution import approximation_rows, dilution_rows
from spa.report.figures.drawing import COLUMN_WIDTH, png
from spa.results.store import Results
from spa.runs.attention_dilution import APPROXIMATION, SHARES


def shares(lengths: dict[str, int], n_prompt: int = 20, n_anchor: int = 5) -> pd.DataFrame:
    """Even attention in the plain branch; with SPA all of it on the prompt, half on the anchor."""
    rows = []
    for task_id, length in lengths.items():
        for measure in dilution_figures.MEASURES:
            for step in range(length):
                seen, tokens = n_prompt + step, [n_prompt, n_anchor]
                place = [task_id, "plain", measure, step, step / length]
                rows.append([*place, n_prompt / seen, n_anchor / seen, *tokens])
                rows.append([task_id, "spa", measure, step, step / length, 1.0, 0.5, *tokens])
    return pd.DataFrame(rows, columns=SHARES)


def scales(n_tasks: int = 3) -> pd.DataFrame:
    """Task k errs by k at every omega, and by infinity at one of three steps."""
    rows = [
        [f"T/{task}", step, omega, 0.9, task / 10, np.inf if step == 0 else task, task > 0, True]
        for task in range(n_tasks)
        for step in range(3)
        for omega in (0.5, 1.0)
    ]
    return pd.DataFrame(rows, columns=APPROXIMATION)


def write(folder: Path, shares: pd.DataFrame, scales: pd.DataFrame) -> dilution_figures.Attention:
    place = Results(folder).attention("abc")
    place.write(shares.to_csv(index=False), scales.to_csv(index=False), measurement_of("abc"))
    return place


def test_bins_are_means_of_task_means() -> None:
    """40 steps are two bins of 20 tokens, the third task has but the first."""
    rows = dilution_rows(shares({"A": 40, "B": 40, "C": 20}), np.random.default_rng(0))
    by_position = rows[(rows["axis"] == "position") & (rows["measure"] == "self_all")]
    plain = by_position[(by_position["branch"] == "plain") & (by_position["part"] == "prompt")]
    assert list(plain["x"]) == [10, 30]
    assert list(plain["n_tasks"]) == [3, 2]
    expected = [np.mean([20 / (20 + step) for step in steps]) for steps in (range(20), range(20, 40))]
    assert list(plain["mean"]) == pytest.approx(expected)
    assert list(plain["uniform"]) == pytest.approx(expected)
    assert list(plain["low"]) == pytest.approx(expected), "all tasks are alike"
    spa = by_position[(by_position["branch"] == "spa") & (by_position["part"] == "anchor")]
    assert list(spa["mean"]) == [0.5, 0.5]


def test_a_bin_of_few_tasks_is_left_out() -> None:
    rows = dilution_rows(shares({"A": 40, "B": 20, "C": 20}), np.random.default_rng(0))
    assert set(rows[rows["axis"] == "position"]["x"]) == {10}
    assert rows[rows["axis"] == "relative_position"]["x"].between(0, 1).all()


def test_agreement_is_averaged_and_errors_are_medians() -> None:
    rows = approximation_rows(scales(), np.random.default_rng(0)).set_index(["quantity", "omega"])["mean"]
    assert rows["relative_error", 0.5] == pytest.approx(1)
    assert rows["shift_correlation", 1.0] == pytest.approx(0.1)
    assert rows["argmax_agrees", 1.0] == pytest.approx(2 / 3)
    assert rows["plain_argmax_agrees", 1.0] == 1


def test_figures_show_the_rows(tmp_path: Path) -> None:
    dilution, approximation = dilution_figures.draw(write(tmp_path, shares({"A": 60, "B": 60, "C": 60}), scales()))
    assert (dilution.name, approximation.name) == ("attention_dilution_abc", "approximation_abc")
    panels = np.array(dilution.figure.axes).reshape(3, 2)
    assert [panel.get_title(loc="left") for panel in panels[:, 0]] == list(dilution_figures.MEASURES.values())
    drawn = panels[2, 0].get_lines()[0].get_xydata()
    rows = dilution.rows[(dilution.rows["measure"] == "gradient") & (dilution.rows["axis"] == "position")]
    plain = rows[(rows["branch"] == "plain") & (rows["part"] == "prompt")]
    np.testing.assert_allclose(drawn, np.column_stack([plain["x"], plain["mean"] * 100]))
    assert sum(isinstance(item, PolyCollection) for item in panels[2, 0].collections) == 4
    ends = panels[2, 1].get_lines()[1]  # of the plain text's gradient: its first and its last step, joined to nothing
    assert (ends.get_linestyle(), ends.get_markerfacecolor()) == ("None", "white")
    relative = dilution.rows[(dilution.rows["measure"] == "gradient") & (dilution.rows["axis"] == "relative_position")]
    plain = relative[(relative["branch"] == "plain") & (relative["part"] == "prompt")]
    np.testing.assert_allclose(ends.get_xydata(), plain[["x", "mean"]].iloc[[0, -1]] * [1, 100])
    np.testing.assert_allclose(panels[2, 1].get_lines()[0].get_xdata(), plain["x"].iloc[1:-1])
    assert panels[2, 1].get_ylim()[1] > 100
    assert [panel.get_ylabel() for panel in approximation.figure.axes] == [
        "Correlation",
        "Error / true shift",
        "Same token (%)",
    ]
    for each in (dilution, approximation):
        assert each.figure.get_size_inches()[0] == COLUMN_WIDTH
        png(each.figure)
        box = each.figure.get_tightbbox()
        assert 0 <= box.x0 < box.x1 <= COLUMN_WIDTH
        assert {7 <= text.get_fontsize() <= 9 for text in each.figure.findobj(Text) if text.get_text()} == {True}
        assert "Means over 3 tasks" in each.caption


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    place = write(tmp_path, shares({"A": 30, "B": 50, "C": 60}), scales())
    contents = [
        [path.read_bytes() for drawn in dilution_figures.draw(place) for path in drawn.save(tmp_path / folder)]
        for folder in ("1", "2")
    ]
    assert contents[0] == contents[1]


def test_nothing_measured_draws_nothing(tmp_path: Path) -> None:
    assert not list(dilution_figures.draw(write(tmp_path, shares({}), scales(0))))
