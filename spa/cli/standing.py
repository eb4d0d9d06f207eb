"""Where results folders stand, told from their files alone, while jobs run and after: a row for each run.

A run that a process holds is running, whatever its manifest says; one that nobody holds and that is neither complete
nor failed was interrupted. The rate of a running one is what it has done since its manifest was written, which happens
when decoding begins, over the time since then; the time left is what is left, at that rate.
"""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from omegaconf import OmegaConf

from spa import omega
from spa.cli.hydra_app import jobs
from spa.errors import SpaError
from spa.omega import OmegaSet, omega_set_text
from spa.records import Part
from spa.results.manifest import Manifest
from spa.results.store import Results, Run

STATES = ("running", "failed", "interrupted", "not scored", "complete")


@dataclass(frozen=True)
class Row:
    """One run. What its manifest tells is empty until decoding begins."""

    folder: Path
    state: str  # one of STATES
    owner: str  # the process that holds it
    cell: tuple[str, ...] = ("",) * 5  # model, benchmark, anchor, mask, omega
    done: float = 0.0  # tasks; an omega of a grid, or a part of an interval, is its share of one
    total: int = 0
    scored: int = 0  # solutions
    rate: float | None = None  # tasks per second
    error: str = ""

    @property
    def seconds_left(self) -> float | None:
        """Until the last text; None where no rate is known."""
        return max(self.total - self.done, 0.0) / self.rate if self.rate else None


@dataclass(frozen=True)
class Standing:
    """Results folders at one moment."""

    rows: list[Row]  # by state
    missing: int  # cells of the folders' last sweeps that no job has begun

    @property
    def counts(self) -> dict[str, int]:
        """How many cells there are in each state that occurs."""
        found = Counter(row.state for row in self.rows) + Counter(missing=self.missing)
        return {state: found[state] for state in (*STATES, "missing") if found[state]}


def look(results: Iterable[Results]) -> Standing:
    """Read every run's manifest and locks; lines are counted, and read only where an interval is unfinished."""
    rows: list[Row] = []
    missing, now = 0, time.time()
    for folder in results:
        runs = folder.begun()
        rows += [_row(run, now) for run in runs]
        missing += _missing(folder, runs)
    return Standing(sorted(rows, key=lambda row: STATES.index(row.state)), missing)


def _row(run: Run, now: float) -> Row:
    owner = ", ".join(str(owner) for owner in run.owners())
    row = Row(run.folder, "running" if owner else "interrupted", owner, scored=run.count_scores())
    try:
        manifest = run.find_manifest()
        return _told(row, run, manifest, now) if manifest else row
    except SpaError as error:
        return replace(row, state="failed", error=str(error))


def _told(row: Row, run: Run, manifest: Manifest, now: float) -> Row:
    """The row with what the manifest tells."""
    done: float = manifest.n_tasks
    if manifest.status != "complete":
        done = _tasks_done(run, manifest.omegas)
    added, seconds = done - manifest.tasks_done, now - run.manifest_path.stat().st_mtime
    state = row.state
    if not row.owner and manifest.status != "running":
        scored = "complete" if manifest.scoring else "not scored"
        state = "failed" if manifest.status == "failed" else scored
    return replace(
        row,
        state=state,
        cell=(manifest.model, manifest.benchmark, manifest.anchor, manifest.mask, omega_set_text(manifest.omega)),
        done=done,
        total=manifest.n_tasks,
        rate=added / seconds if row.owner and added > 0 and seconds > 0 else None,
        error=manifest.error or "" if state == "failed" else "",
    )


def _tasks_done(run: Run, omegas: OmegaSet) -> float:
    if isinstance(omegas, omega.Values):
        return run.count_samples() / len(omegas.values)
    return omega.shares(omegas, ((sample.omega_lo, sample.omega_hi) for sample in run.iter_samples(Part)))


def _missing(results: Results, runs: list[Run]) -> int:
    """How many cells of the folder's last sweep no job has taken since the sweep began. Shards of a cell are one."""
    if not results.sweep_path.exists():
        return 0
    begun = results.sweep_path.stat().st_mtime
    hydra = OmegaConf.load(results.sweep_path).hydra
    swept = jobs(hydra, hydra.overrides.task)
    cells = {tuple(argument for argument in job if not argument.startswith("shard=")) for job in swept}
    return max(0, len(cells) - sum(run.begun_at() >= begun for run in runs))
