"""The one owner of file names in a results folder: append, resume, locks.

    <results_dir>/runs/<key>/{manifest.json, samples.jsonl, scores.jsonl, visible.jsonl}; the last three or .jsonl.gz
    <results_dir>/attention/<key>/, of which `attention_files` says what it holds
    <results_dir>/{summary.csv, tables/, figures/, claims.md, report.html}

Jobs that share a run append to samples.<i>-of-<n>.jsonl, one each. Who reads gets the union of all samples files. Three
kinds of lock keep them apart, `locking` says of what kind: .lock of who has the run alone, which the others take for an
instant when they begin; .<i>-of-<n>.lock of a shard's job; .manifest.lock, for as long as it takes to write one.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from spa.config import Shard
from spa.errors import SpaError
from spa.records import OWN, Extracted, Generation, OfSolution, Record, Score, VisibleScore
from spa.results import locking, manifest
from spa.results.attention_files import Attention
from spa.results.files import (
    append_lines,
    count_lines,
    drop_torn_line,
    entries,
    one_line_failure,
    pack,
    read_lines,
    replace_lines,
)
from spa.results.locking import InUseError, Owner
from spa.results.manifest import Manifest
from spa.results.union import union

R = TypeVar("R", bound=Record)
S = TypeVar("S", bound=OfSolution)

# Seconds to wait for a lock whose owner keeps it for an instant; while it reads a whole run; or perhaps for hours. The
# last is more than none because `Run.owners` takes a lock for an instant to ask who holds it.
FOR_AN_INSTANT, FOR_A_WHOLE_RUN, FOR_HOURS = 10.0, 600.0, 0.5

# What a process that was killed had written and not yet renamed; other files of a user's folder stay.
ASIDE = re.compile(r"\.(manifest\.json|(samples|solutions\.\w+|scores|visible)\.jsonl(\.gz)?)\.\d+")


class RunInUseError(SpaError):
    """Another process works on the run."""


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

    def solutions_path(self, extraction: str) -> Path:
        return self.folder / f"solutions.{extraction}.jsonl"

    @property
    def manifest_path(self) -> Path:
        return self.folder / "manifest.json"

    @property
    def visible_path(self) -> Path:
        return self.folder / "visible.jsonl"

    def manifest(self) -> Manifest:
        """The run's manifest. Raises SpaError where there is none, or not a whole one."""
        found = self.find_manifest()
        if found is None:
            raise SpaError(f"{self.folder} has no manifest.json; run its cell again to restore it")
        return found

    def find_manifest(self) -> Manifest | None:
        """The run's manifest, or None where none was written yet."""
        return manifest.read(self.manifest_path)

    def write_manifest(self, content: Manifest) -> None:
        """Write the manifest; `describe` does so where another process may be writing it."""
        manifest.write(self.manifest_path, content)

    def describe(self, change: Callable[[Manifest | None], Manifest]) -> None:
        """Replace the manifest by what `change` makes of it, with no other process in between."""
        with self._held(".manifest.lock", FOR_A_WHOLE_RUN):
            self.write_manifest(change(self.find_manifest()))

    def samples(self) -> list[Generation]:
        return list(self.iter_samples(Generation))

    def iter_samples(self, form: type[R]) -> Iterator[R]:
        """The samples of all jobs, one in memory at a time, in a record of the fields that are wanted.

        Shards are read first: one that vanishes meanwhile was merged into the file that is read last.
        """
        parts = self._shard_paths()
        if not parts:
            return read_lines(self.samples_path, form.from_json)
        lines = (sample for path in [*parts, self.samples_path] for sample in read_lines(path, Generation.from_json))
        return (form.from_json(sample.to_json()) for sample in union(lines))

    def extractions(self) -> list[str]:
        """How solutions were taken from the texts: by our own extraction, and by others that left a file."""
        return [OWN, *sorted({path.name.split(".")[1] for path in self.folder.glob("solutions.*.jsonl*")})]

    def iter_solutions(self, form: type[S], extraction: str) -> Iterator[S]:
        """The samples that have a solution of the extraction, with it."""
        if extraction == OWN:
            yield from self.iter_samples(form)
            return
        path = self.solutions_path(extraction)
        found = {(each.task_id, each.omega_lo, each.omega_hi): each for each in read_lines(path, Extracted.from_json)}
        for sample in self.iter_samples(form):
            if extracted := found.get((sample.task_id, sample.omega_lo, sample.omega_hi)):
                yield replace(sample, solution=extracted.solution)  # type: ignore[type-var]  # each is a dataclass

    def every_solution(self, form: type[S]) -> Iterator[S]:
        """As `iter_solutions`, of all extractions in turn."""
        for extraction in self.extractions():
            yield from self.iter_solutions(form, extraction)

    def write_solutions(self, extraction: str, solutions: Iterable[Extracted]) -> None:
        replace_lines(self.solutions_path(extraction), list(solutions))

    def count_samples(self) -> int:
        """How many whole lines the samples have, without reading them as JSON."""
        return sum(count_lines(path) for path in [*self._shard_paths(), self.samples_path])

    def count_scores(self) -> int:
        return count_lines(self.scores_path)

    def scores(self) -> list[Score]:
        return list(read_lines(self.scores_path, Score.from_json))

    def settle(self, position: Callable[[Generation], Any]) -> None:
        """Merge the shards and put the samples in order, so that equal runs give equal files. Needs the run alone."""
        samples, parts = self.samples(), self._shard_paths()
        ordered = sorted(samples, key=position)
        if parts or ordered != samples:
            replace_lines(self.samples_path, ordered)
        for path in parts:
            path.unlink()
        for lock in self.folder.glob(".*-of-*.lock"):
            lock.unlink()

    def pack(self) -> None:
        """Compress what the run holds. Readers notice nothing, and who adds to a file unpacks it."""
        with self.locked():
            extracted = map(self.solutions_path, self.extractions()[1:])
            for path in (self.samples_path, self.scores_path, self.visible_path, *extracted):
                pack(path)

    def visible(self) -> list[VisibleScore]:
        return list(read_lines(self.visible_path, VisibleScore.from_json))

    def append_visible(self, scores: Iterable[VisibleScore]) -> None:
        append_lines(self.visible_path, scores)

    def append_samples(self, samples: Iterable[Generation], shard: Shard | None = None) -> None:
        append_lines(self._shard_path(shard) if shard else self.samples_path, samples)

    def append_scores(self, scores: Iterable[Score]) -> None:
        append_lines(self.scores_path, scores)

    def drop_scores(self, worthless: Iterable[Score]) -> None:
        """Remove the verdicts of this scorer on these solutions."""
        names = {(score.scorer_id, score.task_id, score.solution_sha) for score in worthless}
        if names:
            kept = [s for s in self.scores() if (s.scorer_id, s.task_id, s.solution_sha) not in names]
            replace_lines(self.scores_path, kept)

    @contextmanager
    def locked(self, shard: Shard | None = None) -> Iterator[None]:
        """Hold the run, or one shard of it, for this process; another process that does is a `SpaError` that names it.

        Without a shard this process is alone with the run.
        """
        with ExitStack() as stack:
            if shard:
                with self._held(".lock", FOR_AN_INSTANT):
                    stack.enter_context(self._held(_lock_name(shard), FOR_HOURS))
                torn = [self._shard_path(shard)]
            else:
                stack.enter_context(self._held(".lock", FOR_HOURS))
                for lock in sorted(self.folder.glob(".*-of-*.lock")):
                    stack.enter_context(self._held(lock.name, FOR_HOURS))
                torn = [self.samples_path, self.scores_path, self.visible_path, *self._shard_paths()]
                with one_line_failure(self.folder):
                    for aside in (path for path in self.folder.iterdir() if ASIDE.fullmatch(path.name)):
                        aside.unlink()
            for path in torn:
                drop_torn_line(path)
            try:
                yield
            finally:
                self._forget_if_empty(shard)

    def owners(self) -> list[Owner]:
        """The processes that work on the run now."""
        locks = [self.folder / ".lock", *sorted(self.folder.glob(".*-of-*.lock"))]
        return [owner for owner in map(locking.owner, locks) if owner]

    def begun_at(self) -> float:
        """When a process last took the run, in seconds since the epoch; 0 where none did or the lock is gone."""
        try:
            return (self.folder / ".lock").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    @contextmanager
    def _held(self, name: str, patience: float) -> Iterator[None]:
        with ExitStack() as stack:
            with one_line_failure(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                try:
                    stack.enter_context(locking.held(self.folder / name, patience))
                except InUseError as error:
                    raise RunInUseError(
                        f"{self.folder} is in use by {error}; wait for it to end, then run again"
                    ) from None
            yield

    def _forget_if_empty(self, shard: Shard | None) -> None:
        """A run that failed before it wrote anything leaves no folder behind. Locks go before they are released."""
        files = list(self.folder.glob("*"))  # none where another job has just forgotten it
        if {path.name for path in files} <= {".lock", ".manifest.lock", *([_lock_name(shard)] if shard else [])}:
            with suppress(OSError):  # a parent that holds something else stays
                for path in files:
                    path.unlink()
                for folder in (self.folder, *self.folder.parents[:2]):
                    folder.rmdir()

    def _shard_path(self, shard: Shard) -> Path:
        return self.folder / f"samples.{shard.number}-of-{shard.count}.jsonl"

    def _shard_paths(self) -> list[Path]:
        return sorted(self.folder.glob("samples.*-of-*.jsonl"))


def _lock_name(shard: Shard) -> str:
    return f".{shard.number}-of-{shard.count}.lock"


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
    def claims_path(self) -> Path:
        return self.folder / "claims.md"

    @property
    def report_path(self) -> Path:
        return self.folder / "report.html"

    @property
    def sweep_path(self) -> Path:
        """What Hydra keeps of the last sweep into this folder."""
        return self.folder / ".hydra" / "multirun.yaml"

    def run(self, key: str) -> Run:
        return Run(self.folder / "runs" / key)

    def runs(self) -> list[Run]:
        """Every run folder with a manifest, by key."""
        return [run for run in self.begun() if run.manifest_path.exists()]

    def begun(self) -> list[Run]:
        """Every run folder, also where no manifest was written yet, by key."""
        folder = self.folder / "runs"
        return [Run(Path(entry.path)) for entry in entries(folder) if entry.is_dir()]

    def attention(self, key: str) -> Attention:
        return Attention(self.folder / "attention" / key)

    def attentions(self) -> list[Attention]:
        """Every attention folder with a manifest, by key."""
        return [Attention(path.parent) for path in sorted(self.folder.glob("attention/*/manifest.json"))]


def find_results(paths: Iterable[Path]) -> list[Results]:
    """The distinct results folders at or directly below the given paths; a path with neither is a `SpaError`."""
    found = []
    for path in paths:
        below = [path] if (path / "runs").is_dir() else sorted(p.parent for p in path.glob("*/runs") if p.is_dir())
        if not below:
            raise SpaError(f"{path} holds no results (no runs/ folder there or one level below); give a results_dir")
        found += [Results(folder) for folder in below]
    return list(dict.fromkeys(found))
