"""Lines are whole or absent, files are old or new, and one process at a time works on a run."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from synthetic import manifest_of, measurement_of, sample

from spa.config import Shard
from spa.errors import SpaError
from spa.records import Measured
from spa.results import store
from spa.results.manifest import Manifest
from spa.results.store import Results, Run, RunInUseError, find_results

WEIRD = ["", "é中🙂", "\u2028\u2029\x85", "\0\x1f", "\ud800", "a\udfffb", '"\\\n\r\t', "\ufeff"]
ANY_TEXT = st.text(st.characters())  # surrogates included


def fail_with(code: int) -> Any:
    """A function that fails as the operating system does."""

    def failing(*args: Any, **kwargs: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return failing


# Files


def test_manifest(run: Run) -> None:
    assert run.find_manifest() is None
    with pytest.raises(SpaError, match=r"runs/abc has no manifest\.json; run its cell again"):
        run.manifest()
    written = manifest_of("abc", command="run.py \udcff", omega=[0.0, 0.1])
    run.write_manifest(written)
    assert run.manifest() == run.find_manifest() == written
    run.manifest_path.write_text("{")
    with pytest.raises(SpaError, match=r"manifest.json is not JSON"):
        run.manifest()


# Locks

HOLD = """
import sys, time
from pathlib import Path
from spa.config import parse_shard
from spa.results.store import Run
with Run(Path(sys.argv[1])).locked(parse_shard(sys.argv[2]) if sys.argv[2:] else None):
    print("locked", flush=True)
    time.sleep(60)
