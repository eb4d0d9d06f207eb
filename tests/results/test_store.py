"""Lines are whole or absent, files are old or new, and one process at a time works on a run."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import filelock
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import generation, manifest_of, measurement_of, score

from spa.config import Shard
from spa.errors import SpaError
from spa.records import Generation, Measured, Record, solution_sha
from spa.results import store
from spa.results.files import write_atomically
from spa.results.manifest import Manifest
from spa.results.store import Results, Run, RunInUseError, find_results

WEIRD = ["", "é中🙂", "\u2028\u2029\x85", "\0\x1f", "\ud800", "a\udfffb", '"\\\n\r\t', "\ufeff"]
ANY_TEXT = st.text(st.characters())  # surrogates included


def sample(text: str = "def f(): pass\n", lo: float = 0.0, hi: float = 0.0) -> Generation:
    return replace(generation("T/1", text, lo, hi), raw=text, completion=text, prompt_text=text)


def lines(samples: Iterable[Generation]) -> list[str]:
    return [sample.to_json() for sample in samples]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Results(tmp_path).run("abc")
    run.folder.mkdir(parents=True)
    return run


def fail_with(code: int) -> Any:
    """A function that fails as the operating system does."""

    def failing(*args: Any, **kwargs: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return failing


# Lines


@pytest.mark.parametrize("text", WEIRD)
def test_round_trip(run: Run, text: str) -> None:
    written = [sample(text, 0.1, 0.1), sample(text * 2, 1 / 3, 0.5)]
    run.append_samples(written[:1])
    run.append_samples(written[1:])
    run.append_scores([replace(score("T/1", text, "pass", None), reason=text)])
    (first, second), (verdict,) = run.samples(), run.scores()
    assert (first.solution, first.raw, second.completion) == (text, text, text * 2)
    assert (second.omega_lo, second.omega_hi) == (1 / 3, 0.5)
    assert (verdict.reason, verdict.plus_status, verdict.solution_sha) == (text, None, solution_sha(first.solution))
    assert lines([first, second]) == lines(written)
    run.settle(lambda sample: -sample.omega_lo)
    assert lines(run.samples()) == lines(reversed(written))


@given(texts=st.lists(ANY_TEXT, max_size=4))
def test_a_record_is_one_line(texts: list[str]) -> None:
    for text in texts:
        line = sample(text).to_json()
        assert "\n" not in line
        assert Generation.from_json(line.encode("utf-8", "surrogatepass")).to_json() == line


def test_nothing_appended_writes_nothing(run: Run) -> None:
    run.append_samples([])
    assert not run.samples_path.exists()
    assert run.samples() == run.scores() == []


def test_unknown_fields_are_ignored() -> None:
    line = json.dumps(json.loads(sample().to_json()) | {"from_a_later_version": 1})
    assert Generation.from_json(line).to_json() == sample().to_json()


def test_a_reader_names_the_fields_that_it_wants(run: Run) -> None:
    @dataclass(frozen=True)
    class Solution(Record):
        omega_hi: float
        solution: str

    run.append_samples([sample(text, 0.1, 0.2) for text in WEIRD])
    assert list(run.iter_samples(Solution)) == [Solution(0.2, text) for text in WEIRD]


def test_a_torn_last_line_is_dropped_wherever_it_was_torn(run: Run) -> None:
    kept = (sample("first é").to_json() + "\n").encode()
    torn = (sample("second é").to_json() + "\n").encode()
    for cut in range(len(torn)):
        run.samples_path.write_bytes(kept + torn[:cut])
        assert [found.solution for found in run.samples()] == ["first é"]
        assert run.samples_path.stat().st_size == len(kept) + cut, "reading changes nothing"
        if cut % 50 == 0 or cut == len(torn) - 1:
            with run.locked():
                assert run.samples_path.read_bytes() == kept
                run.append_samples([sample("third")])
            assert [found.solution for found in run.samples()] == ["first é", "third"]
    run.samples_path.write_bytes(kept + torn)
    with run.locked():
        assert [found.solution for found in run.samples()] == ["first é", "second é"]


def test_a_file_that_is_one_torn_line_becomes_empty(run: Run) -> None:
    run.samples_path.write_bytes(b'{"task_id": "T')
    run.scores_path.write_bytes(b"{")
    with run.locked():
        assert run.samples_path.read_bytes() == run.scores_path.read_bytes() == b""


@pytest.mark.parametrize("bad", [b"", b"{", b"[]", b"null", b'"text"', b'{"task_id": "T/1"}', b"\xff", b"1e999"])
def test_a_malformed_line_in_the_middle_is_named(run: Run, bad: bytes) -> None:
    whole = (sample().to_json() + "\n").encode()
    run.samples_path.write_bytes(whole + bad + b"\n" + whole)
    with pytest.raises(SpaError) as error:
        run.samples()
    assert str(error.value).startswith(f"{run.samples_path}:2 is not a valid line (")
    assert "\n" not in str(error.value)


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


def test_write_atomically_makes_the_folder_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "table.md"
    for content in ("old", b"new"):
        write_atomically(path, content)
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["table.md"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, code: int
) -> None:
    path = tmp_path / "summary.csv"
    write_atomically(path, "old")
    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), fail_with(code))
    with pytest.raises(SpaError, match=f"cannot write .*summary.csv: {os.strerror(code)}; make room"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["summary.csv"]


def test_what_a_killed_process_left_aside_is_removed(run: Run) -> None:
    run.write_manifest(manifest_of("abc"))
    run.append_samples([sample()])
    for name in (".manifest.json.123", ".samples.jsonl.123", ".scores.jsonl.gz.123"):
        (run.folder / name).write_text('{"half')
    own = {".settings.json.backup", ".manifest.json.swp", ".other.jsonl.123"}  # a user's
    for name in own:
        (run.folder / name).touch()
    with run.locked():
        assert {path.name for path in run.folder.iterdir()} == {"manifest.json", "samples.jsonl", ".lock", *own}


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "summary.csv"
    write_atomically(path, "old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new")
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["old"]


def test_a_full_disk_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))
    with pytest.raises(SpaError, match=r"cannot write .*samples.jsonl: No space left on device"):
        run.append_samples([sample()])


WRITE = """
import resource, sys
from pathlib import Path
from synthetic import generation
from spa.errors import SpaError
from spa.results.store import Run
run, limit = Run(Path(sys.argv[1])), int(sys.argv[2])
try:
    with run.locked():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        while True:
            run.append_samples([generation("T/1", "x" * 100, 0.0, 0.0)])
