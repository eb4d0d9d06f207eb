"""One cell with everything resolved but the model: what determines its texts, and the run that they belong to.

`plan` needs neither the weights nor the results folder, so a cell can be named, priced and looked up without either.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spa import omega
from spa.config import METHOD_VERSION, RunConfig, generation_key
from spa.errors import SpaError
from spa.models import checkpoints, standin
from spa.omega import OmegaSet
from spa.records import Part, Problem, PromptPair, Span
from spa.results import shards
from spa.results.shards import Shard
from spa.results.store import Results, Run
from spa.tasks import anchors, benchmarks, prompts
from spa.tasks.benchmarks import Benchmark


@dataclass(frozen=True)
class Plan:
    """A cell with everything resolved but the model."""

    config: RunConfig
    benchmark: Benchmark
    problems: tuple[Problem, ...]  # the selected tasks, in the benchmark's order
    spans: dict[str, tuple[Span, ...]]  # by task
    omegas: OmegaSet
    template: prompts.Template
    checkpoint: checkpoints.Checkpoint
    dtype: str
    identity: dict[str, Any]  # what the key covers
    run: Run
    shard: Shard | None

    def unfinished(self) -> dict[str, list[OmegaSet]]:
        """What of each task's omegas no job has decoded yet, by task, without the tasks that are done."""
        done: dict[str, list[tuple[float, float]]] = {}
        for sample in self.run.iter_samples(Part):
            done.setdefault(sample.task_id, []).append((sample.omega_lo, sample.omega_hi))
        left = {
            problem.task_id: omega.remaining(self.omegas, done.get(problem.task_id, [])) for problem in self.problems
        }
        return {task_id: parts for task_id, parts in left.items() if parts}

    @property
    def own_problems(self) -> Sequence[Problem]:
        """The tasks of this job."""
        return self.shard.part(self.problems) if self.shard else self.problems


def plan(config: RunConfig) -> Plan:
    """Resolve a checked config. Raises SpaError for every contradiction that shows without the model."""
    config = standin.replaced(config) if config.standin else config
    omegas = omega.parse(config.omega)
    anchors.check(config.anchor.name, config.benchmark.family)
    benchmark = benchmarks.load(config.benchmark)
    double_quotes_only = config.profile.double_quotes_only
    anchored = [anchors.anchor(problem, config.anchor.name, double_quotes_only) for problem in benchmark.problems]
    spans = {problem.task_id: found for problem, found in anchored}
    if config.anchor.name != "none" and not any(spans.values()):
        raise SpaError(f"anchor={config.anchor.name} fits no task of {benchmark.name}; choose another anchor")
    untagged = {problem.task_id: problem for problem, _ in anchored}
    selected = benchmarks.select(benchmark, config.limit, config.task_ids)
    template = prompts.load_template(config.template, config.model.kind)
    checkpoint = checkpoints.identify(config.model)
    dtype = checkpoints.resolve_dtype(config.dtype, config.quantization)
    identity = {
        "model": checkpoint.identity,
        "eos_token_ids": list(config.model.eos_token_ids),
        "family": config.benchmark.family,
        "template": template.sha,
        "prompts": _sha([[problem.task_id, problem.prompt] for problem, _ in anchored]),
        "anchor": None if omegas == omega.PLAIN else _anchor(config.anchor.name, spans),
        "mask": None if omegas == omega.PLAIN else [config.mask.name, mask_token(config)],
        "omega": omega.to_json(omegas),
        "stop": config.model.kind,
        "profile": config.profile.name,
        **config.profile.departures(),
        "max_new_tokens": config.max_new_tokens,
        "max_total_tokens": config.max_total_tokens,
        "budget": [config.max_lanes_per_task, config.max_lane_steps],
        "dtype": dtype,
        "quantization": config.quantization,
        "strict": config.strict and "every prompt read alone",
        "method_version": METHOD_VERSION,
    }
    return Plan(
        config=config,
        benchmark=replace(benchmark, problems=tuple(untagged.values())),
        problems=tuple(untagged[problem.task_id] for problem in selected),
        spans=spans,
        omegas=omegas,
        template=template,
        checkpoint=checkpoint,
        dtype=dtype,
        identity=identity,
        run=Results(Path(config.results_dir)).run(generation_key(identity)),
        shard=shards.parse(config.shard),
    )


def render_all(plan: Plan, tokenizer: Any, problems: Sequence[Problem]) -> list[PromptPair]:
    """The prompts of the given problems, with their anchors masked as configured."""
    config = plan.config
    render = prompts.renderer(
        plan.template,
        tokenizer,
        config.benchmark.family,
        config.mask.name,
        mask_token(config),
    )
    return [render(problem, plan.spans[problem.task_id]) for problem in problems]


def mask_token(config: RunConfig) -> str | None:
    """What anchored text is replaced by, if anything; None also where the tokenizer is to say."""
    return None if config.mask.name == "attention" else config.mask.token or config.model.mask_token


def _anchor(name: str, spans: dict[str, tuple[Span, ...]]) -> Any:
    """All that decides what is anchored in the prompts. Tags stand in no prompt, so their places count."""
    return [name, _sha(sorted(spans.items()))] if name == "tagged" else name


def _sha(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
