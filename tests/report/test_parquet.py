"""An export holds all that the results hold; nothing leaves the machine unless it is asked for."""

import json
import runpy
import shutil
import socket
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import datasets
import pytest
from huggingface_hub import HfApi, RepoUrl
from huggingface_hub.utils import filter_repo_objects, httpx
from pyarrow import parquet
from synthetic import SCORER, generation, grid_with_plus, interval, points, score, write_run

import spa.report.parquet
from spa.errors import SpaError
from spa.records import Generation, Record, Score, VisibleScore, solution_sha
from spa.report.parquet import FILE, export
from spa.results.store import Results, find_results

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
    """Two experiments: grids, intervals, parts given up, no plain data, other scorers, unscored or unanchored tasks."""
    first, second = tmp_path / "results" / "first", tmp_path / "results" / "second"
    grid_with_plus(first)
    Results(first).run("grid").append_visible([VisibleScore("T/A", solution_sha("# T/A 0.0 pp\n"), 2, True)])
    interval(first, model="Other 7B", quantization="int8")
    write_run(first, "not_plain", {"A": [(0.0, 0.3, "n"), (0.3, 0.5, "budget")]}, omega={"lo": 0.0, "hi": 0.5})
    run = write_run(second, "unfinished", {"é\0🙂": points("p", ""), "B": points("f")}, ["B"], status="running")
    run.append_samples([generation("B", "x = 1\n", 0.1, 0.1)])
    run.append_scores([score("B", "x = 1\n", "pass", None, "another scorer")])
    write_run(second, "empty", {}, omega=[0.0], scoring=None)
    return tmp_path / "results"


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    (path,) = (folder / table).iterdir()
    return list(parquet.read_table(path).to_pylist())


def record(kind: type[Record], row: dict[str, Any], prefix: str = "") -> str:
    """The record in the columns of a row, as the line that holds it; every field has one."""
    return kind(**{field.name: row[prefix + field.name] for field in fields(kind)}).to_json()


def test_rows_hold_every_field(results: Path, tmp_path: Path) -> None:
    export(find_results([results]), tmp_path / "export")
    samples = iter(rows(tmp_path / "export", "samples"))
    cells = iter(rows(tmp_path / "export", "cells"))
    for folder in find_results([results]):
        for run in folder.runs():
            cell = next(cells)
            assert (cell["results"], cell["key"]) == (folder.folder.name, run.key)
            assert json.loads(cell["manifest"]) == run.manifest().to_json()
            scores = {line.solution_sha: line.to_json() for line in run.scores() if line.scorer_id == SCORER}
            visible = {line.solution_sha: line.to_json() for line in run.visible()}
            for sample in run.samples():
                row, sha = next(samples), solution_sha(sample.solution)
                assert (row["results"], row["key"]) == (folder.folder.name, run.key)
                assert record(Generation, row) == sample.to_json()
                verdict = record(Score, row, "verdict_") if row["verdict_scorer_id"] else None
                assert verdict == scores.get(sha)
                shown = record(VisibleScore, row, "visible_") if row["visible_task_id"] else None
                assert shown == visible.get(sha)
    assert not [*samples, *cells]


def test_many_rows_are_written_in_groups(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(find_results([results]), tmp_path / "one")
    monkeypatch.setattr(spa.report.parquet, "ROW_GROUP", 10)
    export(find_results([results]), tmp_path / "several")
    assert parquet.ParquetFile(tmp_path / "several" / "samples" / FILE).num_row_groups == 3
    assert rows(tmp_path / "one", "samples") == rows(tmp_path / "several", "samples")


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
    assert cells["key"] == ["grid", "interval", "not_plain", "empty", "unfinished"]
    assert json.loads(cells["manifest"][0])["weights"] == "Q4_1"


def test_pushing_needs_a_repository(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent can be loaded; other files in the folder stay here, and older tables there go."""
    hub = tmp_path / "hub"

    def create(self: HfApi, repo_id: str, *, repo_type: str, exist_ok: bool) -> RepoUrl:
        assert exist_ok
        return RepoUrl(f"https://huggingface.co/datasets/{repo_id}")

    def upload(self: HfApi, *, repo_id: str, repo_type: str, folder_path: Path, **patterns: list[str]) -> None:
        assert (repo_id, repo_type) == ("someone/spa", "dataset")
        assert list(filter_repo_objects([f"cells/{FILE}", "notes"], allow_patterns=patterns["delete_patterns"]))
        names = [str(path.relative_to(folder_path)) for path in folder_path.rglob("*") if path.is_file()]
        for name in filter_repo_objects(names, allow_patterns=patterns["allow_patterns"]):
            (hub / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder_path / name, hub / name)

    monkeypatch.setattr(HfApi, "create_repo", create)
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    out = tmp_path / "export"
    command(monkeypatch, str(results), "--out", str(out))
    assert not hub.exists()
    (out / "notes.txt").write_text("mine")
    command(monkeypatch, str(results), "--out", str(out), "--push-to-hub", "someone/spa")
    assert not (hub / "notes.txt").exists()
    for name, n_rows in (("samples", 12 + 8 + 2 + 4), ("cells", 5)):
        assert len(datasets.load_dataset(str(hub), name, split="train", cache_dir=str(tmp_path / "cache"))) == n_rows


@pytest.mark.parametrize("error", [ConnectionError("no route"), httpx.ConnectError("no route")])
def test_a_hub_that_refuses_is_one_line(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(HfApi, "create_repo", refuse)
    with pytest.raises(SpaError, match="cannot push to someone/spa: no route; log in"):
        export(find_results([results]), tmp_path / "export", "someone/spa")
    assert rows(tmp_path / "export", "cells"), "the export itself is there"


def test_folders_that_cannot_be_exported(tmp_path: Path) -> None:
    for parent in ("a", "b"):
        write_run(tmp_path / parent / "same", "k", {"A": points("p")})
    with pytest.raises(SpaError, match=r"have the same name \(same, same\); rename one"):
        export([Results(tmp_path / parent / "same") for parent in ("a", "b")], tmp_path / "out")
    run = write_run(tmp_path / "broken", "k", {"A": points("p")})
    run.samples_path.write_text("{}\n")
    with pytest.raises(SpaError, match=r"cannot export: .*samples.jsonl:1 is not a valid line"):
        export([Results(tmp_path / "broken")], tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.parquet"))
    run = write_run(tmp_path / "surrogate", "k", {})
    run.append_samples([generation("A", "'\ud800'", 0.0, 0.0)])
    with pytest.raises(SpaError, match=r"cannot export: .*surrogates not allowed"):
        export([Results(tmp_path / "surrogate")], tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["export.py", *arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")
