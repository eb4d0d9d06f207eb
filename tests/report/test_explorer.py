import base64
import json
import math
import zlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from synthetic import grid_with_plus, interval, points, write_run

from spa.analysis import aggregate
from spa.report.explorer import Explorer, explorer, packed
from spa.results.store import Results


def explored(*folders: Path) -> tuple[Explorer, pd.DataFrame]:
    cells = list(aggregate.load([Results(folder) for folder in folders]))
    tasks = aggregate.tasks(cells)
    summary = aggregate.summary(tasks)
    return explorer(cells, tasks, summary), summary


def unpacked(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text)))


def statuses_at(contents: dict[str, Any], omega: float, column: int) -> dict[str, tuple[str | None, str | None]]:
    """Each task's status in plain decoding and at an omega, read as the page reads them."""
    found = {}
    for task in contents["tasks"]:
        ends = [
            hi if hi is not None else following for hi, following in zip(task["hi"], [*task["lo"][1:], 0], strict=True)
        ]
        last = contents["steps"][column]["omega_hi"][-1]
        outcome = None
        for lo, hi, number in zip(task["lo"], ends, task["outcome"], strict=True):
            if lo <= omega < hi or (omega == hi and (lo == hi or hi == last)):
                outcome = number
        numbers = (task["plain"][1] if task["plain"] else None, outcome)
        found[task["id"]] = tuple(
            None if number is None else contents["outcomes"][number]["statuses"][column] for number in numbers
        )
    return found


def assert_the_tasks_give_the_steps(contents: dict[str, Any]) -> None:
    """The summary's counts, recounted from the tasks at each step's begin and middle."""
    for column, steps in enumerate(contents["steps"]):
        for number, (lo, hi) in enumerate(zip(steps["omega_lo"], steps["omega_hi"], strict=True)):
            for omega in (lo, (lo + hi) / 2):
                now = statuses_at(contents, omega, column).values()
                counted = [(plain, status) for plain, status in now if status is not None]
                assert len(counted) == steps["n_tasks"][number]
                assert sum(status == "pass" for _, status in counted) == steps["n_passed"][number]
                if steps["delta"][number] is not None:
                    paired = [(plain, status) for plain, status in counted if plain is not None]
                    fixed = sum(plain != "pass" and status == "pass" for plain, status in paired)
                    broken = sum(plain == "pass" and status != "pass" for plain, status in paired)
                    assert (fixed, broken) == (steps["fixed"][number], steps["broken"][number])


def test_a_grid_with_plus_tests(tmp_path: Path) -> None:
    grid_with_plus(tmp_path)
    (series,), summary = explored(tmp_path)[0].series, explored(tmp_path)[1]
    assert (series.model, series.anchor, series.runs) == ("Tiny 1M", "description", ["grid"])
    assert series.benchmarks == ["humaneval", "humaneval_plus"]
    contents = unpacked(series.data)
    assert_the_tasks_give_the_steps(contents)
    assert [task["id"] for task in contents["tasks"]] == ["T/A", "T/B", "T/C", "T/D"]
    assert [task["spans"] for task in contents["tasks"]] == [[[0, 3]], [[0, 3]], [[0, 3]], []]
    for steps, benchmark in zip(contents["steps"], series.benchmarks, strict=True):
        rows = summary[summary["benchmark"] == benchmark]
        assert steps["n_passed"] == list(rows["n_passed"])
        assert steps["p_value"] == [pytest.approx(value, abs=1e-5) for value in rows["p_value"]]
    assert statuses_at(contents, 0.2, 0)["T/C"] == ("pass", "fail")
    assert statuses_at(contents, 0.1, 1)["T/A"] == ("pass", "fail")
    assert statuses_at(contents, 0.2, 1)["T/C"] == ("fail", "fail")  # the base tests decide first


def test_an_interval_keeps_its_breakpoints(tmp_path: Path) -> None:
    interval(tmp_path)
    found, _ = explored(tmp_path)
    contents = unpacked(found.series[0].data)
    assert_the_tasks_give_the_steps(contents)
    task = contents["tasks"][0]
    assert (task["lo"], task["hi"]) == ([0.0, 0.1, 0.2, 0.4], [None, None, None, 0.5])
    assert [contents["texts"][text] for text in task["text"]] == [
        *("# T/A 0.0 f\n", "# T/A 0.1 f\n", "# T/A 0.2 p\n", "# T/A 0.4 p\n")
    ]
    assert task["token"] == [None, 8, 8, 8]  # a token a character: "# T/A 0." is common
    assert contents["texts"][task["plain"][0]] == "# T/A 0.0 f\n"
    assert unpacked(found.prompts) == ["def f():"]
    assert contents["outcomes"][task["outcome"][0]]["finish_reason"] == "stop"


def test_parts_given_up_and_gaps_have_no_status(tmp_path: Path) -> None:
    verdicts = {"A": [(0.0, 0.2, "p"), (0.2, 0.5, "budget")], "B": [(0.0, 0.1, "f"), (0.3, 0.5, "p")], "C": []}
    write_run(tmp_path, "part", verdicts, omega={"lo": 0.0, "hi": 0.5})
    contents = unpacked(explored(tmp_path)[0].series[0].data)
    assert_the_tasks_give_the_steps(contents)
    assert [task["id"] for task in contents["tasks"]] == ["A", "B"]
    assert contents["tasks"][1]["hi"] == [0.1, 0.5]
    assert statuses_at(contents, 0.25, 0) == {"A": ("pass", None), "B": ("fail", None)}
    assert contents["outcomes"][contents["tasks"][0]["outcome"][1]]["finish_reason"] == "budget"


