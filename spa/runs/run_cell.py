"""One cell from a checked config to scored samples on disk."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from spa.config import RunConfig
from spa.errors import SpaError
from spa.results.store import Run, RunInUseError
from spa.runs import from_manifest, generate
from spa.runs.prepare import Plan, plan
from spa.scoring import verdicts

log = logging.getLogger(__name__)


def run_cell(config: RunConfig) -> Run:
    """Generate what is missing, then score it unless `score=false`.

    Holds the run's lock throughout. A shard holds its own; whichever finds all of the cell's tasks done finishes the
    cell alone.
    """
    planned = plan(config)
    from_manifest.check(config.from_manifest, planned.identity)
    log.info("%s", planned.run.folder)
    with planned.run.locked(planned.shard), _failure_noted(planned.run):
        generate.generate(planned)
        if not planned.shard:
            _finish(planned)
    if planned.shard:
        _finish_if_last(planned)
    return planned.run


def _finish_if_last(plan: Plan) -> None:
    left = len(plan.unfinished())
    if left:
        log.info("%s: shard %s is done; %d tasks are left to others", plan.run.folder, plan.config.shard, left)
        return
    try:
        with plan.run.locked(), _failure_noted(plan.run):
            _finish(plan)
    except RunInUseError as error:
        log.info("shard %s is done, another finishes the cell: %s", plan.config.shard, error)


def _finish(plan: Plan) -> None:
    """Merge and order the samples, and score them."""
    order = {problem.task_id: number for number, problem in enumerate(plan.benchmark.problems)}
    plan.run.settle(lambda sample: (order[sample.task_id], sample.omega_lo))
    if plan.config.score:
        verdicts.judge(plan.run, plan.benchmark, plan.config.benchmark, sandbox=plan.config.sandbox)


@contextmanager
def _failure_noted(run: Run) -> Iterator[None]:
    """Leave a failure's line in the manifest, where there is one, for who looks at the results."""
    try:
        yield
    except Exception as error:
        if run.manifest_path.exists():
            line = str(error) if isinstance(error, SpaError) else f"{type(error).__name__}: {error}"
            with suppress(SpaError), run.describing() as manifest:  # the first error says more than that of a full disk
                manifest |= {"status": "failed", "error": " ".join(line.split())}
        raise
