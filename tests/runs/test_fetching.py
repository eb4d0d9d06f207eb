"""What is brought before a run, and runs that open no connection afterwards."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
from huggingface_hub.utils import httpx

from spa.cli.hydra_app import cells
from spa.config import CONF
from spa.errors import SpaError
from spa.results.store import Results
from spa.runs import fetching

COMMIT = "0123456789abcdef0123456789abcdef01234567"

# Ends the process at the first attempt to reach another machine, or to ask for its address.
NO_NETWORK = """
import os, runpy, sys

def refuse(event, arguments):
    outside = event == "socket.getaddrinfo" or (event == "socket.connect" and isinstance(arguments[1], tuple))
    if outside:
        print("a connection:", event, arguments, file=sys.stderr, flush=True)
        os._exit(9)

sys.addaudithook(refuse)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A hub cache that holds someone/tiny, as snapshot_download leaves it."""
    repository = tmp_path / "hub" / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    tiny.checkpoint(repository / "snapshots" / COMMIT, "llama", chat=True)
    return tmp_path / "hub"


def without_network(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", NO_NETWORK, f"scripts/{script}", *arguments],
        cwd=CONF.parent,
        env={**os.environ, "PYTHONPATH": str(CONF.parent), **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_the_guard_sees_connections(tmp_path: Path) -> None:
    program = tmp_path / "connect.py"
    program.write_text("import socket\nsocket.create_connection(('127.0.0.1', 9))\n")
    done = subprocess.run([sys.executable, "-c", NO_NETWORK, str(program)], capture_output=True, text=True)
    assert done.returncode == 9
    assert "a connection: socket.getaddrinfo" in done.stderr


@pytest.mark.slow
def test_a_run_opens_no_connection_and_is_scored_later(hub: Path, tmp_path: Path, expected_outputs: Path) -> None:
    """A checkpoint of the hub's cache; generation alone, then score.py on the results folder, then the report."""
    results = tmp_path / "results"
    environment = {"HF_HUB_CACHE": str(hub), "HF_HUB_OFFLINE": "1", "XDG_CACHE_HOME": str(expected_outputs)}
    cell = ["model=hf", "model.path=someone/tiny", "limit=2", "max_new_tokens=8", "omega=[0,0.5]", "score=false"]
    done = without_network("run.py", *cell, f"results_dir={results}", **environment)
    assert done.returncode == 0, done.stderr
    (run,) = Results(results).runs()
    assert run.manifest().identity["model"] == {"id": "someone/tiny", "commit": COMMIT}
    assert (len(run.samples()), run.scores(), run.manifest().scoring) == (4, [], None)
    done = without_network("score.py", str(results), **environment)
    assert done.returncode == 0, done.stderr
    n_scored = len({(sample.task_id, sample.solution) for sample in run.samples()})
    assert f"{run.folder}: humaneval, {n_scored} solutions scored" in done.stdout
    assert run.manifest().scoring.sandbox == "bubblewrap"
    assert {score.task_id for score in run.visible()} == {sample.task_id for sample in run.samples()}
    done = without_network("report.py", str(results), **environment)
    assert done.returncode == 0, done.stderr
    assert (results / "summary.csv").exists()


def test_each_thing_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, humaneval: object) -> None:
    asked: list[dict[str, Any]] = []

    def download(repository: str, **how: Any) -> str:
        asked.append({"repository": repository, **how})
        return "here"

    made: list[str] = []
    monkeypatch.setattr(fetching, "snapshot_download", download)
    monkeypatch.setattr(
        fetching.HfApi, "list_repo_files", lambda *_, **__: ["pytorch_model.bin", "model.safetensors", "config.json"]
    )
    monkeypatch.setattr(fetching.expected, "tests", lambda problems, *_: made.append(f"{len(problems)} outputs"))
    one = ["-m", "model=hf", "model.path=a/b,c/d", f"model.revision={COMMIT}", "limit=3"]
    lines = list(fetching.fetch(cells([*one, "anchor=description,prompt"])))
    assert [line.split(":")[0] for line in lines] == ["model a/b", "data humaneval", "model c/d"]
    assert [each["repository"] for each in asked] == ["a/b", "c/d"]
    assert asked[0]["revision"] == COMMIT
    assert "*.bin" in asked[0]["ignore_patterns"], "safetensors are enough"
    assert made == ["3 outputs"]
    other = f"model.revision={COMMIT[::-1]}"
    more = [*cells([*one, "limit=2"]), *cells([*one, other]), *cells([*one, "score=false"])]
    asked.clear()
    made.clear()
    assert len(list(fetching.fetch([*cells(one), *more]))) == 7, "two models in two revisions, and data in three ways"
    assert [each["revision"] for each in asked] == [COMMIT, COMMIT, COMMIT[::-1], COMMIT[::-1]]
    assert made == ["3 outputs", "2 outputs"]


def test_without_safetensors_the_other_weights_come(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(fetching, "snapshot_download", lambda *_, **how: asked.append(how["ignore_patterns"]))
    monkeypatch.setattr(fetching.HfApi, "list_repo_files", lambda *_, **__: ["pytorch_model.bin"])
    (config,) = cells(["model=hf", "model.path=a/b", f"model.revision={COMMIT}"])
    fetching._model(config, config.model)
    assert "*.bin" not in asked[0]
    assert "*.h5" in asked[0]


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise httpx.ConnectError("no route")

    monkeypatch.setattr(fetching.HfApi, "list_repo_files", refuse)
    (config,) = cells(["model=hf", "model.path=a/b", f"model.revision={COMMIT}"])
    with pytest.raises(SpaError, match="cannot fetch a/b: no route; fetch where the hub is reachable"):
        list(fetching.fetch([config]))


def test_what_is_here_needs_no_fetching(tiny_llama: Path) -> None:
    (config,) = cells(["model=hf", f"model.path={tiny_llama}"])
    assert fetching._model(config, config.model) == f"in {tiny_llama}"
