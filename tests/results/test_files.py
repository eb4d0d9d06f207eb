"""Lines are whole or absent, files are old or new, and what cannot be written is one line."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import filelock
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import generation, lines, manifest_of, sample, score

from spa.errors import SpaError
from spa.records import Generation, Record, solution_sha
from spa.results.files import write_atomically
from spa.results.store import Results, Run

WEIRD = ["", "é中🙂", "\u2028\u2029\x85", "\0\x1f", "\ud800", "a\udfffb", '"\\\n\r\t', "\ufeff"]


ANY_TEXT = st.text(st.characters())  # surrogates included


HOLD = """
import sys
from pathlib import Path
from spa.results.store import Run
with Run(Path(sys.argv[1])).locked():
    print("locked")
"""


def fail_with(code: int) -> Any:
    """A function that fails as the operating system does."""

    def failing(*args: Any, **kwargs: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return failing


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
    paths = (run.samples_path, run.scores_path, run.visible_path)
    for path in paths:
        path.write_bytes(b'{"task_id": "T')
    with run.locked():
        assert [path.read_bytes() for path in paths] == [b""] * 3


@pytest.mark.parametrize("bad", [b"", b"{", b"[]", b"null", b'"text"', b'{"task_id": "T/1"}', b"\xff", b"1e999"])
def test_a_malformed_line_in_the_middle_is_named(run: Run, bad: bytes) -> None:
    whole = (sample().to_json() + "\n").encode()
    run.samples_path.write_bytes(whole + bad + b"\n" + whole)
    with pytest.raises(SpaError) as error:
        run.samples()
    assert str(error.value).startswith(f"{run.samples_path}:2 is not a valid line (")
    assert "\n" not in str(error.value)


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
