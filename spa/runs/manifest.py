"""A run's manifest is kept while a cell is worked on: before and after its texts are added, and when that fails."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from spa import omega
from spa.errors import SpaError
from spa.models.checkpoints import LoadedModel
from spa.results import provenance
from spa.results.manifest import Data, Git, Manifest
from spa.results.store import Run
from spa.runs.prepare import Prepared
from spa.runs.reuse import Found

COMPUTED_BY = ("attention", "linear", "device", "tokenizer_sha")


@contextmanager
def kept(prepared: Prepared, loaded: LoadedModel | None = None, found: Found | None = None) -> Iterator[list[str]]:
    """Describe the run before the block, which adds texts to it, and after it, with the warnings that it lists.

    loaded: the model that decodes; None where nothing is decoded: what is copied was computed as in the run `found`.
    """
    warnings: list[str] = []
    write(prepared, loaded, found, warnings)
    yield warnings
    write(prepared, loaded, found, warnings)


@contextmanager
def failure_noted(run: Run) -> Iterator[None]:
    """Leave a failure's line in the manifest, where there is one, for those who look at the results."""
    try:
        yield
    except Exception as error:
        text = str(error) if isinstance(error, SpaError) else f"{type(error).__name__}: {error}"
        with suppress(SpaError):  # the first error says more than that of a full disk
            if described := run.find_manifest():
                line = " ".join(text.split())
                run.describe(lambda latest: replace(latest or described, status="failed", error=line))
        raise


def write(
    prepared: Prepared, loaded: LoadedModel | None = None, found: Found | None = None, warnings: Iterable[str] = ()
) -> None:
    """Describe the run as it stands. Warnings and sources add to earlier ones; the scoring's entry is kept."""
    environment, amounts, copied = provenance.environment(), _amounts(prepared), found or Found()

    def described(earlier: Manifest | None) -> Manifest:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        cell = prepared.cell
        return Manifest(
            key=prepared.run.key,
            status="running" if prepared.unfinished() else "complete",
            experiment=cell.experiment,
            model=cell.model.name,
            benchmark=cell.benchmark.name,
            family=cell.benchmark.family,
            anchor=cell.anchor.name,
            mask=cell.mask.name,
            method=cell.method.name,
            profile=cell.profile.name,
            template=cell.template,
            dtype=prepared.dtype,
            quantization=cell.quantization,
            weights=cell.model.weights,
            omega=omega.to_json(cell.omegas),
            **_computed_by(loaded, earlier, copied),
            **amounts,
            derived_from=_added(earlier.derived_from if earlier else [], copied.names),
            data=Data(prepared.benchmark.source, prepared.benchmark.md5),
            scoring=earlier.scoring if earlier else None,
            warnings=_added(earlier.warnings if earlier else [], warnings),
            identity=prepared.identity,
            config=cell.to_json(),
            started=earlier.started if earlier else now,
            updated=now,
            command=environment["command"],
            versions=environment["versions"],
            git=environment["git"] and Git(**environment["git"]),
            hardware=environment["hardware"],
        )

    prepared.run.describe(described)


def _added(earlier: Iterable[str], more: Iterable[str]) -> list[str]:
    return [*dict.fromkeys([*earlier, *more])]


def _computed_by(loaded: LoadedModel | None, earlier: Manifest | None, found: Found) -> dict[str, Any]:
    known = [loaded] if loaded else [earlier, *(run.manifest() for run in found.sources)]
    facts = next((each for each in known if each and each.device), None)
    return {name: getattr(facts, name, None) for name in COMPUTED_BY}


def _amounts(prepared: Prepared) -> dict[str, Any]:
    """Tasks, and the tokens and seconds of what was decoded here; a copied line took no time."""
    samples = prepared.run.samples()
    present = {sample.task_id for sample in samples} | {problem.task_id for problem in prepared.problems}
    task_ids = [problem.task_id for problem in prepared.benchmark.problems if problem.task_id in present]
    decoded = [sample for sample in samples if sample.seconds]
    seconds = sum(sample.seconds for sample in decoded)
    tokens = sum(len(ids) for _, ids in {(sample.task_id, tuple(sample.completion_ids)) for sample in decoded})
    return {
        "n_tasks": len(task_ids),
        "n_anchored": sum(bool(prepared.spans[task_id]) for task_id in task_ids),
        "task_ids": task_ids,
        "tasks_done": round(omega.shares(prepared.cell.omegas, ((s.omega_lo, s.omega_hi) for s in samples)), 3),
        "generation_seconds": round(seconds, 3),
        "generated_tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 3) if seconds else None,
    }
