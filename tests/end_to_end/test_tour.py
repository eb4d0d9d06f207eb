"""The notebook runs from its folder, cell by cell, and its figure shows what the results say."""

import ast
import itertools
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest

from spa.config import CONF

FOLDER = CONF.parent / "docs"


def run(source: str, names: dict[str, Any]) -> Any:
    """Execute a cell; the value of its last line, as a notebook shows it."""
    tree = ast.parse(source)
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None  # type: ignore[attr-defined]
    exec(compile(tree, "tour.ipynb", "exec"), names)
    return eval(compile(last, "tour.ipynb", "eval"), names) if last else None


@pytest.mark.slow
def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(FOLDER)
    mpl.use("agg")
    names: dict[str, Any] = {}
    cells = json.loads(Path("tour.ipynb").read_text())["cells"]
    shown = [run("".join(cell["source"]), names) for cell in cells if cell["cell_type"] == "code"]
    _, texts, _, head, figure = shown
    assert (texts[0].omega_lo, texts[-1].omega_hi) == (0.0, 0.5)
    assert all(earlier.omega_hi == later.omega_lo for earlier, later in itertools.pairwise(texts))
    printed = capsys.readouterr().out
    assert printed.startswith(f"omega 0.0: {texts[0].text!r}\n")
    assert printed.endswith(names["texts"][1].text), "strength 1.2 is omega 0.2"
    assert isinstance(head, pd.DataFrame)
    stairs = figure.axes[0].patches[0].get_data()
    assert (stairs.edges[0], stairs.edges[-1]) == (0.0, 0.5)
    assert stairs.values[0] == 0, "the curve begins at plain decoding"
    assert len(stairs.values) > 10
