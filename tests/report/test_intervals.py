from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from synthetic import all_tables, curve, outcomes

from spa.analysis.evidence import Evidence
from spa.report import paper_tables
from spa.report.figures import intervals
from spa.report.figures.drawing import COLUMN_WIDTH, Drawing, png


@pytest.fixture(scope="module")
def drawn() -> dict[str, Drawing]:
    return {drawing.name: drawing for drawing in intervals.drawings(all_tables().values())}


def test_what_the_tables_hold_is_drawn(drawn: dict[str, Drawing]) -> None:
    assert list(drawn) == ["anchors", "tuning", "optimum", "cost"]
    assert list(drawn["anchors"].rows["panel"].unique()) == [
        *("M 7B, HumanEval", "M 7B, MBPP+", "M 33B, HumanEval", "M 33B, MBPP+")
    ]
    assert list(drawn["anchors"].rows["label"]) == ["description", "prompt"] * 4
    assert (
        list(drawn["tuning"].rows["label"]) == ["HumanEval", "MBPP+"] * 2
    )  # the ablation's other anchors are not here
    tuned = all_tables()["tuned"].data
    tuned = tuned[(tuned["share"] == 0.2) & (tuned["anchor"] == "description")]
    np.testing.assert_allclose(drawn["tuning"].rows["value"], tuned["delta"] * 100)
    np.testing.assert_allclose(drawn["tuning"].rows["box_high"], tuned["split_p75"] * 100)
    assert drawn["cost"].rows.loc[0, ["label", "value", "low", "high"]].tolist() == ["cuda-6.7b", 1.5, 1.4, 1.7]


def test_points_and_intervals_are_the_rows(drawn: dict[str, Drawing]) -> None:
    drawing = drawn["anchors"]
    for axis, (panel, rows) in zip(drawing.figure.axes, drawing.rows.groupby("panel", sort=False), strict=True):
        assert [text.get_text() for text in axis.texts] == [panel]
        (points,) = (line for line in axis.get_lines() if line.get_marker() == "o")
        assert list(points.get_xdata()) == list(rows["value"])
        ends = [segment[:, 0].tolist() for segment in axis.collections[0].get_segments()]
        assert ends == rows[["low", "high"]].to_numpy().tolist()
        assert [text.get_text() for text in axis.get_yticklabels()] == list(rows["label"])


def test_other_methods_are_left_to_their_own_figure() -> None:
    cells = [curve(outcomes([0.4, 0.6], 20), method=method) for method in ("spa", "cad", "cfg")]
    for chosen, labels in ((cells, ["HumanEval"]), (cells[1:], ["HumanEval, cad", "HumanEval, cfg"])):
        drawn = {drawing.name: drawing for drawing in intervals.drawings(paper_tables.tables(Evidence(chosen)))}
        assert [list(drawn[name].rows["label"]) for name in ("tuning", "optimum")] == [labels, labels]


def test_cells_that_one_label_would_name_alike_are_told_apart() -> None:
    rows = pd.DataFrame({"model": "M", "benchmark": "mbpp", "anchor": "prompt", "template": ["a", "b"], "x": 1.0})
    rows = rows.assign(
        mask="per_token", method="spa", profile="paper", extraction="spa", dtype="float32", quantization="none"
    )
    assert list(intervals._rows(rows, "x", "x", "x")["label"]) == ["MBPP, a", "MBPP, b"]


def test_nothing_is_cut_off_at_column_width(drawn: dict[str, Drawing]) -> None:
    for drawing in drawn.values():
        figure: Figure = drawing.figure
        png(figure)
        assert figure.get_size_inches()[0] == COLUMN_WIDTH
        box = figure.get_tightbbox()
        assert box.x0 >= 0
        assert box.x1 <= COLUMN_WIDTH
        assert {7 <= text.get_fontsize() <= 9 for text in figure.findobj(Text) if text.get_text().strip()} == {True}


def test_an_interval_looks_as_what_it_means_and_a_legend_says_so(drawn: dict[str, Drawing]) -> None:
    named = {name: [text.get_text() for text in each.figure.legends[0].get_texts()] for name, each in drawn.items()}
    assert named == {
        "anchors": ["tuned", "95% bootstrap interval"],
        "tuning": ["mean of the splits", "their 5th to 95th percentile", "their quartiles"],
        "optimum": ["highest Pass@1", "omegas that may be the best"],
        "cost": ["median of the rounds", "lowest to highest"],
    }
    looks = set()
    for each in drawn.values():
        lines = each.figure.axes[0].collections[0]
        looks.add((tuple(lines.get_color()[0]), float(lines.get_linewidth()[0]), str(lines.get_linestyle())))
    assert len(looks) == 4


def test_cells_whose_best_omega_is_open_are_a_sentence() -> None:
    """Of the first model every omega may be the best, of the second only the last."""
    cells = [curve(outcomes(rates, 40), model=name) for name, rates in (("A", [0.5, 0.5]), ("B", [0.2, 0.9]))]
    made = paper_tables.tables(Evidence(cells))
    told = "no omega that was tried can be excluded as the best one (95%, paired bootstrap comparison with the best)."
    (drawing,) = (each for each in intervals.drawings(made) if each.name == "optimum")
    assert list(drawing.rows["panel"]) == ["B"]
    assert drawing.caption.endswith(f"In 1 of 2 cells {told}")
    assert intervals.remarks(made) == []
    alone = paper_tables.tables(Evidence(cells[:1]))
    assert [each.name for each in intervals.drawings(alone)] == ["tuning"]
    assert intervals.remarks(alone) == [f"In the only cell {told}"]


def test_files_are_deterministic(drawn: dict[str, Drawing], tmp_path: Path) -> None:
    drawing = drawn["tuning"]
    first, again = ([path.read_bytes() for path in drawing.save(tmp_path / name)] for name in ("1", "2"))
    assert first == again
    assert b"/FontFile2" in first[1]


def test_without_tables_there_is_no_figure() -> None:
    assert intervals.drawings([]) == []
