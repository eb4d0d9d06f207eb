"""One cell from a checked config to scored samples on disk: prepare, copy, decode, settle, score."""

import logging

from spa.config import Cell
from spa.errors import SpaError
from spa.models import checkpoints
from spa.results.store import Run, RunInUseError
from spa.runs import from_manifest, generate, manifest, reuse
from spa.runs.prepare import Prepared, prepare, render_all
from spa.scoring import verdicts

log = logging.getLogger(__name__)


def run_cell(cell: Cell) -> Run:
    """Generate what is missing, then score it unless `score=false`.

    Holds the run's lock throughout. A shard holds its own; whichever finds all of the cell's tasks done finishes the
    cell alone.
    """
    prepared = prepare(cell)
    run = prepared.run
    from_manifest.check(cell.from_manifest, prepared.identity)
    log.info("%s", run.folder)
    with run.locked(cell.shard), manifest.failure_noted(run):
        _bring_to_end(prepared)
        if not cell.shard:
            _finish(prepared)
    if cell.shard:
        _finish_if_last(prepared)
    return run


def _bring_to_end(prepared: Prepared) -> None:
    """Copy what other runs hold of this job's tasks, and decode the rest."""
    cell, run, todo = prepared.cell, prepared.run, prepared.todo()
    described = run.find_manifest()
    if described and described.key != run.key:
        raise SpaError(f"{run.folder} holds the run {described.key}; give another results_dir")
    if not todo:
        log.info("%s: all %d tasks are there, nothing to generate", run.folder, len(prepared.own_problems))
        if not described or described.status != "complete":
            manifest.write(prepared)
        return
    tokenizer = checkpoints.load_tokenizer(prepared.checkpoint, prepared.cell.model.trust_remote_code)
    problems = [problem for problem in prepared.own_problems if problem.task_id in todo]
    pairs = {pair.task_id: pair for pair in render_all(prepared, tokenizer, problems)}
    if cell.reuse:
        found = reuse.look_up(prepared, todo, pairs)
        if found.samples:
            with manifest.kept(prepared, found=found):
                run.append_samples(found.samples, cell.shard)
            log.info("%s: %d texts copied from %s", run.folder, len(found.samples), ", ".join(found.names))
        todo = prepared.todo()
    if todo:
        checkpoints.seed(cell.seed)
        model = checkpoints.load_kept(prepared.checkpoint, cell.model, tokenizer, prepared.dtype, cell.quantization)
        requests = generate.requests(prepared, model, todo, pairs)
        with manifest.kept(prepared, model) as warnings:
            halvings = generate.decode(prepared, model, requests, pairs)
            warnings += [f"out of memory at {lanes} lanes; went on with {lanes // 2}" for lanes in halvings]


def _finish_if_last(prepared: Prepared) -> None:
    run, shard = prepared.run, prepared.cell.shard
    if left := len(prepared.unfinished()):
        log.info("%s: shard %s is done; %d tasks are left to others", run.folder, shard, left)
        return
    try:
        with run.locked(), manifest.failure_noted(run):
            _finish(prepared)
    except RunInUseError as error:
        log.info("shard %s is done, another finishes the cell: %s", shard, error)


def _finish(prepared: Prepared) -> None:
    """Merge and order the samples, and score them."""
    order = {problem.task_id: number for number, problem in enumerate(prepared.benchmark.problems)}
    prepared.run.settle(lambda sample: (order[sample.task_id], sample.omega_lo))
    cell = prepared.cell
    if cell.score:
        verdicts.judge(
            prepared.run, prepared.benchmark, cell.benchmark, sandbox=cell.sandbox, extraction=cell.extraction
        )
