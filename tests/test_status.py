import runpy
import sys
from pathlib import Path

import pytest
from rich.console import Console
from synthetic import grid_with_plus, interval, points, write_run

from spa.aggregate import load
from spa.status import status_table
from spa.store import Results

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "status.py"


def shown(folder: Path) -> list[list[str]]:
    table = status_table(load([Results(folder)]))
    return [[str(cell) for cell in row] for row in zip(*(column.cells for column in table.columns), strict=True)]


def test_a_row_for_each_run(tmp_path: Path) -> None:
    grid_with_plus(tmp_path)
    interval(tmp_path, status="running", tokens_per_second=None)
    write_run(tmp_path, "spa", {"A": points("p", "", omegas=[0.1, 0.2])}, n_tasks=5, status="failed")
    tiny = ["Tiny 1M", "HumanEval", "description", "per_token"]
    assert shown(tmp_path) == [
        [
            "grid",
            "Tiny 1M",
            "HumanEval+",
            "description",
            "per_token",
            "0, 0.1, 0.2",
            "12/12",
            "12/12",
            "80.0",
            "complete",
        ],
        ["interval", *tiny, "0..0.5", "3/3", "8/8", "", "running or interrupted"],
        ["spa", *tiny, "0.1, 0.2", "2/10", "1/2", "80.0", "failed"],
    ]


def test_tasks_that_the_manifest_no_longer_selects_are_not_counted(tmp_path: Path) -> None:
    write_run(tmp_path, "k", {"A": points("p", "p"), "B": points("p", "p")}, task_ids=["A"], n_tasks=1)
    assert shown(tmp_path)[0][6:8] == ["2/2", "2/2"]


def test_square_brackets_are_text(tmp_path: Path) -> None:
    write_run(tmp_path, "k", {"A": points("p")}, model="[bold]x")
    console = Console(width=200)
    with console.capture() as capture:
        console.print(status_table(load([Results(tmp_path)])))
    assert "[bold]x" in capture.get()


def test_the_command_prints_a_run_on_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    grid_with_plus(tmp_path / "r")
    monkeypatch.setattr(sys, "argv", ["status.py", str(tmp_path)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    heading, row = capsys.readouterr().out.splitlines()
    assert " ".join(heading.split()) == "run model benchmark anchor mask omega samples scored tokens/s status"
    assert "12/12" in row


def test_the_command_says_in_one_line_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["status.py", str(tmp_path / "nothing")])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert exit_.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