except SpaError as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [1500, 2500])
def test_no_room_in_the_middle_of_a_line(run: Run, limit: int) -> None:
    """The kernel refuses to let a file grow, as on a full disk: the whole lines stay, and one error is shown."""
    done = subprocess.run(
        [sys.executable, "-c", WRITE, run.folder, str(limit)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.startswith(f"cannot write {run.samples_path}: File too large; make room there")
    assert run.samples_path.stat().st_size == limit, "torn"
    whole = len(run.samples())
    assert whole == limit // (len(generation("T/1", "x" * 100, 0.0, 0.0).to_json()) + 1) > 0
    with run.locked():
        run.append_samples([sample("there is room again")])
    assert len(run.samples()) == whole + 1


@pytest.mark.parametrize("command", [["bwrap", "--ro-bind", "/", "/", "--dev", "/dev"]])
def test_a_read_only_file_system_is_one_line(run: Run, command: list[str]) -> None:
    run.append_samples([sample()])
    done = subprocess.run(
        [*command, sys.executable, "-c", HOLD, str(run.folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith(f"cannot write {run.folder}: Read-only file system; make room there or take another folder")
    assert len(run.samples()) == 1


@pytest.mark.parametrize(
    ("owner", "name"), [(Path, "mkdir"), (filelock.FileLock, "acquire")], ids=["the folder", "the lock"]
)
def test_a_read_only_folder_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, name: str
) -> None:
    monkeypatch.setattr(owner, name, fail_with(errno.EROFS))
    with (
        pytest.raises(SpaError, match=r"cannot write .*/runs/abc: Read-only file system; .*take another folder"),
        Results(tmp_path).run("abc").locked(),
    ):
        pytest.fail("the run is not locked")


def test_a_file_in_the_place_of_the_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(SpaError, match="cannot write"), Results(tmp_path).run("abc").locked():
        pytest.fail("the run is not locked")


def test_errors_of_the_work_pass_through_the_lock(run: Run) -> None:
    with pytest.raises(OSError, match="the work's own"), run.locked():
        raise OSError("the work's own")
    with run.locked():
        pass


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


# Packed


@pytest.fixture
def packed(run: Run) -> Run:
    run.append_samples([sample("a"), sample("b", 0.1, 0.2)])
    run.append_scores([score("T/1", "a", "pass", None)])
    run.pack()
    return run


def names(run: Run) -> set[str]:
    return {path.name for path in run.folder.iterdir() if not path.name.startswith(".")}


def test_packed_lines_are_read_as_before(packed: Run) -> None:
    assert names(packed) == {"samples.jsonl.gz", "scores.jsonl.gz"}
    assert [line.solution for line in packed.samples()] == ["a", "b"]
    assert [line.solution_sha for line in packed.scores()] == [solution_sha("a")]
    assert (packed.count_samples(), packed.count_scores(), packed.visible()) == (2, 1, [])


def test_the_same_lines_are_packed_to_the_same_bytes(packed: Run) -> None:
    before = (packed.folder / "samples.jsonl.gz").read_bytes()
    packed.pack()
    assert (packed.folder / "samples.jsonl.gz").read_bytes() == before
    packed.append_samples([])
    assert names(packed) == {"samples.jsonl.gz", "scores.jsonl.gz"}


def test_who_adds_lines_unpacks(packed: Run) -> None:
    with packed.locked():
        packed.append_samples([sample("c", 0.3, 0.4)])
    assert names(packed) == {"samples.jsonl", "scores.jsonl.gz"}
    assert [line.solution for line in packed.samples()] == ["a", "b", "c"]


def test_shards_are_merged_into_packed_samples(packed: Run) -> None:
    packed.append_samples([sample("c", 0.3, 0.4)], Shard(1, 2))
    assert [line.solution for line in packed.samples()] == ["c", "a", "b"]
    with packed.locked():
        packed.settle(lambda line: line.omega_lo)
    assert names(packed) == {"samples.jsonl", "scores.jsonl.gz"}
    assert [line.solution for line in packed.samples()] == ["a", "b", "c"]


@pytest.mark.parametrize("bytes_left", [0, 5, 30, -1])
def test_a_damaged_packed_file_is_named(packed: Run, bytes_left: int) -> None:
    path = packed.folder / "samples.jsonl.gz"
    path.write_bytes(path.read_bytes()[:bytes_left] if bytes_left else b"no gzip")
    for read in (packed.samples, packed.count_samples, lambda: packed.append_samples([sample("c")])):
        with pytest.raises(SpaError, match=r"samples\.jsonl\.gz is damaged \(.*\); restore it or remove it"):
            read()
    assert path.exists()
    assert not packed.samples_path.exists()


def test_a_kill_between_the_two_copies_loses_nothing(run: Run) -> None:
    run.append_samples([sample("a")])
    plain = run.samples_path.read_bytes()
    run.pack()
    run.samples_path.write_bytes(plain)  # as before `pack` removed it, or `unpack` the other
    run.append_samples([sample("b")])
    assert names(run) == {"samples.jsonl"}
    assert [line.solution for line in run.samples()] == ["a", "b"]


def test_a_reader_meets_a_file_that_is_unpacked_meanwhile(packed: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = packed.samples()

    def late(path: Path) -> None:
        packed.samples_path.write_text("".join(line.to_json() + "\n" for line in before))
        raise FileNotFoundError(path)

    monkeypatch.setattr("spa.results.files.gzip.open", late)
    assert packed.samples() == before


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
