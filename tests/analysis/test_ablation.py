from dataclasses import replace

import numpy as np
import pytest
from synthetic import curve, outcomes

from spa.analysis.ablation import anchor_rows, compared, difference_rows, method_rows, own_weight
from spa.analysis.curves import Curve
from spa.analysis.readings import tune

SPA = curve(outcomes([0.5, 0.6, 0.4], 40))
CAD = curve(outcomes([0.5, 0.75], 40), [0.0, 1.0], method="cad", mask="removed")
PACKAGE = curve(outcomes([0.5, 0.25], 40), [0.0, 19.0], method="spa_package", mask="package")


def test_the_ablation_compares_with_the_description() -> None:
    """On the tasks that both have; nothing to compare where there is one anchor."""
    described, other = curve(outcomes([0.3, 0.9], 40)), curve(outcomes([0.3, 0.6], 40), anchor="prompt")
    other = other.of(other.task_ids[:30])
    first, second = anchor_rows([described, other]).itertuples()
    assert (first.anchor, first.n_tasks, np.isnan(first.less_description)) == ("description", 30, True)
    assert second.less_description == pytest.approx(second.delta - first.delta)
    assert second.less_low <= second.less_description <= second.less_high < 0
    assert anchor_rows([described]).empty


def interval(method: str) -> Curve:
    """Passing 20, 30, 10 of 40 tasks on [0, 0.1), [0.1, 0.2), [0.2, 0.5]."""
    parts = curve(outcomes([0.5, 0.75, 0.25], 40), method=method)
    return replace(parts, lo=np.array([0, 0.1, 0.2]), hi=np.array([0.1, 0.2, 0.5]))


def test_methods_of_one_model_and_benchmark_are_compared() -> None:
    other_anchor, other_mask = curve(SPA.passed, anchor="prompt"), curve(SPA.passed, mask="collapsed")
    alone = curve(SPA.passed, model="Other")
    guided = curve(outcomes([0.5, 0.5], 40), method="cfg", mask="last_token", anchor="prompt")
    found = compared([guided, other_anchor, alone, CAD, other_mask, SPA, curve(outcomes([0.5], 40), method="plain")])
    assert found == [SPA, CAD, guided]
    assert compared([SPA, alone, curve(CAD.passed, model="Third", method="cad")]) == []
    assert compared([SPA, curve(CAD.passed, method="cad", template="evalplus")]) == []


def test_a_row_has_the_tuned_reading_and_the_methods_own_weight() -> None:
    rows = method_rows([SPA, CAD, PACKAGE, interval("spa_probability")]).set_index("method")
    assert list(rows["tried"]) == ["0 to 0.2, 3", "0 to 1, 2", "0 to 19, 2", "0 to 0.5"]
    assert list(rows["own_weight"]) == ["omega 0.1", "alpha 1", "strength 1", "strength 1.1"]
    assert rows.loc["cad", "omega"] == 1
    assert rows.loc["cad", "delta"] == tune(CAD).delta
    assert 0.2 < tune(CAD).delta < 0.25  # 10 of 40 tasks, where the tasks tuned on show it
    assert rows.loc["cad", "delta_low"] < 0.25 < rows.loc["cad", "delta_high"]
    assert rows.loc["spa_package", "delta"] == 0
    assert (rows["plain_pass_at_1"] == 0.5).all()
    assert method_rows([SPA]).empty


def test_differences_are_paired() -> None:
    rows = difference_rows([interval("cad"), SPA])
    drawn = rows[rows["method"] == "cad"]
    assert list(drawn["delta"]) == [0, 0.25, -0.25]
    assert list(drawn[["omega_lo", "omega_hi"]].itertuples(index=False, name=None)) == [
        (0, 0.1),
        (0.1, 0.2),
        (0.2, 0.5),
    ]
    assert list(drawn["delta_low"]) == pytest.approx([0, 0.125, -0.375], abs=0.03)  # of 40 tasks, 10 changed alike
    assert list(drawn["delta_high"]) == pytest.approx([0, 0.375, -0.125], abs=0.03)
    assert difference_rows([SPA]).empty


def test_a_weight_on_the_scale_it_was_published_with() -> None:
    assert [own_weight(name, 0.5) for name in ("spa", "cad", "cfg", "spa_package", "spa_decay")] == [
        "omega 0.5",
        "alpha 0.5",
        "gamma 1.5",
        "strength 1.5",
        "omega 0.5",
    ]