def test_runs_of_single_omegas_are_one_series(tmp_path: Path) -> None:
    """The run with more verdicts stands for an omega that two hold; plain comes from omega 0 of the series."""
    write_run(tmp_path, "a", {"A": points("f", "p"), "B": points("p", "f")})
    write_run(tmp_path, "b", {"A": [(0.1, 0.1, "f"), (0.3, 0.3, "p")]})
    (series,) = explored(tmp_path)[0].series
    assert series.runs == ["a", "b"]
    contents = unpacked(series.data)
    assert contents["steps"][0]["omega_lo"] == [0.0, 0.1, 0.3]
    assert contents["steps"][0]["n_tasks"] == [2, 2, 1]
    assert_the_tasks_give_the_steps(contents)
    assert statuses_at(contents, 0.1, 0)["A"] == ("fail", "pass")


def test_plain_texts_come_from_the_fullest_run_that_is_equal_at_omega_zero(tmp_path: Path) -> None:
    write_run(tmp_path, "few", {"A": points("f", omegas=[0.0])}, anchor="none")
    write_run(tmp_path, "many", {"A": points("p", omegas=[0.0]), "B": points("p", omegas=[0.0])}, anchor="prompt")
    write_run(tmp_path, "spa", {"A": [(0.1, 0.5, "p")], "B": [(0.1, 0.5, "f")]}, omega={"lo": 0.1, "hi": 0.5})
    write_run(tmp_path, "other", {"A": points("p", omegas=[0.2])}, dtype="float16")
    series = {series.runs[0]: unpacked(series.data) for series in explored(tmp_path)[0].series}
    assert statuses_at(series["spa"], 0.3, 0) == {"A": ("pass", "pass"), "B": ("pass", "fail")}
    assert series["other"]["tasks"][0]["plain"] is None
    assert series["other"]["tasks"][0]["token"] == [None]
    for contents in series.values():
        assert_the_tasks_give_the_steps(contents)


@pytest.mark.parametrize(("lo", "cut"), [(-0.5, 0.0), (-0.5, -0.2), (0.0, 0.2)])
def test_omega_zero_lies_in_the_part_on_its_right(tmp_path: Path, lo: float, cut: float) -> None:
    write_run(tmp_path, "k", {"A": [(lo, cut, "f"), (cut, 0.5, "p")]}, omega={"lo": lo, "hi": 0.5})
    contents = unpacked(explored(tmp_path)[0].series[0].data)
    assert contents["texts"][contents["tasks"][0]["plain"][0]].startswith(f"# A {cut if cut <= 0 else lo} ")
    assert_the_tasks_give_the_steps(contents)


@pytest.mark.parametrize(("hi", "is_plain"), [(0.0, True), (0.5, False)])
def test_a_part_that_ends_at_zero_holds_it_only_as_the_last(tmp_path: Path, hi: float, is_plain: bool) -> None:
    """The part [-0.2, 0] of -0.5..0 is closed; [-0.2, 0) of -0.5..0.5 is not, and what follows it is missing."""
    verdicts = {"A": [(-0.5, -0.2, "f"), (-0.2, 0.0, "p")]}
    if hi > 0:
        verdicts["B"] = [(-0.5, 0.5, "p")]
    write_run(tmp_path, "k", verdicts, omega={"lo": -0.5, "hi": hi})
    contents = unpacked(explored(tmp_path)[0].series[0].data)
    assert (contents["tasks"][0]["plain"] is not None) is is_plain
    assert_the_tasks_give_the_steps(contents)


def test_tasks_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write_run(tmp_path, "k", {task: points("p") for task in ("Mbpp/10", "Mbpp/9", "Mbpp/100")})
    contents = unpacked(explored(tmp_path)[0].series[0].data)
    assert [task["id"] for task in contents["tasks"]] == ["Mbpp/9", "Mbpp/10", "Mbpp/100"]


def test_failed_and_unscored_lines(tmp_path: Path) -> None:
    write_run(tmp_path, "k", {"A": points("n", "p"), "B": points("p", "")})
    contents = unpacked(explored(tmp_path)[0].series[0].data)
    assert statuses_at(contents, 0.1, 0) == {"A": ("fail", "pass"), "B": ("pass", None)}
    assert_the_tasks_give_the_steps(contents)


def test_runs_without_verdicts_are_left_out(tmp_path: Path) -> None:
    write_run(tmp_path, "k", {"A": points("", "")}, scoring=None)
    found, _ = explored(tmp_path)
    assert found.series == []


def test_packing_keeps_any_text() -> None:
    content = {"text": "</script> \ud800 ω 𝜔 \u2028", "numbers": [None, 0.1, math.pi]}
    assert unpacked(packed(content)) == content
    assert packed(content) == packed(json.loads(json.dumps(content)))
    assert set(packed(content)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
