from dataclasses import replace

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from synthetic import curve, outcomes

from spa.analysis.ablation import difference_rows
from spa.report.figures import methods


def test_a_panel_for_each_method_over_its_own_weight() -> None:
    spa = curve(outcomes([0.5, 0.75, 0.25], 40))
    spa = replace(spa, lo=np.array([0, 0.1, 0.2]), hi=np.array([0.1, 0.2, 0.5]))
    guided = curve(outcomes([0.5, 0.6], 40), [0, 1], method="cfg", mask="last_token", anchor="prompt")
    package = curve(outcomes([0.5, 0.25, 0.5], 40), [0, 0.4, 19], method="spa_package", mask="package")
    (drawing,) = methods.drawings(difference_rows([spa, guided, package]))
    assert drawing.name == "methods_tiny_1m_humaneval"
    assert "on Tiny 1M, HumanEval, over the weight of each" in drawing.caption
    first, second, third = drawing.figure.axes
    assert [axis.get_title(loc="left") for axis in drawing.figure.axes] == [
        "spa: description (per_token)",
        "cfg: prompt (last_token)",
        "spa_package: description (package)",
    ]
    assert [axis.get_xlabel() for axis in drawing.figure.axes] == [
        r"$\omega$",
        r"$\omega$ = gamma - 1",
        r"$\omega$ = strength - 1",
    ]
    steps = first.get_lines()[0]
    assert steps.get_drawstyle() == "steps-post"
    assert steps.get_xydata().tolist() == [[0, 0], [0.1, 25], [0.2, -25], [0.5, -25]]
    assert any(isinstance(each, PolyCollection) for each in first.collections)
    assert np.allclose(second.get_lines()[0].get_ydata(), [0, 10])
    assert [label.get_text() for label in third.get_xticklabels()] == ["0", "0.4", "19"]
    assert np.allclose(third.get_lines()[0].get_ydata(), [0, -25, 0])
    (bars,) = (each for each in third.collections if isinstance(each, LineCollection))
    rows = drawing.rows[drawing.rows["method"] == "spa_package"]
    drawn = np.array([segment[:, 1] for segment in bars.get_segments()]) / 100
    assert np.allclose(drawn, rows[["delta_low", "delta_high"]])


def test_nothing_is_drawn_of_one_method() -> None:
    assert methods.drawings(difference_rows([curve(outcomes([0.5, 0.75], 40))])) == []
