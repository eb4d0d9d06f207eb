"""The files of one attention measurement in a results folder.

<results_dir>/attention/<key>/{manifest.json, tasks.jsonl, shares.csv, approximation.csv}
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from spa.errors import SpaError
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


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The manifest of one measurement; the order of the fields is their order in the file."""

    key: str
    status: str  # "running" or "complete"
    experiment: str
    model: str
    benchmark: str
    anchor: str
    mask: str
    omega: float
    dtype: str
    quantization: str
    conditions: dict[str, Any]  # what was measured, and how
    n_tasks: int
    n_without_anchor: int  # selected, and left out
    task_ids: list[str]
    identity: dict[str, Any]
    command: str
    versions: dict[str, str]
    git: dict[str, Any] | None
    hardware: dict[str, Any]


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

    def manifest(self) -> Measurement:
        """The measurement's manifest. Raises SpaError where there is none, or not a whole one."""
        found = self.find_manifest()
        if found is None:
            raise SpaError(f"{self.folder} has no manifest.json; measure its cell again (scripts/attention.py)")
        return found

    def find_manifest(self) -> Measurement | None:
        """The measurement's manifest, or None where none was written yet."""
        content = read_object(self.manifest_path)
        try:
            return msgspec.convert(content, Measurement) if content else None
        except msgspec.ValidationError as error:
            raise SpaError(
                f"{self.manifest_path} is no manifest of a measurement ({error}); measure its cell again"
            ) from None

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

    def write(self, shares: str, approximation: str, manifest: Measurement) -> None:
        """The tables of all tasks that are there, and last the manifest that says so."""
        write_atomically(self.shares_path, shares)
        write_atomically(self.approximation_path, approximation)
        write_object(self.manifest_path, scrubbed(asdict(manifest)))
