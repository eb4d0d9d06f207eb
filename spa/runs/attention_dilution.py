"""One cell's attention: texts, decoded as an ordinary run, and what is measured along them, to `attention/<key>/`.

The run decodes at omega 0 (branch `plain`) and at the cell's own omega (branch `spa`). Both branches measure the
forward pass of the original prompt, as the authors' scripts do: SPA changes what is attended to by what it writes.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from spa import omega
from spa.config import Cell
from spa.errors import SpaError
from spa.models import attention, checkpoints
from spa.records import Generation, Measured
from spa.results import provenance
from spa.results.attention_files import Attention, Measurement
from spa.results.store import Results
from spa.runs.prepare import Prepared, prepare
from spa.runs.run_cell import run_cell

log = logging.getLogger(__name__)

GRADIENT_STEPS = 12  # of each text, evenly spaced, its first and last among them
SCALES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)  # omegas at which SPA is compared with what it approximates

# A step is the choice of one token. position: tokens written before it; relative_position: that by the text's tokens.
_STEP = ["branch", "measure", "position", "relative_position"]
SHARES = ["task_id", *_STEP, "prompt_share", "anchor_share", "prompt_tokens", "anchor_tokens"]
_AGREEMENT = ["logit_correlation", "shift_correlation", "relative_error", "argmax_agrees", "plain_argmax_agrees"]
APPROXIMATION = ["task_id", "position", "omega", *_AGREEMENT]


def measure_cell(cell: Cell) -> Attention:
    """Decode what is missing of the cell's texts, then measure attention along them; goes on where it stopped.

    Raises SpaError unless the cell is whole and has one omega, other than 0, and a selected task has the anchor.
    """
    if cell.shard:
        raise SpaError(f"shard={cell.shard} does not go with attention, which reads all texts of a cell; leave it out")
    weight = cell.omegas.lo
    if cell.omegas != omega.Values((weight,)) or cell.is_plain:
        given = omega.as_written(cell.omegas)
        raise SpaError(f"omega={given}: attention is compared with plain decoding at one omega; give one, not 0")
    cell = replace(cell, omegas=omega.parse([0.0, weight]))
    prepared = prepare(cell)
    if not _anchored(prepared):
        raise SpaError(f"anchor={cell.anchor.name} fits no selected task; select others or choose another anchor")
    run_cell(cell)
    with prepared.run.locked():
        return _measure(prepared, weight)


def _measure(prepared: Prepared, weight: float) -> Attention:
    place = Results(prepared.cell.results_dir).attention(prepared.run.key)
    conditions: dict[str, Any] = {
        "self_attention": "weights of the softmax, mean over heads",
        "gradient": f"L2 norm, sum of the top {attention.TOP_LOGITS} logits, up to {GRADIENT_STEPS} steps a text",
        "scales": [*SCALES] if prepared.cell.mask.name == "per_token" else [],  # the others have no embedding in place
    }
    described = place.find_manifest()
    if described and described.conditions != conditions:
        raise SpaError(f"{place.folder} was measured under other conditions; remove it or give another results_dir")
    done = {measured.task_id: measured for measured in place.resume()}
    anchored = _anchored(prepared)
    missing = [task_id for task_id in anchored if task_id not in done]
    if not missing and described and described.status == "complete":
        log.info("%s: all %d tasks are there, nothing to measure", place.folder, len(anchored))
        return place
    _write(prepared, place, weight, conditions, done)  # whatever happens, the conditions are on record
    if missing:
        samples = {(sample.task_id, sample.omega_lo): sample for sample in prepared.run.samples()}
        model = _load(prepared)
        label = f"attention {prepared.cell.model.name}"
        try:
            for task_id in tqdm(missing, label, total=len(anchored), initial=len(anchored) - len(missing), unit="task"):
                plain, spa = samples[task_id, 0.0], samples[task_id, weight]
                done[task_id] = Measured(task_id, shares(model, plain, spa), scales(model, plain, conditions["scales"]))
                place.append(done[task_id])
        finally:
            _write(prepared, place, weight, conditions, done)
    return place


def _anchored(prepared: Prepared) -> list[str]:
    return [problem.task_id for problem in prepared.problems if prepared.spans[problem.task_id]]


def _load(prepared: Prepared) -> Any:
    """The model with frozen weights."""
    tokenizer, config = (
        checkpoints.load_tokenizer(prepared.checkpoint, prepared.cell.model.trust_remote_code),
        prepared.cell,
    )
    loaded = checkpoints.load(prepared.checkpoint, config.model, tokenizer, prepared.dtype, config.quantization)
    return loaded.model.requires_grad_(False)


def _write(
    prepared: Prepared, place: Attention, weight: float, conditions: dict[str, Any], done: dict[str, Measured]
) -> None:
    config = prepared.cell
    task_ids = [problem.task_id for problem in prepared.benchmark.problems if problem.task_id in done]
    wanted = _anchored(prepared)
    place.write(
        shares=_csv(SHARES, [[task_id, *row] for task_id in task_ids for row in done[task_id].shares]),
        approximation=_csv(
            APPROXIMATION, [[task_id, *row] for task_id in task_ids for row in done[task_id].approximation]
        ),
        manifest=Measurement(
            key=prepared.run.key,
            status="complete" if done.keys() >= set(wanted) else "running",
            experiment=config.experiment,
            model=config.model.name,
            benchmark=config.benchmark.name,
            anchor=config.anchor.name,
            mask=config.mask.name,
            omega=weight,
            dtype=prepared.dtype,
            quantization=config.quantization,
            conditions=conditions,
            n_tasks=len(task_ids),
            n_without_anchor=len(prepared.problems) - len(wanted),
            task_ids=task_ids,
            identity=prepared.identity,
            **provenance.environment(),
        ),
    )


def _csv(columns: list[str], rows: Sequence[Sequence[Any]]) -> str:
    return pd.DataFrame(rows, columns=columns).to_csv(index=False, lineterminator="\n")


def shares(model: Any, plain: Generation, spa: Generation) -> list[list[Any]]:
    """The rows of one task, in the columns of SHARES behind its id; none for an empty text."""
    measured: dict[tuple[int, ...], list[list[Any]]] = {(): []}
    rows = []
    for branch, sample in (("plain", plain), ("spa", spa)):
        text = tuple(sample.completion_ids)  # often the same in both
        measured[text] = measured[text] if text in measured else list(_text_shares(model, sample))
        rows += [[branch, *row] for row in measured[text]]
    return rows


def _text_shares(model: Any, sample: Generation) -> Iterator[list[Any]]:
    n_prompt, n_steps = len(sample.original_ids), len(sample.completion_ids)
    ids = [*sample.original_ids, *sample.completion_ids[:-1]]
    every, some = range(n_steps), spaced(n_steps)
    last, mean = attention.self_attention(model, ids, first=n_prompt - 1)
    by_gradient = attention.gradient(model, ids, [n_prompt - 1 + step for step in some])
    for measure, steps, weights in (
        ("self_last", every, last),
        ("self_all", every, mean),
        ("gradient", some, by_gradient),
    ):
        on_prompt = attention.share(weights, range(n_prompt))
        on_anchor = attention.share(weights, sample.masked_positions)
        for step, prompt, anchor in zip(steps, on_prompt, on_anchor, strict=True):
            yield [measure, step, step / n_steps, prompt, anchor, n_prompt, len(sample.masked_positions)]


def scales(model: Any, plain: Generation, omegas: Sequence[float]) -> list[list[Any]]:
    """The rows of one task, in the columns of APPROXIMATION behind its id, along its plain text."""
    if not plain.completion_ids or not omegas:
        return []
    last, text = len(plain.original_ids) - 1, plain.completion_ids[:-1]
    positions = [last + step for step in spaced(len(plain.completion_ids))]
    original, masked = [*plain.original_ids, *text], [*plain.masked_ids, *text]
    rows = attention.approximation(model, original, masked, positions, omegas)
    return [[position - last, *values] for position, *values in rows]


def spaced(n_steps: int) -> list[int]:
    """Up to GRADIENT_STEPS of the steps 0..n_steps-1, evenly spaced."""
    steps: list[int] = np.unique(np.linspace(0, n_steps - 1, GRADIENT_STEPS).round().astype(int)).tolist()
    return steps
