"""Samples joined with their verdicts: the one reader of what was scored."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from spa.records import OWN, OfSolution, Score, VisibleScore, solution_sha
from spa.results.manifest import Manifest
from spa.results.store import Run

S = TypeVar("S", bound=OfSolution)


@dataclass(frozen=True)
class Judged(Generic[S]):
    """A sample with its verdicts, as far as there are any."""

    sample: S
    score: Score | None
    visible: VisibleScore | None


def judged(run: Run, manifest: Manifest, form: type[S], extraction: str = OWN) -> Iterator[Judged[S]]:
    """The samples of a run, one in memory at a time, in a record of the fields that are wanted.

    Of an extraction that is not our own: those that have a solution of it.
    """
    scores = counting(run, manifest)
    shown = {(score.task_id, score.solution_sha): score for score in run.visible()}
    for sample in run.iter_solutions(form, extraction):
        name = sample.task_id, solution_sha(sample.solution)
        yield Judged(sample, scores.get(name), shown.get(name))


def counting(run: Run, manifest: Manifest) -> dict[tuple[str, str], Score]:
    """The verdict that counts for each (task_id, solution_sha): by the manifest's scorer, else by the latest one."""
    scores = run.scores()
    scorer_id = manifest.scoring.scorer_id if manifest.scoring else scores[-1].scorer_id if scores else None
    return {(score.task_id, score.solution_sha): score for score in scores if score.scorer_id == scorer_id}
