"""The files of one attention measurement in a results folder.

<results_dir>/attention/<key>/{manifest.json, tasks.jsonl, shares.csv, approximation.csv}
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spa.records import Measured
from spa.results.files import (
    append_lines,
    drop_torn_line,
    pack,
    read_lines,
    read_object,
    write_atomically,
    write_object,
)
from spa.results.provenance import scrubbed


@dataclass(frozen=True)
class Attention:
    """One `attention/<key>/` folder: what was measured along the texts of the run of that key, under its lock."""

    folder: Path

    @property
    def key(self) -> str:
        return self.folder.name

    @property
    def tasks_path(self) -> Path:
        return self.folder / "tasks.jsonl"

    @property
    def shares_path(self) -> Path:
        return self.folder / "shares.csv"

    @property
    def approximation_path(self) -> Path:
        return self.folder / "approximation.csv"

    @property
    def manifest_path(self) -> Path:
        return self.folder / "manifest.json"

    def manifest(self) -> dict[str, Any]:
        """The measurement's manifest, or an empty dict where none was written yet."""
        return read_object(self.manifest_path)

    def resume(self) -> list[Measured]:
        """The tasks that are there; a torn last line is dropped."""
        drop_torn_line(self.tasks_path)
        return list(read_lines(self.tasks_path, Measured.from_json))

    def append(self, measured: Measured) -> None:
        """Add a task; `write` has made the folder."""
        append_lines(self.tasks_path, [measured])

    def pack(self) -> None:
        """Compress the tasks, as `store.Run.pack` does."""
        pack(self.tasks_path)

    def write(self, shares: str, approximation: str, manifest: dict[str, Any]) -> None:
        """The tables of all tasks that are there, and last the manifest that says so."""
        write_atomically(self.shares_path, shares)
        write_atomically(self.approximation_path, approximation)
        write_object(self.manifest_path, scrubbed(manifest))
