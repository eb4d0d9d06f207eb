"""Compressed files are read as before, and who adds to them unpacks them."""

from pathlib import Path

import pytest
from synthetic import sample, score

from spa.config import Shard
from spa.errors import SpaError
from spa.records import solution_sha
from spa.results.store import Run


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
