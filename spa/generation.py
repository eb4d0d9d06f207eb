"""One cell: problems -> prompts -> decoding -> extraction -> store, with a progress bar.

`plan` decides everything that determines the texts and names the run by its key, without loading a model; `generate`
decodes what the run's folder does not hold yet.
"""

import hashlib
import itertools
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from spa import anchors, benchmarks, models, omega, prompts, provenance
from spa.benchmarks import Benchmark
from spa.config import ProfileConfig, RunConfig, generation_key
from spa.decoding.engine import Engine
from spa.decoding.lanes import Budget, Decoded, Request
from spa.decoding.stopping import (
    ClosedBlock,
    FirstOf,
    KeepPiece,
    LineLimit,
    MarkedBlock,
    StopRule,
    TopLevelCount,
    TopLevelLine,
    detokenizer,
)
from spa.errors import SpaError
from spa.extraction import solution
from spa.records import Generation, Problem, PromptPair, Span
from spa.store import Results, Run

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """A cell with everything resolved but the model."""

    config: RunConfig
    benchmark: Benchmark
    problems: tuple[Problem, ...]  # the selected tasks, in the benchmark's order
    spans: dict[str, tuple[Span, ...]]  # by task
    omegas: omega.OmegaSet
    template: prompts.Template
    checkpoint: models.Checkpoint
    dtype: str
    identity: dict[str, Any]  # what the key covers
    run: Run


def plan(config: RunConfig) -> Plan:
    """Resolve a checked config. Raises SpaError for every contradiction that shows without the model."""
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
    template = prompts.load_template(config.template)
    checkpoint = models.identify(config.model)
    dtype = models.resolve_dtype(config.dtype, config.quantization)
    identity = {
        "model": checkpoint.identity,
        "eos_token_ids": list(config.model.eos_token_ids),
        "template": template.sha,
        "prompts": _sha([[problem.task_id, problem.prompt] for problem, _ in anchored]),
        "anchor": None if omegas == omega.PLAIN else config.anchor.name,
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
        "strict": config.strict,
    }
    return Plan(
        config=config,
        benchmark=benchmark,
        problems=tuple(untagged[problem.task_id] for problem in selected),
        spans=spans,
        omegas=omegas,
        template=template,
        checkpoint=checkpoint,
        dtype=dtype,
        identity=identity,
        run=Results(Path(config.results_dir)).run(generation_key(identity)),
    )


def generate(plan: Plan) -> None:
    """Decode what is missing and append each text as soon as it is finished. The caller holds the run's lock."""
    if plan.run.manifest().get("key", plan.run.key) != plan.run.key:
        raise SpaError(f"{plan.run.folder} holds the run {plan.run.manifest()['key']}; give another results_dir")
    config = plan.config
    done: dict[str, list[tuple[float, float]]] = {}
    for sample in plan.run.samples():
        done.setdefault(sample.task_id, []).append((sample.omega_lo, sample.omega_hi))
    todo = {problem.task_id: omega.remaining(plan.omegas, done.get(problem.task_id, [])) for problem in plan.problems}
    missing = [problem for problem in plan.problems if todo[problem.task_id]]
    if not missing:
        log.info("%s: all %d tasks are there, nothing to generate", plan.run.folder, len(plan.problems))
        return
    tokenizer = models.load_tokenizer(plan.checkpoint)
    pairs = render_all(plan, tokenizer, missing)
    loaded = models.load(plan.checkpoint, config.model, tokenizer, plan.dtype, config.quantization)
    requests = [
        Request(
            task_id=problem.task_id,
            original_ids=pair.original_ids,
            masked_ids=pair.masked_ids,
            omegas=part,
            stop=stop_rule(config.profile, config.model.kind, problem),
            max_new_tokens=room(config, pair, loaded.context_length),
            hidden=pair.hidden,
        )
        for problem, pair in zip(missing, pairs, strict=True)
        for part in todo[problem.task_id]
    ]
    _write_manifest(plan, loaded, "running", [])
    engine = Engine(
        loaded.model,
        loaded.eos_ids,
        detokenizer(tokenizer),
        batch_size=_batch_size(config, loaded, requests),
        strict=config.strict,
        budget=Budget(config.max_lanes_per_task, config.max_lane_steps),
    )
    by_task = {problem.task_id: (problem, pair) for problem, pair in zip(missing, pairs, strict=True)}
    finished = len(plan.problems) - sum(omega.share(r.omegas, plan.omegas) for r in requests)
    bar_format = "{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total} tasks [{elapsed}<{remaining}{postfix}]"
    with tqdm(total=len(plan.problems), initial=finished, desc=_label(plan), bar_format=bar_format) as bar:
        full = [empty(request) for request in requests if not request.max_new_tokens]
        for decoded in itertools.chain(full, engine.decode(r for r in requests if r.max_new_tokens)):
            problem, pair = by_task[decoded.task_id]
            plan.run.append_samples(to_generations(config, problem, pair, decoded))
            bar.update(omega.share(decoded.omegas, plan.omegas))
    _put_in_order(plan)
    halved = [f"out of memory at {lanes} lanes; went on with {lanes // 2}" for lanes in engine.halvings]
    _write_manifest(plan, loaded, "complete", halved)


