"""One cell: prompts -> decoding -> extraction -> store, with a progress bar."""

import itertools
import logging
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import NoReturn

from tqdm import tqdm

from spa import omega
from spa.config import ProfileConfig, RunConfig
from spa.decoding.engine import Engine
from spa.decoding.lanes import Budget, Decoded, Request
from spa.decoding.stopping import (
    ClosedBlock,
    FirstOf,
    KeepPiece,
    LineLimit,
    MarkedBlock,
    StopRule,
    StopStrings,
    TopLevelCount,
    TopLevelLine,
    detokenizer,
)
from spa.errors import SpaError
from spa.models import checkpoints
from spa.omega import OmegaSet
from spa.records import Generation, Problem, PromptPair
from spa.runs import manifest, reuse
from spa.runs.prepare import Plan, render_all
from spa.tasks.extraction import solution

log = logging.getLogger(__name__)


def generate(plan: Plan) -> None:
    """Bring this job's tasks to their end: copy what other runs hold, decode the rest, append each text as it is done.

    The caller holds the run's lock, or its shard's.
    """
    config, run = plan.config, plan.run
    if run.manifest().get("key", run.key) != run.key:
        raise SpaError(f"{run.folder} holds the run {run.manifest()['key']}; give another results_dir")
    problems = {problem.task_id: problem for problem in plan.own_problems}
    todo = _own(plan.unfinished(), problems)
    if not todo:
        log.info("%s: all %d tasks are there, nothing to generate", run.folder, len(problems))
        if run.manifest().get("status") != "complete":
            manifest.write(plan)
        return
    tokenizer = checkpoints.load_tokenizer(plan.checkpoint)
    rendered = render_all(plan, tokenizer, [problems[task_id] for task_id in todo])
    pairs = {pair.task_id: pair for pair in rendered}
    if config.reuse:
        _copy(plan, reuse.look_up(plan, todo, pairs))
        todo = _own(plan.unfinished(), problems)
    if not todo:
        manifest.write(plan)
        return
    checkpoints.seed(config.seed)
    loaded = checkpoints.load_kept(plan.checkpoint, config.model, tokenizer, plan.dtype, config.quantization)
    requests = [
        Request.of(
            pairs[task_id],
            part,
            stop_rule(config.profile, config.model.kind, problem, plan.template.stop.get(problem.family, [])),
            room(config, pairs[task_id], loaded.context_length),
        )
        for task_id, parts in todo.items()
        for problem in [problems[task_id]]
        for part in parts
    ]
    manifest.write(plan, loaded)
    halvings = _decode(plan, loaded, requests, pairs)
    halved = [f"out of memory at {lanes} lanes; went on with {lanes // 2}" for lanes in halvings]
    manifest.write(plan, loaded, warnings=halved)


def _copy(plan: Plan, found: reuse.Found) -> None:
    if found.samples:
        manifest.write(plan, found=found)
        plan.run.append_samples(found.samples, plan.shard)
        log.info("%s: %d texts copied from %s", plan.run.folder, len(found.samples), ", ".join(found.names))


def _decode(
    plan: Plan, loaded: checkpoints.LoadedModel, requests: Sequence[Request], pairs: Mapping[str, PromptPair]
) -> list[int]:
    """Append each text to the samples as soon as it is finished; the batch sizes that memory did not allow."""
    config, problems = plan.config, {problem.task_id: problem for problem in plan.own_problems}
    engine = Engine(
        loaded.model,
        loaded.eos_ids,
        detokenizer(loaded.tokenizer),
        batch_size=_batch_size(config, loaded, requests),
        strict=config.strict,
        budget=Budget(config.max_lanes_per_task, config.max_lane_steps),
    )
    finished = max(0.0, len(problems) - sum(omega.share(r.omegas, plan.omegas) for r in requests))
    full = [empty(request) for request in requests if not request.max_new_tokens]
    passes = engine.passes(request for request in requests if request.max_new_tokens)
    with _bar(plan, len(problems), finished) as bar:
        for ended in itertools.chain([full], passes):
            for decoded in ended:
                problem, pair = problems[decoded.task_id], pairs[decoded.task_id]
                lines = to_generations(config, problem, pair, decoded, plan.template.response)
                plan.run.append_samples(lines, plan.shard)
                done = omega.share(decoded.omegas, plan.omegas)
                bar.update(min(done, len(problems) - bar.n))  # no rounding beyond it
            bar.set_postfix_str(f"{engine.n_tokens:,} tokens", refresh=False)
            bar.update(0)
    return engine.halvings


def _bar(plan: Plan, total: int, finished: float) -> "tqdm[NoReturn]":
    """Counts tasks; the tokens beside them show that work goes on long before the first text ends."""
    shard = f" {plan.shard}" if plan.shard else ""
    return tqdm(
        desc=f"{plan.config.model.name} {plan.config.benchmark.name} {plan.config.anchor.name}{shard}",
        bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total} tasks [{elapsed}<{remaining}{postfix}]",
        total=total,
        initial=finished,
        miniters=0,
        mininterval=0.5 if sys.stderr.isatty() else 30,  # a log keeps every line
    )


def _own(unfinished: Mapping[str, list[OmegaSet]], problems: Collection[str]) -> dict[str, list[OmegaSet]]:
    return {task_id: parts for task_id, parts in unfinished.items() if task_id in problems}


def _batch_size(config: RunConfig, loaded: checkpoints.LoadedModel, requests: Sequence[Request]) -> int:
    if config.batch_size != "auto":
        return int(config.batch_size)
    longest = max(request.longest for request in requests)
    lanes = checkpoints.fitting_lanes(loaded, longest)
    log.info("batch_size=auto: %d lanes of up to %d tokens", lanes, longest)
    return lanes


def stop_rule(profile: ProfileConfig, kind: str, problem: Problem, strings: Sequence[str] = ()) -> StopRule:
    """Besides EOS: chat models stop behind their Python block, base models before the next top-level line.

    A template that names strings stops before these instead.
    """
    rule: StopRule
    if strings:
        rule = StopStrings(tuple(strings))
    elif kind == "chat":
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


def to_generations(
    config: RunConfig, problem: Problem, pair: PromptPair, decoded: Decoded, response: str = ""
) -> list[Generation]:
    """One line per omega of a grid, one for a part of an interval. response: how the prompt begins the answer."""
    parts = omega.bounds(decoded.omegas)
    profile, answer = config.profile, response + decoded.completion
    program = solution(problem, answer, config.model.kind, sole_block=profile.sole_block, bare_code=profile.bare_code)
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
