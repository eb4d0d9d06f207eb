from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from synthetic import curve, outcomes

from spa.analysis import methods
from spa.analysis.curves import Curve
from spa.analysis.readings import against_plain, tune
from spa.method import scale_of


def cells() -> list[Curve]:
    """10 tasks that plain decoding fails: SPA passes all at 0.2, cad all but one at 0.2, cfg all at 0.1."""
    return [
        curve(outcomes([0, 1], 10), [0, 0.1], method="cfg", anchor="prompt", mask="last_token"),
        curve(outcomes([0, 0, 0.9], 10), method="cad", mask="removed"),
        curve(outcomes([0, 0, 1], 10)),
    ]


def names(comparison: methods.Comparison) -> list[tuple[str, ...]]:
    return [tuple(cell.settings[name] for name in ("method", "anchor", "mask")) for cell in comparison]


def test_methods_stand_beside_each_other_spa_first() -> None:
    """With the usual anchor and mask: the others are the ablations'. A method may be there twice."""
    ablations = [curve(outcomes([0, 1], 10), anchor="prompt"), curve(outcomes([0, 1], 10), mask="collapsed")]
    twice = curve(outcomes([0, 1], 10), method="cad", mask="collapsed")
    (comparison,) = methods.comparisons([*ablations, *cells(), twice])
    assert names(comparison) == [
        ("spa", "description", "per_token"),
        ("cad", "description", "removed"),
        ("cad", "description", "collapsed"),
        ("cfg", "prompt", "last_token"),
    ]
    (comparison,) = methods.comparisons([ablations[0], twice])
    assert names(comparison)[0] == ("spa", "prompt", "per_token")


def test_one_method_alone_is_not_compared() -> None:
    spa = curve(outcomes([0, 1], 10))
    others = [
        curve(outcomes([0, 1], 10), anchor="prompt"),
        curve(outcomes([0], 10), method="cad"),  # plain decoding alone
        curve(outcomes([0, 1], 10), method="cad", benchmark="mbpp"),
        curve(outcomes([0, 1], 10), method="cad", model="Other"),
        curve(outcomes([0, 1], 10), method="cad", template="evalplus"),
        curve(outcomes([0, 1], 1), method="cad"),  # one task in common
        replace(curve(outcomes([0, 1], 10), method="cad"), plain_identity="other limits"),
    ]
    for other in others:
        assert methods.comparisons([spa, other]) == []
    assert methods.method_rows([]).empty
    assert methods.method_curves([]).empty


def test_of_sets_with_different_plain_decoding_that_of_most_methods_is_compared() -> None:
    earlier = replace(curve(outcomes([0, 0.5], 10)), plain_identity="an earlier rule")
    (comparison,) = methods.comparisons([earlier, *cells()])
    assert len(comparison) == 3
    assert earlier.passed is not comparison[0].passed


def test_each_method_is_tuned_for_itself() -> None:
    """Any two tuning tasks choose the only omega that passes; cad gains 7 or 8 of 8 on the others, 0.9 in the mean."""
    rows = methods.method_rows(methods.comparisons(cells())).set_index("method")
    assert list(rows.index) == ["spa", "cad", "cfg"]
    assert rows.loc["spa", ["plain_pass_at_1", "tuned_pass_at_1", "delta", "delta_high"]].tolist() == [0, 1, 1, 1]
    assert rows.loc["spa", ["delta_low", "delta_high"]].tolist() == list(tune(cells()[2]).interval)
    assert rows["delta"].tolist() == pytest.approx([1, 0.9, 1], abs=0.005)
    assert rows["less_spa"].tolist() == pytest.approx([np.nan, -0.1, 0], abs=0.005, nan_ok=True)
    assert rows.loc["cfg", ["less_low", "less_high"]].tolist() == [0, 0]
    assert rows.loc["cad", "less_low"] < -0.1 < rows.loc["cad", "less_high"] <= 0
    assert rows["omega"].tolist() == [0.2, 0.2, 0.1]
    assert list(zip(rows["scale"], rows["on_scale"], strict=True)) == [("omega", 0.2), ("alpha", 0.2), ("gamma", 1.1)]
    assert list(zip(rows["fixed"], rows["broken"], strict=True)) == [(10, 0), (9, 0), (10, 0)]
    assert rows["omegas"].tolist() == ["0..0.2, 3 values", "0..0.2, 3 values", "0..0.1, 2 values"]
    assert list(zip(rows["highest_pass_at_1"], rows["best_lo"], strict=True)) == [(1, 0.2), (0.9, 0.2), (1, 0.1)]


def test_the_tasks_are_those_that_all_methods_have() -> None:
    spa, cad = curve(outcomes([0, 1], 10)), curve(outcomes([0, 0.5], 8), method="cad")
    rows = methods.method_rows(methods.comparisons([spa, cad]))
    assert rows["n_tasks"].tolist() == [8, 8]
    assert rows["fixed"].tolist() == [8, 4]


def test_without_spa_nothing_is_less_than_it() -> None:
    rows = methods.method_rows(methods.comparisons(cells()[:2]))
    assert rows["method"].tolist() == ["cad", "cfg"]
    assert rows[["less_spa", "less_low", "less_high"]].isna().all(axis=None)


def test_curves_are_differences_to_plain_decoding() -> None:
    """Of ten tasks plain passes the first five; on [0.2, 0.4] one of them breaks and three others pass."""
    plain = np.arange(10) < 5
    changed = np.array([0, 1, 1, 1, 1, 1, 1, 1, 0, 0], dtype=bool)
    interval = replace(curve(np.column_stack([plain, changed]), [0, 0.2]), hi=np.array([0.2, 0.4]))
    grid = curve(np.column_stack([plain, ~plain]), [0, 1], method="spa_probability")
    rows = methods.method_curves(methods.comparisons([interval, grid]))
    expected = pd.DataFrame(
        {
            "method": ["spa", "spa", "spa_probability", "spa_probability"],
            "scale": ["omega", "omega", "strength", "strength"],
            "scale_at_zero": [0.0, 0.0, 1.0, 1.0],
            "omega_lo": [0, 0.2, 0, 1],
            "omega_hi": [0.2, 0.4, 0, 1],
            "fixed": [0, 3, 0, 5],
            "broken": [0, 1, 0, 5],
            "delta": [0, 0.2, 0, 0],
        }
    )
    pd.testing.assert_frame_equal(rows[list(expected.columns)], expected)
    outcome = against_plain(interval, changed)  # as the table of every task has it
    assert rows.loc[1, ["delta_low", "delta_high"]].tolist() == [outcome["delta_low"], outcome["delta_high"]]
    assert rows.loc[0, ["delta_low", "delta_high"]].tolist() == [0, 0]


def test_weights_as_authors_write_them() -> None:
    known = {method: scale_of(method) for method in ("spa", "spa_probability", "spa_package", "cad", "cfg", "my_own")}
    assert {method: (scale.name, scale.at_zero) for method, scale in known.items()} == {
        "spa": ("omega", 0),
        "spa_probability": ("strength", 1),
        "spa_package": ("strength", 1),
        "cad": ("alpha", 0),
        "cfg": ("gamma", 1),
        "my_own": ("omega", 0),
    }
