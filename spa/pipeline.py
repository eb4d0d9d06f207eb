"""One cell from a checked config to scored samples on disk."""

import logging
from dataclasses import asdict

from spa import generation, scoring
from spa.config import RunConfig
from spa.errors import SpaError
from spa.store import Run

log = logging.getLogger(__name__)

TOLLS = ("look_seconds", "retried", "retry_seconds")  # of the scoring that scored last


def run_cell(config: RunConfig) -> Run:
    """Generate what is missing, then score it unless `score=false`. Holds the run's lock throughout."""
    plan = generation.plan(config)
    log.info("%s", plan.run.folder)
    with plan.run.locked():
        try:
            generation.generate(plan)
            if config.score:
                _score(plan)
        except SpaError as error:
            if manifest := plan.run.manifest():
                plan.run.write_manifest({**manifest, "status": "failed", "error": str(error)})
            raise
    return plan.run


def _score(plan: generation.Plan) -> None:
    report = scoring.score_run(plan.run, plan.benchmark, sandbox=plan.config.sandbox)
    manifest = plan.run.manifest()
    earlier = manifest.get("scoring") or {}
    manifest["scoring"] = {
        **asdict(report),
        "scorer_id": scoring.scorer_id(plan.benchmark),
        "plus": plan.benchmark.plus,
        "data_md5": plan.benchmark.md5,
        "sandbox": report.sandbox or earlier.get("sandbox"),
        "warning": report.warning if report.scored else earlier.get("warning"),
        **{name: earlier[name] for name in TOLLS if name in earlier and not report.scored},
        "seconds": round(report.seconds if report.scored else earlier.get("seconds", 0.0), 3),
    }
    plan.run.write_manifest(manifest)
