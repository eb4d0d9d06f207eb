import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.text import Text
from synthetic import curve, outcomes

from spa.analysis import methods
from spa.analysis.curves import Curve
from spa.report.figures.drawing import COLUMN_WIDTH, TEXT_WIDTH, Drawing, png
from spa.report.figures.method_curves import drawings

NAMES = {"spa": "per_token", "cad": "removed", "cfg": "last_token", "spa_probability": "per_token", "x": "per_token"}


def of_interval(cell: Curve) -> Curve:
    return replace(cell, hi=np.append(cell.lo[1:], 0.5))


def draw(n_methods: int, benchmarks: tuple[str, ...] = ("humaneval",), **settings: str) -> list[Drawing]:
    """The first of NAMES, at 0, 0.1, 0.2: SPA over an interval, the others at single omegas."""
    cells = [
        curve(outcomes([0.4, 0.6, 0.2], 20), method=method, mask=mask, benchmark=benchmark, **settings)
        for method, mask in list(NAMES.items())[:n_methods]
        for benchmark in benchmarks
    ]
    cells = [of_interval(cell) if cell.settings["method"] == "spa" else cell for cell in cells]
    return drawings(methods.method_curves(methods.comparisons(cells)))


def test_intervals_are_steps_and_single_omegas_points() -> None:
    (drawing,) = draw(2)
    assert drawing.name == "methods_tiny_1m"
    assert [axis.get_title(loc="left") for axis in drawing.figure.axes] == ["spa", "cad"]
    spa, cad = drawing.figure.axes
    steps, plain = spa.get_lines()
    assert steps.get_drawstyle() == "steps-post"
    np.testing.assert_allclose(steps.get_xydata(), [[0, 0], [0.1, 20], [0.2, -20], [0.5, -20]], atol=1e-9)
    assert list(plain.get_ydata()) == [0, 0]
    (band,) = (each for each in spa.collections if isinstance(each, PolyCollection))
    of_spa = drawing.rows[drawing.rows["method"] == "spa"]
    assert set(band.get_paths()[0].vertices[:, 1]) == {*(of_spa["delta_low"] * 100), *(of_spa["delta_high"] * 100)}
    points, _ = cad.get_lines()
    assert (points.get_marker(), points.get_linestyle()) == ("o", "None")
    np.testing.assert_allclose(points.get_xydata(), [[0, 0], [0.1, 20], [0.2, -20]], atol=1e-9)
    (bars,) = (each for each in cad.collections if isinstance(each, LineCollection))
    of_cad = drawing.rows[drawing.rows["method"] == "cad"]
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, of_cad[["delta_low", "delta_high"]] * 100)


def test_a_gap_of_omegas_is_a_gap_of_the_curve() -> None:
    spa = replace(of_interval(curve(outcomes([0.4, 0.6], 20))), hi=np.array([0.05, 0.5]))
    cad = curve(outcomes([0.4, 0.6], 20), method="cad")
    (drawing,) = drawings(methods.method_curves(methods.comparisons([spa, cad])))
    steps = drawing.figure.axes[0].get_lines()[0]
    np.testing.assert_allclose(steps.get_xydata(), [[0, 0], [0.05, np.nan], [0.1, 20], [0.5, 20]], atol=1e-9)


def test_panels_say_what_they_are_of() -> None:
    """Methods beside each other with their second prompts, benchmarks below each other, each method's own scale."""
    (drawing,) = draw(4, ("humaneval", "humaneval_plus"), anchor="prompt")
    axes = np.array(drawing.figure.axes).reshape(2, 4)
    assert [axis.get_ylabel() for axis in axes[:, 0]] == [
        "HumanEval\nless plain (points)",
        "HumanEval+\nless plain (points)",
    ]
    assert [axis.get_title(loc="left") for axis in axes[0]] == ["spa", "cad", "cfg", "spa_probability"]
    assert [axis.texts[0].get_text() for axis in axes[0]] == [
        *("prompt\nper_token", "prompt\nremoved", "prompt\nlast_token", "prompt\nper_token")
    ]
    assert [axis.get_xlabel() for axis in axes[1]] == [
        r"$\omega$",
        r"$\omega$ = $\alpha$",
        "$\\omega$ = $\\gamma$ \N{MINUS SIGN} 1",
        "$\\omega$ = strength \N{MINUS SIGN} 1",
    ]
    assert {axis.get_title(loc="left") for axis in axes[1]} == {axis.get_xlabel() for axis in axes[0]} == {""}


def test_a_method_that_was_not_run_on_a_benchmark_leaves_a_gap() -> None:
    cells = [
        curve(outcomes([0.4, 0.6], 20), method=method, benchmark=benchmark)
        for benchmark, names in {"humaneval": ["spa", "cad", "cfg"], "mbpp": ["cad", "cfg"]}.items()
        for method in names
    ]
    (drawing,) = drawings(methods.method_curves(methods.comparisons(cells)))
    named = [(axis.get_title(loc="left"), axis.get_ylabel(), axis.get_xlabel() != "") for axis in drawing.figure.axes]
    assert named == [
        ("spa", "HumanEval\nless plain (points)", True),
        ("cad", "", False),
        ("cfg", "", False),
        ("", "MBPP\nless plain (points)", True),
        ("", "", True),
    ]


def test_each_model_has_a_figure_and_other_settings_have_panels() -> None:
    cells = [
        curve(outcomes([0.4, 0.6], 20), method=method, model=model, template=template)
        for model, template in (("M 7B", "a"), ("M 7B", "b"), ("M 33B", "a"))
        for method in ("spa", "cad")
    ]
    made = drawings(methods.method_curves(methods.comparisons(cells)))
    assert [drawing.name for drawing in made] == ["methods_m_7b", "methods_m_33b"]
    assert [axis.get_ylabel() for axis in made[0].figure.axes[::2]] == [
        *("HumanEval\na\nless plain (points)", "HumanEval\nb\nless plain (points)")
    ]
    assert drawings(pd.DataFrame()) == []


@pytest.mark.parametrize(("n_methods", "inches"), [(2, COLUMN_WIDTH), (3, COLUMN_WIDTH), (5, TEXT_WIDTH)])
def test_nothing_is_cut_off_or_too_small(n_methods: int, inches: float) -> None:
    (drawing,) = draw(n_methods)
    figure = drawing.figure
    png(figure)
    width, height = figure.get_size_inches()
    assert width == inches
    box = figure.get_tightbbox()
    assert (box.x0, box.y0) >= (0, 0)
    assert (box.x1, box.y1) <= (width, height)
    assert {7 <= text.get_fontsize() <= 9 for text in figure.findobj(Text) if text.get_text()} == {True}
    titles = [axis._left_title.get_window_extent() for axis in figure.axes]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(titles))


def test_files_are_deterministic(tmp_path: Path) -> None:
    first, again = ([path.read_bytes() for path in draw(3)[0].save(tmp_path / name)] for name in ("1", "2"))
    assert first == again
