"""The one owner of file names in a results folder: append, resume, atomic write.

    <results_dir>/runs/<key>/{manifest.json, samples.jsonl, scores.jsonl}
    <results_dir>/{summary.csv, tables/, figures/, report.html}

A JSONL line is whole or absent: every append is flushed to the disk, and a torn last line (the process was killed while
it wrote) is dropped when the file is next opened for appending. Whole files are written aside and renamed.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from spa.errors import SpaError
from spa.records import Generation, Record, Score

R = TypeVar("R", Generation, Score)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write beside `path`, flush to the disk, rename. The folder is made where it is missing."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with _one_line_failure(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as file:
                file.write(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


def solution_sha(solution: str) -> str:
    """The name under which a solution's verdict is kept."""
    return hashlib.sha256(solution.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Run:
    """One `runs/<key>/` folder: everything that one generation key produced."""

    folder: Path

    @property
    def key(self) -> str:
        return self.folder.name

    @property
    def samples_path(self) -> Path:
        return self.folder / "samples.jsonl"

    @property
    def scores_path(self) -> Path:
        return self.folder / "scores.jsonl"

    @property
    def manifest_path(self) -> Path:
        return self.folder / "manifest.json"

    def manifest(self) -> dict[str, Any]:
        """The run's manifest, or an empty dict where none was written yet."""
        if not self.manifest_path.exists():
            return {}
        try:
            content: dict[str, Any] = json.loads(self.manifest_path.read_bytes())
        except ValueError as error:
            raise SpaError(f"{self.manifest_path} is not JSON ({error}); remove the run folder or restore it") from None
        return content

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        write_atomically(self.manifest_path, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")

    def samples(self) -> list[Generation]:
        return list(_read_lines(self.samples_path, Generation.from_json))

    def scores(self) -> list[Score]:
        return list(_read_lines(self.scores_path, Score.from_json))

    def rewrite_samples(self, samples: Iterable[Generation]) -> None:
        """Replace the samples file, atomically: used once, to put a finished run into canonical order."""
        write_atomically(self.samples_path, "".join(sample.to_json() + "\n" for sample in samples))

    def append_samples(self, samples: Iterable[Generation]) -> None:
        _append_lines(self.samples_path, samples)

    def append_scores(self, scores: Iterable[Score]) -> None:
        _append_lines(self.scores_path, scores)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process; another process that works on it is a `SpaError`."""
        lock = FileLock(self.folder / ".lock")
        with _one_line_failure(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise SpaError(
                    f"{self.folder} is in use by another process; wait for it to end, then run again"
                ) from None
        try:
            for path in (self.samples_path, self.scores_path):
                _drop_torn_line(path)
            yield
        finally:
            lock.release()
            self._forget_if_empty()

    def _forget_if_empty(self) -> None:
        """A run that failed before it wrote anything leaves no folder behind."""
        lock = self.folder / ".lock"
        if set(self.folder.iterdir()) <= {lock}:
            lock.unlink(missing_ok=True)
            with suppress(OSError):  # a parent that holds something else stays
                for folder in (self.folder, *self.folder.parents[:2]):
                    folder.rmdir()


@dataclass(frozen=True)
class Results:
    """One experiment's results folder."""

    folder: Path

    @property
    def summary_path(self) -> Path:
        return self.folder / "summary.csv"

    @property
    def tables_folder(self) -> Path:
        return self.folder / "tables"

    @property
    def figures_folder(self) -> Path:
        return self.folder / "figures"

    @property
    def report_path(self) -> Path:
        return self.folder / "report.html"

    def run(self, key: str) -> Run:
        return Run(self.folder / "runs" / key)

    def runs(self) -> list[Run]:
        """Every run folder with a manifest, by key."""
        return [Run(path.parent) for path in sorted(self.folder.glob("runs/*/manifest.json"))]


def find_results(paths: Iterable[Path]) -> list[Results]:
    """The distinct results folders at or directly below the given paths; a path with neither is a `SpaError`."""
    found = []
    for path in paths:
        below = [path] if (path / "runs").is_dir() else sorted(p.parent for p in path.glob("*/runs") if p.is_dir())
        if not below:
            raise SpaError(f"{path} holds no results (no runs/ folder there or one level below); give a results_dir")
        found += [Results(folder) for folder in below]
    return list(dict.fromkeys(found))


@contextmanager
def _one_line_failure(path: Path) -> Iterator[None]:
    """A full disk or a read-only folder is the user's to mend."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise SpaError(f"cannot write {path}: {reason}; make room there or take another folder") from error


def _read_lines(path: Path, parse: Callable[[bytes], R]) -> Iterator[R]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # torn: the writer was killed, or is writing now
            try:
                yield parse(line)
            except (ValueError, TypeError) as error:
                raise SpaError(
                    f"{path}:{number} is not a valid line ({error}); remove that line and run again"
                ) from None


def _append_lines(path: Path, records: Iterable[Record]) -> None:
    content = "".join(record.to_json() + "\n" for record in records).encode("utf-8", "surrogatepass")
    if content:
        with _one_line_failure(path), path.open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _drop_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with _one_line_failure(path), path.open("rb+") as file:
        content = file.read()
        if not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)
