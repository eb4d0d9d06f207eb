import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from synthetic import grid_with_plus, interval, points, write_run

from spa.aggregate import load
from spa.status import status_table
from spa.store import Results

ROOT = Path(__file__).resolve().parent.parent


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


@pytest.mark.parametrize(("folder", "code", "line"), [("r", 0, "12/12"), ("nothing", 2, "holds no results")])
def test_the_command(tmp_path: Path, folder: str, code: int, line: str) -> None:
    grid_with_plus(tmp_path / "r")
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "status.py"), str(tmp_path / folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert line in done.stdout + done.stderr
