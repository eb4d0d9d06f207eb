"""One cell with everything resolved but the model: what determines its texts, and the run that they belong to.

`prepare` needs neither the weights nor the results folder, so a cell can be named, priced and looked up without either.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spa import omega
from spa.config import Cell, generation_key
from spa.errors import SpaError
from spa.models import checkpoints, standin
from spa.omega import OmegaSet
from spa.records import CONTROL, Part, Problem, PromptPair, Span
from spa.results.store import Results, Run
from spa.tasks import anchors, benchmarks, prompts
from spa.tasks.benchmarks import Benchmark

Todo = dict[str, list[OmegaSet]]  # by task: the omegas that are still to be decoded


# Raised whenever a change to the code may change a generated text.
METHOD_VERSION = 2
STOP_RULE = "behind the entry point"  # the second rule of chat models, and of base models on MBPP


@dataclass(frozen=True)
class Prepared:
    """A cell with everything resolved but the model."""

    cell: Cell
    benchmark: Benchmark
    problems: tuple[Problem, ...]  # the selected tasks, in the benchmark's order
    spans: dict[str, tuple[Span, ...]]  # by task
    template: prompts.Template
    checkpoint: checkpoints.Checkpoint
    dtype: str
    identity: dict[str, Any]  # what the key covers
    run: Run

    def unfinished(self) -> Todo:
        """What no job has decoded yet; a task that is done is left out."""
        done: dict[str, list[tuple[float, float]]] = {}
        for sample in self.run.iter_samples(Part):
            done.setdefault(sample.task_id, []).append((sample.omega_lo, sample.omega_hi))
        whole = self.cell.omegas
        left = {problem.task_id: omega.remaining(whole, done.get(problem.task_id, [])) for problem in self.problems}
        return {task_id: parts for task_id, parts in left.items() if parts}

    def todo(self) -> Todo:
        """What is unfinished of this job's own tasks."""
        own = {problem.task_id for problem in self.own_problems}
        return {task_id: parts for task_id, parts in self.unfinished().items() if task_id in own}

    @property
    def own_problems(self) -> Sequence[Problem]:
        """The tasks of this job."""
        return self.cell.shard.part(self.problems) if self.cell.shard else self.problems


def prepare(cell: Cell) -> Prepared:
    """Resolve a cell. Raises SpaError for every contradiction that shows without the model."""
    cell = standin.replaced(cell) if cell.standin else cell
    anchors.check(cell.anchor.name, cell.benchmark.family)
    benchmark = benchmarks.load(cell.benchmark)
    double_quotes_only = cell.profile.double_quotes_only
    anchored = [anchors.anchor(problem, cell.anchor.name, double_quotes_only) for problem in benchmark.problems]
    spans = {problem.task_id: found for problem, found in anchored}
    if cell.anchor.name != "none" and not any(spans.values()):
        raise SpaError(f"anchor={cell.anchor.name} fits no task of {benchmark.name}; choose another anchor")
    untagged = {problem.task_id: problem for problem, _ in anchored}
    selected = benchmarks.select(benchmark, cell.limit, cell.task_ids)
    template = prompts.load_template(cell.template, cell.model.kind)
    checkpoint = checkpoints.identify(cell.model)
    dtype = checkpoints.resolve_dtype(cell.dtype, cell.quantization)
    added = {  # what came later stands in the keys that it concerns alone
        "stop_rule": STOP_RULE if _waits_for_entry_point(cell, template) else None,
        "eos": None if cell.model.eos_token_ids else "the generation config's",
        "template_arguments": dict(cell.model.template_arguments),
        "trust_remote_code": cell.model.trust_remote_code,
        "method": {} if cell.is_plain else cell.factors.departures(),
    }
    identity = {
        "model": checkpoint.identity,
        "eos_token_ids": list(cell.model.eos_token_ids),
        "family": cell.benchmark.family,
        "template": template.sha,
        "prompts": _sha([[problem.task_id, problem.prompt] for problem in untagged.values()]),
        "anchor": None if cell.is_plain else _anchor(cell.anchor.name, spans),
        "mask": None if cell.is_plain else [cell.mask.name, cell.instead],
        "omega": omega.to_json(cell.omegas),
        "stop": cell.model.kind,
        "profile": cell.profile.name,
        **cell.profile.departures(),
        "max_new_tokens": cell.max_new_tokens,
        "max_total_tokens": cell.max_total_tokens,
        "budget": [cell.max_lanes_per_task, cell.max_lane_steps],
        "dtype": dtype,
        "quantization": cell.quantization,
        "strict": cell.strict and "every prompt read alone",
        "method_version": METHOD_VERSION,
        **{name: value for name, value in added.items() if value},
    }
    return Prepared(
        cell=cell,
        benchmark=replace(benchmark, problems=tuple(untagged.values())),
        problems=tuple(untagged[problem.task_id] for problem in selected),
        spans=spans,
        template=template,
        checkpoint=checkpoint,
        dtype=dtype,
        identity=identity,
        run=Results(cell.results_dir).run(generation_key(identity)),
    )


def render_all(prepared: Prepared, tokenizer: Any, problems: Sequence[Problem]) -> list[PromptPair]:
    """The prompts of the given problems, with their anchors masked as configured."""
    cell = prepared.cell
    render = prompts.renderer(
        prepared.template,
        tokenizer,
        cell.benchmark.family,
        cell.mask.name,
        cell.instead,
        cell.model.template_arguments,
    )
    pair = render.elsewhere if cell.anchor.name == CONTROL else render
    return [pair(problem, prepared.spans[problem.task_id]) for problem in problems]


def _waits_for_entry_point(cell: Cell, template: prompts.Template) -> bool:
    """Whether a text goes on until it has defined the function that is asked for."""
    if template.stop.get(cell.benchmark.family):
        return False
    if cell.model.kind == "chat":
        return not cell.profile.marked_block_stop
    return cell.benchmark.family == "mbpp" and not cell.profile.count_top_level


def _anchor(name: str, spans: Mapping[str, tuple[Span, ...]]) -> Any:
    """All that decides what is anchored in the prompts. Tags stand in no prompt, so their places count."""
    return [name, _sha(sorted(spans.items()))] if name == "tagged" else name


def _sha(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
