"""Parquet and back gives the same tables; nothing leaves the machine unless it is asked for."""

import json
import runpy
import socket
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest
from synthetic import generation, grid_with_plus, interval, points, score, write_run

from spa.errors import SpaError
from spa.records import VisibleScore
from spa.report import build
from spa.report.parquet import export, restore
from spa.results.store import Results, find_results, solution_sha

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "export.py"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where anything tries to connect, the test fails."""

    def refuse(*args: Any) -> Any:
        pytest.fail(f"something was sent: {args[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two experiments: grids, intervals, parts given up, suspects, other scorers, unscored and unanchored tasks."""
    first, second = tmp_path / "results" / "first", tmp_path / "results" / "second"
    grid_with_plus(first)
    Results(first).run("grid").append_visible([VisibleScore("T/A", solution_sha("# T/A 0.0 pp\n"), 2, True)])
    interval(first, model="Other 7B", quantization="int8")
    write_run(first, "suspect", {"A": [(0.0, 0.3, "s"), (0.3, 0.5, "budget")]}, omega={"lo": 0.0, "hi": 0.5})
    run = write_run(second, "unfinished", {"é\0🙂": points("p", ""), "B": points("f")}, ["B"], status="running")
    run.append_samples([generation("B", "x = 1\n", 0.1, 0.1)])
    run.append_scores([score("B", "x = 1\n", "pass", None, "another scorer")])
    write_run(second, "empty", {}, omega=[0.0], scoring=None)
    return tmp_path / "results"


def summary(folder: Path, out: Path) -> bytes:
    return build.build(find_results([folder]), out).summary.read_bytes()


def test_an_export_read_back_gives_the_same_tables(results: Path, tmp_path: Path) -> None:
    export(find_results([results]), tmp_path / "export")
    restored = restore(tmp_path / "export", tmp_path / "back")
    assert [found.folder.name for found in restored] == ["first", "second"]
    assert summary(tmp_path / "back", tmp_path / "2") == summary(results, tmp_path / "1")
    for before, after in zip(find_results([results]), restored, strict=True):
        for run in before.runs():
            same = after.run(run.key)
            assert [sample.to_json() for sample in same.samples()] == [sample.to_json() for sample in run.samples()]
            assert same.manifest() == run.manifest()
            assert same.visible() == run.visible()
    for path in sorted((tmp_path / "1").rglob("*.*")):
        assert (tmp_path / "2" / path.relative_to(tmp_path / "1")).read_bytes() == path.read_bytes()


def test_a_row_for_each_sample_with_its_verdict(results: Path, tmp_path: Path) -> None:
    out = tmp_path / "export"
    export(find_results([results]), out)
    loaded = datasets.load_dataset(str(out), "samples", split="train", cache_dir=str(tmp_path / "cache"))
    lines = [sample for folder in find_results([results]) for run in folder.runs() for sample in run.samples()]
    assert loaded["solution"] == [sample.solution for sample in lines]
    grid = loaded.filter(lambda row: row["key"] == "grid")[0]
    assert (grid["results"], grid["model"], grid["quantization"], grid["omega_lo"]) == ("first", "Tiny 1M", "Q4_1", 0.0)
    assert (grid["verdict_base_status"], grid["verdict_plus_status"]) == ("pass", "pass")
    unscored = [row["verdict_scorer_id"] is None for row in loaded if row["key"] == "unfinished"]
    assert unscored == [False, True, False, True]
    cells = datasets.load_dataset(str(out), "cells", split="train", cache_dir=str(tmp_path / "cache"))
    assert cells["key"] == ["grid", "interval", "suspect", "empty", "unfinished"]
    assert json.loads(cells["manifest"][0])["weights"] == "Q4_1"


def test_pushing_needs_a_repository(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed: list[tuple[int, str, str]] = []

    def push(self: datasets.Dataset, repo_id: str, config_name: str) -> None:
        pushed.append((len(self), repo_id, config_name))

    monkeypatch.setattr(datasets.Dataset, "push_to_hub", push)
    command(monkeypatch, str(results), "--out", str(tmp_path / "export"))
    assert pushed == []
    command(monkeypatch, str(results), "--out", str(tmp_path / "export"), "--push-to-hub", "someone/spa")
    assert pushed == [(12 + 8 + 2 + 4, "someone/spa", "samples"), (5, "someone/spa", "cells")]


def test_a_hub_that_refuses_is_one_line(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def push(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets.Dataset, "push_to_hub", push)
    with pytest.raises(SpaError, match="cannot push to someone/spa: no route; log in"):
        export(find_results([results]), tmp_path / "export", "someone/spa")
    assert restore(tmp_path / "export", tmp_path / "back"), "the export itself is there"


def test_the_command_restores(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, str(results), "--out", str(tmp_path / "export"))
    command(monkeypatch, "--restore", str(tmp_path / "export"), "--out", str(tmp_path / "back"))
    assert capsys.readouterr().out.split() == [str(tmp_path / part) for part in ("export", "back/first", "back/second")]
    with pytest.raises(SystemExit) as exit_:
        command(monkeypatch, "--restore", str(tmp_path / "export"), "--out", str(tmp_path / "back"))
    assert exit_.value.code == 2
    assert "is there already; give an empty folder" in capsys.readouterr().err


def test_folders_that_cannot_be_exported_or_restored(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        write_run(tmp_path / parent / "same", "k", {"A": points("p")})
    with pytest.raises(SpaError, match=r"have the same name \(same, same\); rename one"):
        export([Results(tmp_path / parent / "same") for parent in ("a", "b")], tmp_path / "out")
    run = write_run(tmp_path / "broken", "k", {"A": points("p")})
    run.samples_path.write_text("{}\n")
    with pytest.raises(SpaError, match=r"cannot export: .*samples.jsonl:1 is not a valid line"):
        export([Results(tmp_path / "broken")], tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.parquet"))
    with pytest.raises(SpaError, match=r"broken is not an export: it has no cells/\*.parquet"):
        restore(tmp_path / "broken", tmp_path / "back")


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["export.py", *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")
