import io
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.collections import PolyCollection
from matplotlib.text import Text
from synthetic import grid_with_plus, interval, points, write_run

from spa.analysis import aggregate
from spa.report.figures import omega_curves
from spa.report.figures.drawing import COLUMN_WIDTH, Drawing, png
from spa.results.store import Results


def curve(*folders: Path) -> pd.DataFrame:
    cells = aggregate.load([Results(folder) for folder in folders])
    return omega_curves.curve_rows(aggregate.summary(aggregate.tasks(cells)))


def test_points_and_band_are_the_summary(tmp_path: Path) -> None:
    grid_with_plus(tmp_path)
    rows = curve(tmp_path)
    figure = omega_curves.omega_curve(rows)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    assert titles == ["HumanEval: plain 50.0%", "HumanEval+: plain 25.0%"]
    for axis, benchmark in zip(figure.axes, ["humaneval", "humaneval_plus"], strict=True):
        drawn = rows[rows["benchmark"] == benchmark]
        line, plain = axis.get_lines()
        np.testing.assert_array_equal(line.get_xydata(), np.column_stack([drawn["omega_lo"], drawn["delta"] * 100]))
        assert line.get_marker() == "o"
        assert list(plain.get_ydata()) == [0, 0]
        (band,) = (patch for patch in axis.collections if isinstance(patch, PolyCollection))
        assert set(band.get_paths()[0].vertices[:, 1]) == set(drawn["delta_low"] * 100) | set(drawn["delta_high"] * 100)


def test_an_interval_is_a_step_function(tmp_path: Path) -> None:
    """Passing 2, 3, 2 of 3 on [0, 0.2), [0.2, 0.3), [0.3, 0.5]."""
    interval(tmp_path)
    (axis,) = omega_curves.omega_curve(curve(tmp_path)).axes
    line = axis.get_lines()[0]
    assert line.get_drawstyle() == "steps-post"
    np.testing.assert_allclose(line.get_xdata(), [0, 0.2, 0.3, 0.5])
    np.testing.assert_allclose(line.get_ydata(), np.array([0, 1, 0, 0]) / 3 * 100)


def test_a_given_up_part_is_a_gap(tmp_path: Path) -> None:
    write_run(
        tmp_path, "k", {"A": [(0.0, 0.1, "p"), (0.1, 0.3, "budget"), (0.3, 0.5, "f")]}, omega={"lo": 0.0, "hi": 0.5}
    )
    (axis,) = omega_curves.omega_curve(curve(tmp_path)).axes
    line = axis.get_lines()[0]
    np.testing.assert_allclose(line.get_xdata(), [0, 0.1, 0.3, 0.5])
    np.testing.assert_allclose(line.get_ydata(), [0, np.nan, -100, -100])


def test_runs_of_one_omega_each_are_one_line(tmp_path: Path) -> None:
    for key, omega, verdict in (("c", 0.0, "f"), ("a", 0.1, "p"), ("b", 0.2, "f")):
        write_run(tmp_path, key, {"A": points(verdict, omegas=[omega])})
    (axis,) = omega_curves.omega_curve(curve(tmp_path)).axes
    np.testing.assert_array_equal(axis.get_lines()[0].get_xydata(), [[0, 0], [0.1, 100], [0.2, 0]])


def test_series_differ_without_colour_and_keep_their_look_over_panels(tmp_path: Path) -> None:
    for anchor in ("description", "signature", "prompt"):
        for family in ("humaneval", "mbpp"):
            write_run(tmp_path, anchor + family, {"A": points("p", "f")}, anchor=anchor, benchmark=family)
    figure = omega_curves.omega_curve(curve(tmp_path))
    looks = [[(line.get_label(), line.get_marker()) for line in axis.get_lines()[:3]] for axis in figure.axes]
    assert looks[0] == looks[1]
    assert len(set(looks[0])) == 3
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["description", "prompt", "signature", r"plain greedy ($\omega = 0$)"]
    assert not any(isinstance(patch, PolyCollection) for axis in figure.axes for patch in axis.collections)


def test_the_experiment_names_only_what_nothing_else_tells_apart(tmp_path: Path) -> None:
    for key, changes in {
        "a": {"mask": "per_token", "experiment": "main"},
        "b": {"mask": "collapsed", "experiment": "masks"},
    }.items():
        interval(tmp_path, key=key, **changes)
    assert labels(curve(tmp_path)) == ["collapsed", "per_token"]
    interval(tmp_path, key="c", mask="collapsed", experiment="again")
    assert labels(curve(tmp_path)) == ["collapsed, again", "collapsed, masks", "per_token, main"]


def labels(rows: pd.DataFrame) -> list[str]:
    (axis,) = omega_curves.omega_curve(rows).axes
    return sorted(str(line.get_label()) for line in axis.get_lines()[:-1])


def test_anchors_and_masks_stand_beside_the_usual_ones_in_figures_of_their_own(tmp_path: Path) -> None:
    for key, changes in {
        "a": {},
        "b": {"anchor": "prompt"},
        "c": {"mask": "collapsed"},
        "d": {"anchor": "examples", "benchmark": "mbpp"},
    }.items():
        interval(tmp_path, key=key, **changes)
    summary = aggregate.summary(aggregate.tasks(aggregate.load([Results(tmp_path)])))

    def drawn() -> dict[str, set[str]]:
        return {each.name: set(each.rows["key"]) for each in omega_curves.omega_curves(summary)}

    name = "omega_curve_tiny_1m"
    assert drawn() == {name: {"a", "d"}, f"{name}_anchors": {"a", "b"}, f"{name}_masks": {"a", "c"}}
    interval(tmp_path, key="e", anchor="prompt", mask="collapsed")
    summary = aggregate.summary(aggregate.tasks(aggregate.load([Results(tmp_path)])))
    assert drawn()[f"{name}_all"] == {"a", "b", "c", "e"}
    captions = {each.name: "Bands" in each.caption for each in omega_curves.omega_curves(summary)}
    assert captions == {name: True, f"{name}_anchors": True, f"{name}_masks": True, f"{name}_all": False}