def _batch_size(config: RunConfig, loaded: models.LoadedModel, requests: Sequence[Request]) -> int:
    if config.batch_size != "auto":
        return int(config.batch_size)
    longest = max(request.longest for request in requests)
    lanes = models.fitting_lanes(loaded, longest)
    log.info("batch_size=auto: %d lanes of up to %d tokens", lanes, longest)
    return lanes


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


def stop_rule(profile: ProfileConfig, kind: str, problem: Problem) -> StopRule:
    """Besides EOS: chat models stop behind their Python block, base models before the next top-level line."""
    rule: StopRule
    if kind == "chat":
        rule = MarkedBlock() if profile.marked_block_stop else ClosedBlock()
    else:
        prompt = problem.prompt
        by_count = profile.count_top_level
        rule = TopLevelCount.after(prompt) if by_count else TopLevelLine(in_function=problem.family == "humaneval")
        if profile.max_lines or profile.max_newlines:
            n_newlines = len(prompt) - len(prompt.rstrip("\n"))
            rule = FirstOf((rule, LineLimit(profile.max_lines, profile.max_newlines, n_newlines=n_newlines)))
    return KeepPiece(rule) if profile.keep_stop_token else rule


def room(config: RunConfig, pair: PromptPair, context_length: int) -> int:
    """How many tokens may be generated.

    Raises SpaError for a prompt that leaves no room for any; with `empty_when_full` 0 where only max_total_tokens is
    to blame.
    """
    length, total = max(len(pair.original_ids), len(pair.masked_ids)), len(pair.original_ids)
    if length >= context_length:
        raise SpaError(
            f"{pair.task_id}: the prompt has {length} tokens and the model's context only {context_length}; leave the "
            "task out with task_ids=[...] or use a model with a longer context"
        )
    assert config.max_new_tokens is not None
    limits = [config.max_new_tokens, context_length - length]
    if config.max_total_tokens is not None:
        if total >= config.max_total_tokens and not config.profile.empty_when_full:
            raise SpaError(
                f"{pair.task_id}: the prompt has {total} tokens and max_total_tokens={config.max_total_tokens} leaves "
                "no room; raise it"
            )
        limits.append(max(config.max_total_tokens - total, 0))
    return min(limits)


def empty(request: Request) -> Decoded:
    """The outcome of a request that may generate nothing."""
    return Decoded(request.task_id, request.omegas, [], "", "", "length", seconds=0.0, batch_rows=0)


def to_generations(config: RunConfig, problem: Problem, pair: PromptPair, decoded: Decoded) -> list[Generation]:
    """One line per omega of a grid, one for a part of an interval."""
    parts = omega.bounds(decoded.omegas)
    profile = config.profile
    program = solution(
        problem, decoded.completion, config.model.kind, sole_block=profile.sole_block, bare_code=profile.bare_code
    )
    return [
        Generation(
            task_id=problem.task_id,
            solution=program,
            omega_lo=lo,
            omega_hi=hi,
            raw=decoded.raw,
            completion=decoded.completion,
            prompt_text=pair.prompt_text,
            original_ids=list(pair.original_ids),
            masked_ids=list(pair.masked_ids),
            masked_positions=list(pair.masked_positions),
            completion_ids=decoded.completion_ids,
            finish_reason=decoded.finish_reason,
            anchor_spans=list(pair.anchor_spans),
            seconds=decoded.seconds / len(parts),
            batch_rows=decoded.batch_rows,
        )
        for lo, hi in parts
    ]


def _put_in_order(plan: Plan) -> None:
    """Sort the finished samples by task and omega, so that equal runs give equal files."""
    order = {problem.task_id: number for number, problem in enumerate(plan.benchmark.problems)}
    samples = plan.run.samples()
    ordered = sorted(samples, key=lambda sample: (order[sample.task_id], sample.omega_lo))
    if ordered != samples:
        plan.run.rewrite_samples(ordered)


def _write_manifest(plan: Plan, loaded: models.LoadedModel, status: str, warnings: Iterable[str]) -> None:
    config = plan.config
    samples = plan.run.samples()
    present = {sample.task_id for sample in samples} | {problem.task_id for problem in plan.problems}
    task_ids = [problem.task_id for problem in plan.benchmark.problems if problem.task_id in present]
    seconds = sum(sample.seconds for sample in samples)
    tokens = sum(len(ids) for _, ids in {(sample.task_id, tuple(sample.completion_ids)) for sample in samples})
    earlier = plan.run.manifest()
    plan.run.write_manifest(
        {
            "key": plan.run.key,
            "status": status,
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
            "attention": loaded.attention,
            "linear": loaded.linear,
            "device": loaded.device,
            "n_tasks": len(task_ids),
            "n_anchored": sum(bool(plan.spans[task_id]) for task_id in task_ids),
            "task_ids": task_ids,
            "generation_seconds": round(seconds, 3),
            "generated_tokens": tokens,
            "tokens_per_second": round(tokens / seconds, 3) if seconds else None,
            "data": {"source": plan.benchmark.source, "md5": plan.benchmark.md5},
            "scoring": earlier.get("scoring"),
            "warnings": [*dict.fromkeys([*earlier.get("warnings", []), *warnings])],
            "identity": plan.identity,
            "config": asdict(config),
            **provenance.environment(),
        }
    )


def _label(plan: Plan) -> str:
    return f"{plan.config.model.name} {plan.config.benchmark.name} {plan.config.anchor.name}"


def _sha(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