"""


@contextmanager
def held_elsewhere(run: Run, *shard: str) -> Iterator[int]:
    """Another process holds the run, or a shard of it, until it is killed; its id."""
    command = [sys.executable, "-c", HOLD, run.folder, *shard]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == "locked\n"
            yield holder.pid
        finally:
            holder.send_signal(signal.SIGKILL)


def test_one_process_at_a_time(run: Run) -> None:
    with held_elsewhere(run) as pid:
        assert [owner.pid for owner in run.owners()] == [pid]
        message = rf"runs/abc is in use by process {pid} on \S+, for \d+ s now; wait for it to end, then run again"
        with pytest.raises(RunInUseError, match=message), run.locked():
            pytest.fail("two processes hold the run")
    assert run.owners() == []
    with run.locked():  # a killed process holds nothing
        run.append_samples([sample()])
    assert len(run.samples()) == 1


def test_shards_are_held_side_by_side_and_not_beside_the_whole(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FOR_AN_INSTANT", 0.1)
    with held_elsewhere(run, "1/2") as pid:
        with run.locked(Shard(2, 2)), run.locked(Shard(1, 3)):
            assert {owner.pid for owner in run.owners()} == {pid, os.getpid()}
        for shard in (None, Shard(1, 2)):
            with pytest.raises(RunInUseError, match=f"process {pid} "), run.locked(shard):
                pytest.fail("a shard is held twice")
    with held_elsewhere(run) as pid, pytest.raises(RunInUseError, match=f"process {pid} "), run.locked(Shard(1, 2)):
        pytest.fail("a shard is held beside the whole")


def test_a_failure_before_anything_was_written_leaves_nothing(tmp_path: Path) -> None:
    for shard in (None, Shard(1, 2)):
        with pytest.raises(KeyError), Results(tmp_path / "made").run("abc").locked(shard):
            raise KeyError
        assert not (tmp_path / "made").exists()


def test_a_failing_shard_takes_no_other_with_it(tmp_path: Path) -> None:
    run = Results(tmp_path / "made").run("abc")
    with run.locked(Shard(1, 2)):
        with pytest.raises(KeyError), run.locked(Shard(2, 2)):
            raise KeyError
        run.append_samples([sample()], Shard(1, 2))
    assert len(run.samples()) == 1


# Shards


def test_shards_are_read_together_and_merged(run: Run) -> None:
    run.append_samples([sample("a")])
    run.append_samples([sample("c", 0.2, 0.2), sample("a again")], Shard(1, 2))
    run.append_samples([sample("b", 0.1, 0.1)], Shard(2, 2))
    with run.locked(Shard(2, 2)):
        assert sorted(found.solution[0] for found in run.samples()) == ["a", "b", "c"]
    with run.locked():
        run.settle(lambda found: found.omega_lo)
    assert [found.solution[0] for found in run.samples()] == ["a", "b", "c"]
    assert {path.name for path in run.folder.iterdir()} == {"samples.jsonl", ".lock"}


def test_a_merge_that_was_interrupted_doubles_nothing(run: Run) -> None:
    """The merged file is there, and a shard is not yet gone."""
    lines = [sample("a"), sample("b", 0.1, 0.1)]
    run.append_samples(lines)
    run.append_samples(lines[1:], Shard(2, 2))
    assert len(run.samples()) == 2
    with run.locked():
        run.settle(lambda found: found.omega_lo)
    assert [found.solution for found in run.samples()] == ["a", "b"]
    assert len(run.samples_path.read_text().splitlines()) == 2


def test_a_shard_that_is_merged_while_it_is_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.append_samples([sample("a")], Shard(1, 1))
    listed = run._shard_paths()
    with run.locked():
        run.settle(lambda found: found.omega_lo)
    monkeypatch.setattr(Run, "_shard_paths", lambda _: listed)
    assert [found.solution for found in run.samples()] == ["a"]


def test_the_torn_line_of_each_shard_is_dropped(run: Run) -> None:
    for number in (1, 2):
        run.append_samples([sample(str(number), number, number)], Shard(number, 2))
        with (run.folder / f"samples.{number}-of-2.jsonl").open("ab") as file:
            file.write(b'{"task')
    with run.locked(Shard(1, 2)):
        run.append_samples([sample("more", 3, 3)], Shard(1, 2))
    assert sorted(found.solution for found in run.samples()) == ["1", "2", "more"]
    with run.locked():
        assert (run.folder / "samples.2-of-2.jsonl").read_bytes().endswith(b"\n")


# The manifest


def test_describing_changes_the_manifest_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FOR_A_WHOLE_RUN", 0.0)

    def first(found: Manifest | None) -> Manifest:
        assert found is None
        return manifest_of("abc")

    def second(found: Manifest | None) -> Manifest:
        assert found == manifest_of("abc")
        with pytest.raises(RunInUseError):
            run.describe(lambda _: pytest.fail("two processes write the manifest"))
        return replace(found, status="failed")

    def third(found: Manifest | None) -> Manifest:
        raise KeyError(found)

    run.describe(first)
    run.describe(second)
    assert run.manifest() == manifest_of("abc", status="failed")
    with pytest.raises(KeyError):
        run.describe(third)
    assert run.manifest() == manifest_of("abc", status="failed")


def test_manifests_hold_no_secret(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "my-private-token")
    run.write_manifest(
        manifest_of("abc", command="run.py x=my-private-token", config={"path": ["a/my-private-token/b"]})
    )
    assert "my-private-token" not in run.manifest_path.read_text()
    manifest = run.manifest()
    assert (manifest.command, manifest.config) == ("run.py x=***", {"path": ["a/***/b"]})


# Folders


def test_find_results(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        Results(folder).run("k").write_manifest(manifest_of("k"))
    (tmp_path / "not_results").mkdir()
    assert find_results([first]) == [Results(first)]
    assert find_results([tmp_path]) == [Results(first), Results(second)]
    assert find_results([second, tmp_path]) == [Results(second), Results(first)], "each once"
    for empty in (tmp_path / "not_results", tmp_path / "nowhere"):
        with pytest.raises(SpaError, match=f"{empty.name} holds no results"):
            find_results([first, empty])


def test_runs_are_those_with_a_manifest(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for key in ("b", "a"):
        results.run(key).write_manifest(manifest_of(key))
    (tmp_path / "runs" / "c").mkdir()
    assert [run.key for run in results.runs()] == ["a", "b"]
    assert Results(tmp_path / "nowhere").runs() == []


def test_a_measurement_lists_and_resumes(tmp_path: Path) -> None:
    place = Results(tmp_path).attention("k")
    assert place.find_manifest() is None
    assert Results(tmp_path).attentions() == []
    place.write("a\n", "b\n", measurement_of("k", status="running"))
    whole = Measured("T/0", [["plain", 0.5]], [[0, True]])
    place.append(whole)
    with place.tasks_path.open("a") as file:
        file.write('{"task_id": "T/1"')
    assert place.resume() == [whole]
    place.append(whole)
    assert place.resume() == [whole, whole]
    assert [found.key for found in Results(tmp_path).attentions()] == ["k"]
    assert (place.shares_path.read_text(), place.approximation_path.read_text()) == ("a\n", "b\n")
    assert place.manifest() == measurement_of("k", status="running")