def test_other_methods_stand_in_a_figure_of_their_own(tmp_path: Path) -> None:
    """Beside SPA's curve; a benchmark without one shows them."""
    interval(tmp_path, key="a")
    interval(tmp_path, key="b", method="cad", mask="removed")
    interval(tmp_path, key="c", method="cad", benchmark="mbpp")
    rows = curve(tmp_path)
    assert set(zip(rows["benchmark"], rows["key"], strict=True)) == {("humaneval", "a"), ("mbpp", "c")}


def test_intervals_differ_by_line_style(tmp_path: Path) -> None:
    for anchor in ("description", "signature"):
        interval(tmp_path, key=anchor, anchor=anchor)
    (axis,) = omega_curves.omega_curve(curve(tmp_path)).axes
    solid, dashed, _ = axis.get_lines()
    assert solid.get_linestyle() == "-"
    assert dashed.get_linestyle() == "--"
    assert solid.get_color() != dashed.get_color()


def test_without_a_plain_run_there_is_no_difference_to_draw(tmp_path: Path) -> None:
    write_run(tmp_path, "k", {"A": points("p", omegas=[0.3])})
    assert curve(tmp_path).empty


def test_plain_runs_alone_draw_nothing(tmp_path: Path) -> None:
    write_run(tmp_path, "k", {"A": points("p")})
    assert curve(tmp_path).empty


def test_of_two_runs_at_one_omega_the_fuller_is_drawn(tmp_path: Path) -> None:
    write_run(tmp_path, "a", {"A": points("p", "p")})
    write_run(tmp_path, "b", {"A": points("p", "p"), "B": points("f", "f")})
    assert list(curve(tmp_path)["key"]) == ["b", "b"]


def test_of_two_experiments_the_fuller_is_drawn(tmp_path: Path) -> None:
    write_run(tmp_path, "a", {"A": points("p", "p")}, experiment="some")
    write_run(tmp_path, "b", {"A": points("p", omegas=[0.3]), "B": points("f", omegas=[0.3])}, experiment="all")
    write_run(tmp_path, "c", {"A": points("f", omegas=[0.4])}, experiment="all")
    write_run(tmp_path, "d", {"A": points("f", omegas=[0.4])}, experiment="some", anchor="prompt")
    assert list(curve(tmp_path)["key"]) == ["b", "c", "d"]


def test_a_plain_experiment_on_more_tasks_hides_no_curve(tmp_path: Path) -> None:
    write_run(tmp_path, "plain", {"A": points("p"), "B": points("f")}, experiment="baselines")
    write_run(tmp_path, "spa", {"A": points("p", "f")}, experiment="some")
    assert set(curve(tmp_path)["key"]) == {"spa"}


def test_files_are_deterministic_with_embedded_fonts_and_no_date(tmp_path: Path) -> None:
    interval(tmp_path)
    rows = curve(tmp_path)
    drawings = [Drawing("curve", "", omega_curves.omega_curve(rows), rows) for _ in range(2)]
    first = [path.read_bytes() for path in drawings[0].save(tmp_path / "1")]
    again = drawings[1].save(tmp_path / "2")
    assert [path.name for path in again] == ["curve.png", "curve.pdf", "curve.csv"]
    assert [path.read_bytes() for path in again] == first
    png, pdf, csv = first
    assert b"Software" not in png
    assert b"CreationDate" not in pdf
    assert b"/FontFile2" in pdf  # TrueType, embedded
    assert b"/Type3" not in pdf
    pd.testing.assert_frame_equal(pd.read_csv(io.BytesIO(csv)), rows, check_dtype=False)


def test_legible_at_column_width(tmp_path: Path) -> None:
    interval(tmp_path)
    figure = omega_curves.omega_curve(curve(tmp_path))
    assert figure.get_size_inches()[0] == COLUMN_WIDTH
    png(figure)
    assert {7 <= text.get_fontsize() <= 9 for text in figure.findobj(Text) if text.get_text()} == {True}


def test_more_than_two_panels_stand_in_two_columns() -> None:
    """Of an odd number the last place is empty, and the panel above it has the omegas below it."""
    row = dict.fromkeys(["model", *omega_curves.SERIES], "x") | {"key": "k", "n_tasks": 4, "pass_at_1": 0.5}
    row |= {"delta": 0.0, "delta_low": -0.2, "delta_high": 0.2, "baseline_pass_at_1": 0.5}
    for n_panels, columns, rows in [(1, 1, 1), (2, 1, 2), (3, 2, 2), (4, 2, 2)]:
        drawn = [
            row | {"benchmark": f"b{panel}", "omega_lo": omega, "omega_hi": omega}
            for panel in range(n_panels)
            for omega in (0.0, 0.5)
        ]
        figure = omega_curves.omega_curve(pd.DataFrame(drawn))
        figure.draw_without_rendering()
        titles = [axis.get_title(loc="left") for axis in figure.axes]
        assert titles == [f"b{panel}: plain 50.0%" for panel in range(n_panels)]
        assert figure.axes[0].get_gridspec().get_geometry() == (rows, columns)
        labelled = [bool(axis.get_xlabel()) for axis in figure.axes]
        assert labelled == [False] * (n_panels - columns) + [True] * columns
        for axis in figure.axes[-columns:]:
            assert all(tick.get_visible() for tick in axis.get_xticklabels())
