"""What manifest.json says of a run: what was asked for, what it depends on, and what it took."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from spa import omega
from spa.models.checkpoints import LoadedModel
from spa.results import provenance
from spa.runs.prepare import Plan
from spa.runs.reuse import Found

COMPUTED_BY = ("attention", "linear", "device", "tokenizer_sha")


def write(
    plan: Plan, loaded: LoadedModel | None = None, found: Found | None = None, warnings: Iterable[str] = ()
) -> None:
    """Describe the run as it stands.

    loaded: None where nothing was decoded; what was copied was then computed as in the run that it is from.
    Warnings and sources add to earlier ones; the scoring's entry is kept.
    """
    found, environment = found or Found(), provenance.environment()
    with plan.run.describing() as manifest:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        earlier = dict(manifest)
        manifest.clear()
        manifest |= {
            "key": plan.run.key,
            "status": "running" if plan.unfinished() else "complete",
            **_cell(plan),
            **_computed_by(loaded, earlier, found),
            **_amounts(plan),
            "derived_from": [*dict.fromkeys([*earlier.get("derived_from", []), *found.names])],
            "data": {"source": plan.benchmark.source, "md5": plan.benchmark.md5},
            "scoring": earlier.get("scoring"),
            "warnings": [*dict.fromkeys([*earlier.get("warnings", []), *warnings])],
            "identity": plan.identity,
            "config": asdict(plan.config),
            "started": earlier.get("started", now),
            "updated": now,
            **environment,
        }


def _cell(plan: Plan) -> dict[str, Any]:
    config = plan.config
    return {
        "experiment": config.experiment,
        "model": config.model.name,
        "benchmark": config.benchmark.name,
        "family": config.benchmark.family,
        "anchor": config.anchor.name,
        "mask": config.mask.name,
        "profile": config.profile.name,
        "template": config.template,
        "dtype": plan.dtype,
        "quantization": config.quantization,
        "weights": config.model.weights,
        "omega": omega.to_json(plan.omegas),
    }


def _computed_by(loaded: LoadedModel | None, earlier: dict[str, Any], found: Found) -> dict[str, Any]:
    if loaded:
        return {name: getattr(loaded, name) for name in COMPUTED_BY}
    known = next((facts for facts in [earlier, *(run.manifest() for run in found.sources)] if "device" in facts), {})
    return {name: known.get(name) for name in COMPUTED_BY}


def _amounts(plan: Plan) -> dict[str, Any]:
    """Tasks, and the tokens and seconds of what was decoded here; a copied line took no time."""
    samples = plan.run.samples()
    present = {sample.task_id for sample in samples} | {problem.task_id for problem in plan.problems}
    task_ids = [problem.task_id for problem in plan.benchmark.problems if problem.task_id in present]
    decoded = [sample for sample in samples if sample.seconds]
    seconds = sum(sample.seconds for sample in decoded)
    tokens = sum(len(ids) for _, ids in {(sample.task_id, tuple(sample.completion_ids)) for sample in decoded})
    return {
        "n_tasks": len(task_ids),
        "n_anchored": sum(bool(plan.spans[task_id]) for task_id in task_ids),
        "task_ids": task_ids,
        "tasks_done": round(omega.shares(plan.omegas, ((s.omega_lo, s.omega_hi) for s in samples)), 3),
        "generation_seconds": round(seconds, 3),
        "generated_tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 3) if seconds else None,
    }
