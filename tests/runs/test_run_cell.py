"""One cell by one process or by several: the same files in the end, and a failure that is noted until it is mended."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cells import GRID, config, texts

from spa.config import CONF, Shard
from spa.errors import SpaError
from spa.results.manifest import ScoringReport
from spa.results.store import Run, RunInUseError
from spa.runs import run_cell
from spa.scoring import score

FIVE = (GRID, "limit=5")


@pytest.fixture(scope="module")
def whole(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_cell.run_cell(config(tiny_llama, tmp_path_factory.mktemp("whole"), *FIVE))


def files(run: Run) -> set[str]:
    return {path.name for path in run.folder.iterdir() if not path.name.startswith(".")}


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2)])
def test_the_last_shard_merges(
    tiny_llama: Path, tmp_path: Path, whole: Run, order: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for number in order[:-1]:
        run = run_cell.run_cell(config(tiny_llama, tmp_path, *FIVE, f"shard={number}/3"))
        assert f"shard {number}/3 is done; " in caplog.text
        assert run.manifest().status == "running"
    assert files(run) == {"manifest.json", *(f"samples.{number}-of-3.jsonl" for number in order[:-1])}
    run = run_cell.run_cell(config(tiny_llama, tmp_path, *FIVE, f"shard={order[-1]}/3"))
    assert files(run) == {"manifest.json", "samples.jsonl"}
    assert run.key == whole.key
    assert texts(run) == texts(whole)
    manifest = run.manifest()
    assert (manifest.status, manifest.n_tasks) == ("complete", 5)
    assert manifest.generated_tokens == whole.manifest().generated_tokens


def test_the_last_shard_scores(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[int] = []

    def score_run(run: Run, *_: Any, **__: Any) -> ScoringReport:
        scored.append(len(run.samples()))
        return ScoringReport(scorer_id="id")

    monkeypatch.setattr(score, "score_run", score_run)
    for number in (2, 1, 2):  # once more: nothing is left to decode, and scoring goes on where it stopped
        run = run_cell.run_cell(config(tiny_llama, tmp_path, GRID, "limit=2", "score=true", f"shard={number}/2"))
    assert scored == [6, 6]
    assert run.manifest().scoring.scored == 0


@pytest.mark.parametrize("then", [["shard=1/3", "shard=2/3", "shard=3/3"], ["shard=1/1"], ["shard=null"]])
def test_a_run_goes_on_with_another_number_of_shards(
    tiny_llama: Path, tmp_path: Path, whole: Run, then: list[str]
) -> None:
    first = run_cell.run_cell(config(tiny_llama, tmp_path, *FIVE, "shard=2/2"))
    lines = (first.folder / "samples.2-of-2.jsonl").read_bytes()
    survived = lines[: len(lines) // 2]  # as if killed while it wrote
    (first.folder / "samples.2-of-2.jsonl").write_bytes(survived)
    kept = {sample.to_json() for sample in first.samples()}
    for shard in then:
        run = run_cell.run_cell(config(tiny_llama, tmp_path, *FIVE, shard))
    assert files(run) == {"manifest.json", "samples.jsonl"}
    assert texts(run) == texts(whole)
    assert kept
    assert kept <= {sample.to_json() for sample in run.samples()}


def test_a_shard_whose_tasks_are_done_by_others_does_nothing(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_cell.run_cell(config(tiny_llama, tmp_path, *FIVE))
    monkeypatch.setattr("spa.models.checkpoints.load", lambda *_: pytest.fail("the model was loaded again"))
    run = run_cell.run_cell(config(tiny_llama, tmp_path, *FIVE, "shard=2/4"))
    assert files(run) == {"manifest.json", "samples.jsonl"}


def test_another_process_may_be_finishing_the_cell(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The lock of the whole is taken between a shard's last text and its look at what is left."""
    caplog.set_level("INFO")
    locked = Run.locked

    def in_use(run: Run, shard: Shard | None = None) -> Any:
        if shard is None:
            raise RunInUseError("in use by process 7")
        return locked(run, shard)

    monkeypatch.setattr(Run, "locked", in_use)
    run = run_cell.run_cell(config(tiny_llama, tmp_path, "omega=0", "limit=1", "shard=1/1"))
    assert "shard 1/1 is done, another finishes the cell: in use by process 7" in caplog.text
    assert len(run.samples()) == 1


SHARD = """
import sys
sys.path.insert(0, "tests/support")
from pathlib import Path
from cells import GRID, config
from spa.runs import run_cell
run_cell.run_cell(config(Path(sys.argv[1]), Path(sys.argv[2]), GRID, "limit=5", f"shard={sys.argv[3]}"))
"""


@pytest.mark.slow
def test_shards_at_the_same_time(tiny_llama: Path, tmp_path: Path, whole: Run) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SHARD, tiny_llama, tmp_path, shard], cwd=CONF.parent, stderr=subprocess.PIPE
        )
        for shard in ("1/2", "2/2")
    ]
    for process in processes:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
    (folder,) = (tmp_path / "runs").iterdir()
    assert files(Run(folder)) == {"manifest.json", "samples.jsonl"}
    assert texts(Run(folder)) == texts(whole)
    assert Run(folder).manifest().status == "complete"


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (SpaError("no sandbox"), "no sandbox"),
        (RuntimeError("CUDA error:\n  device-side assert"), "RuntimeError: CUDA error: device-side assert"),
    ],
)
def test_a_failure_is_noted_until_it_is_mended(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, line: str
) -> None:
    arguments = ("omega=0", "limit=1", "score=true")

    def fail(*_: Any, **__: Any) -> None:
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(score, "score_run", fail)
        with pytest.raises(type(failure), match=str(failure)):
            run_cell.run_cell(config(tiny_llama, tmp_path, *arguments))
    (folder,) = (tmp_path / "runs").iterdir()
    assert (Run(folder).manifest().status, Run(folder).manifest().error) == ("failed", line)
    run = run_cell.run_cell(config(tiny_llama, tmp_path, *arguments[:-1]))
    assert run.manifest().status == "complete"
    assert "error" not in run.manifest().to_json()


def test_a_full_disk_is_named_and_not_the_note_of_it(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise SpaError("no room for samples")

    def fuller(*_: Any) -> None:
        raise SpaError("no room for the manifest")

    def append(run: Run, *_: Any) -> None:
        monkeypatch.setattr(Run, "write_manifest", fuller)
        full()

    monkeypatch.setattr(Run, "append_samples", append)
    with pytest.raises(SpaError, match="no room for samples"):
        run_cell.run_cell(config(tiny_llama, tmp_path, "omega=0", "limit=1"))


def test_the_manifest_tells_how_to_repeat_the_run(tiny_llama: Path, tmp_path: Path, whole: Run) -> None:
    manifest = whole.manifest()
    for name in ("config", "command", "versions", "git", "identity", "data", "dtype", "attention", "hardware"):
        assert getattr(manifest, name), name
    assert len(manifest.identity["model"]["sha256"]) == len(manifest.tokenizer_sha) == 64
    assert len(manifest.identity["prompts"]) == len(manifest.identity["template"]) == 64
    assert manifest.data.md5
    assert manifest.started <= manifest.updated
    assert manifest.generation_seconds > 0
    assert manifest.tokens_per_second > 0
    assert manifest.hardware["gpus"] == [] or manifest.hardware["gpus"][0]["driver_version"]
    assert manifest.config["seed"] == 0
