"""manifest.json: what was asked for, what a run's texts depend on, what it took, and what scored it.

The order of the fields is their order in the file.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from spa import omega
from spa.errors import SpaError
from spa.omega import OmegaSet
from spa.records import SETTINGS
from spa.results.files import read_object, write_object
from spa.results.provenance import scrubbed


@dataclass(frozen=True)
class Data:
    """Where the problems came from."""

    source: str = ""
    md5: str | None = None  # of the unpacked bytes


@dataclass(frozen=True)
class Git:
    """The commit of the code, and whether the tree differed from it."""

    commit: str
    dirty: bool = False


@dataclass(frozen=True, kw_only=True)
class ScoringReport:
    """What one scoring did."""

    scored: int = 0
    scorer_id: str
    already: int = 0  # distinct solutions that had a verdict under this scorer_id
    sandbox: str | None = None  # "bubblewrap" or "none"; None where nothing was left to score
    warning: str | None = None  # where that is "none"
    corrections: dict[str, str] = field(default_factory=dict)  # by task: where our verdict departs from evalplus'
    not_plain: int = 0  # solutions that fail since an answer is no plain data, of all that have a verdict
    seconds: float = 0.0
    retried: int = 0  # solutions that timed out, and were tried again alone
    retry_seconds: float = 0.0  # of their first tries, of which as many ran at once as there are workers


@dataclass(frozen=True, kw_only=True)
class Scoring(ScoringReport):
    """How a run was scored. Sandbox, warning, retries and seconds are of the scoring that scored last."""

    plus: bool = False
    data_md5: str | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One run's manifest."""

    key: str
    status: str  # "running", "complete" or "failed"
    experiment: str
    model: str
    benchmark: str
    family: str = ""
    anchor: str
    mask: str
    method: str = "spa"
    profile: str
    template: str
    dtype: str
    quantization: str
    weights: str | None = None  # how lossy the published weights are stored
    omega: Any  # the omega set, as `omega.to_json` gives it
    attention: str | None = None  # the kernels that computed
    linear: str | None = None
    device: str | None = None
    tokenizer_sha: str | None = None
    n_tasks: int
    n_anchored: int
    task_ids: list[str]
    tasks_done: float = 0.0  # of a task in progress, its share of the omegas
    generation_seconds: float = 0.0
    generated_tokens: int = 0
    tokens_per_second: float | None = None
    derived_from: list[str] = field(default_factory=list)  # runs that lines were copied from
    data: Data = Data()
    scoring: Scoring | None = None
    warnings: list[str] = field(default_factory=list)
    identity: dict[str, Any] = field(default_factory=dict)  # what the key covers
    config: dict[str, Any] = field(default_factory=dict)  # as `Cell.to_json` gives it
    started: str = ""
    updated: str = ""
    command: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    git: Git | None = None
    hardware: dict[str, Any] = field(default_factory=dict)
    error: str | None = None  # the line of a failure; absent where there was none

    @property
    def omegas(self) -> OmegaSet:
        """The omega set."""
        return omega.from_json(self.omega)

    @property
    def weights_text(self) -> str:
        """The run's quantization and, where the model ships lossy weights, theirs; "none" without either."""
        parts = [self.weights, self.quantization]
        return "+".join(part for part in parts if part and part != "none") or "none"

    def settings(self, extraction: str) -> dict[str, str]:
        """What tells the run's verdicts by this extraction apart, by the names of SETTINGS."""
        known = {"extraction": extraction, "quantization": self.weights_text}
        return {name: known.get(name) or getattr(self, name) or "" for name in SETTINGS}

    def to_json(self) -> dict[str, Any]:
        """The content of the file, without secrets."""
        content: dict[str, Any] = scrubbed(asdict(self))
        if self.error is None:
            del content["error"]
        return content


def read(path: Path) -> Manifest | None:
    """The manifest, or None where none was written yet. Raises SpaError for anything else, and names what is wrong."""
    content = read_object(path)
    return from_json(content, path) if content else None


def from_json(content: Mapping[str, Any], path: Path) -> Manifest:
    """Read what `Manifest.to_json` gives; unknown fields are ignored. A SpaError names `path` and the field."""
    try:
        return msgspec.convert(content, Manifest)
    except msgspec.ValidationError as error:
        if missing := re.search("missing required field `([^`]*)`", str(error)):
            raise SpaError(f"{path} has no field '{missing[1]}'; run its cell again to restore the manifest") from None
        raise SpaError(f"{path} is no manifest of a run ({error}); run its cell again to restore it") from None


def write(path: Path, manifest: Manifest) -> None:
    """Write the file, atomically."""
    write_object(path, manifest.to_json())
