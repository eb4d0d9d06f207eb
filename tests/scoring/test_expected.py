"""What canonical solutions return, and where it is kept. How it is used is tested with scoring."""

from pathlib import Path

import pytest

from spa.errors import SpaError
from spa.scoring import expected
from spa.tasks.benchmarks import Benchmark


def test_a_cache_that_cannot_be_used_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, humaneval: Benchmark
) -> None:
    (tmp_path / "spa").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(SpaError, match=r"cannot use the cache .*/expected .*; set XDG_CACHE_HOME to another folder"):
        expected.tests(humaneval.problems[:1], humaneval, "none", 1)


def test_a_file_system_that_cannot_lock_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, humaneval: Benchmark
) -> None:
    """No marker takes the lock's place: one that a killed job left would be waited for without end."""
    asked: list[bool] = []

    class Locks:
        def __init__(self, path: Path, fallback_to_soft: bool) -> None:
            asked.append(fallback_to_soft)

        def acquire(self) -> None:
            raise OSError(38, "Function not implemented")

    monkeypatch.setattr(expected, "FileLock", Locks)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(SpaError, match=r"cannot use the cache .* \(Function not implemented\)"):
        expected.tests(humaneval.problems[:1], humaneval, "none", 1)
    assert asked == [False]
