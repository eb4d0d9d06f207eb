"""A cell's prompts -> decoding -> extraction -> samples on disk, with a progress bar."""

import itertools
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NoReturn

from tqdm import tqdm

from spa import omega
from spa.config import Cell
from spa.decoding.engine import Engine
from spa.decoding.lanes import Budget, Decoded, Request, context_room
from spa.decoding.stopping import (
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
from spa.models.checkpoints import LoadedModel
from spa.records import Generation, Problem, PromptPair
from spa.runs.prepare import Prepared, Todo
from spa.runs.time_left import TimeLeft
from spa.schema import ProfileConfig
from spa.tasks.extraction import UntilProgram, solution

log = logging.getLogger(__name__)


def requests(prepared: Prepared, loaded: LoadedModel, todo: Todo, pairs: Mapping[str, PromptPair]) -> list[Request]:
    """What is left of every task's omegas, as requests. Raises SpaError where a prompt leaves no room for a text."""
    cell, problems = prepared.cell, {problem.task_id: problem for problem in prepared.own_problems}
    return [
        Request.of(
            pairs[task_id],
            part,
            stop_rule(cell.profile, cell.model.kind, problem, prepared.template.stop.get(problem.family, [])),
            room(cell, pairs[task_id], loaded.context_length),
        )
        for task_id, parts in todo.items()
        for problem in [problems[task_id]]
        for part in parts
    ]


def decode(
    prepared: Prepared, loaded: LoadedModel, requests: Sequence[Request], pairs: Mapping[str, PromptPair]
) -> list[int]:
    """Append each text to the samples as soon as it is finished; returns the batch sizes that memory did not allow.

    The caller holds the run's lock, or its shard's.
    """
    cell, problems = prepared.cell, {problem.task_id: problem for problem in prepared.own_problems}
    engine = Engine(
        loaded.model,
        loaded.eos_ids,
        detokenizer(loaded.tokenizer),
        batch_size=_batch_size(cell, loaded, requests),
        strict=cell.strict,
        budget=Budget(cell.max_lanes_per_task, cell.max_lane_steps),
        n_tokens=loaded.n_tokens,
        method=cell.factors,
        drafts=cell.drafts,
        backend=cell.backend,
        parked_gib=cell.parked_gib,
    )
    finished = max(0.0, len(problems) - sum(omega.share(r.omegas, cell.omegas) for r in requests))
    full = [empty(request) for request in requests if not request.max_new_tokens]
    passes = engine.passes(request for request in requests if request.max_new_tokens)
    seen, n_tokens, since, shown = TimeLeft(cell.max_new_tokens), 0, time.perf_counter(), 0.0
    with _bar(cell, len(problems), finished) as bar:
        for ended in itertools.chain([full], passes):
            now = time.perf_counter()
            seen.passed(len(engine.lanes) + len(ended), engine.n_tokens - n_tokens, now - since)
            n_tokens, since = engine.n_tokens, now
            for decoded in ended:
                problem, pair = problems[decoded.task_id], pairs[decoded.task_id]
                lines = to_generations(cell, problem, pair, decoded, prepared.template.response)
                prepared.run.append_samples(lines, cell.shard)
                done = omega.share(decoded.omegas, cell.omegas)
                bar.update(min(done, len(problems) - bar.n))  # no rounding beyond it
                seen.lengths.append(len(decoded.completion_ids))
            if now - shown >= bar.mininterval or not engine.lanes:
                left, shown = _left(engine, seen, bar.n - finished, len(problems) - bar.n), now
                bar.set_postfix_str(f"{left}{engine.n_tokens:,} tokens", refresh=False)
            bar.update(0)
    return engine.halvings


def _left(engine: Engine, seen: TimeLeft, done: float, to_do: float) -> str:
    """The time left as the bar shows it; empty while unknown. done, to_do: tasks, counted by their omegas' shares."""
    in_flight = [len(lane.tokens) for lane in engine.lanes]
    waiting = [len(lane.tokens) for lane in (*engine.parked, *engine.waiting)]
    probable = round(to_do * len(seen.lengths) / done) if done else 0  # texts, if tasks go on splitting as they did
    seconds = seen.left(in_flight, waiting, max(probable - len(in_flight) - len(waiting), 0), engine.batch_size)
    return "" if seconds is None else f"{tqdm.format_interval(seconds)} left, "


def _bar(cell: Cell, total: int, finished: float) -> "tqdm[NoReturn]":
    """Counts tasks; the tokens beside them show that work goes on long before the first text ends."""
    shard = f" {cell.shard}" if cell.shard else ""
    return tqdm(
        desc=f"{cell.model.name} {cell.benchmark.name} {cell.anchor.name}{shard}",
        bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.1f}/{total} tasks [{elapsed}{postfix}]",
        total=total,
        initial=finished,
        miniters=0,
        mininterval=0.5 if sys.stderr.isatty() else 30,  # a log keeps every line
    )


def _batch_size(cell: Cell, loaded: LoadedModel, requests: Sequence[Request]) -> int:
    if cell.batch_size != "auto":
        return cell.batch_size
    longest = max(request.longest for request in requests)
    lanes = loaded.fitting_lanes(longest)
    log.info("batch_size=auto: %d lanes of up to %d tokens", lanes, longest)
    return lanes


def stop_rule(profile: ProfileConfig, kind: str, problem: Problem, strings: Sequence[str] = ()) -> StopRule:
    """Besides EOS: chat models stop behind the block with the entry point, base models before the next top-level line.

    A template that names strings stops before these instead.
    """
    rule: StopRule
    if strings:
        rule = StopStrings(tuple(strings))
    elif kind == "chat":
        rule = MarkedBlock() if profile.marked_block_stop else UntilProgram(problem.entry_point)
    else:
        prompt = problem.prompt
        by_count = profile.count_top_level
        wanted = None if problem.family == "humaneval" else problem.entry_point
        rule = TopLevelCount.after(prompt) if by_count else TopLevelLine.of(wanted)
        if profile.max_lines or profile.max_newlines:
            n_newlines = len(prompt) - len(prompt.rstrip("\n"))
            rule = FirstOf((rule, LineLimit(profile.max_lines, profile.max_newlines, n_newlines=n_newlines)))
    return KeepPiece(rule) if profile.keep_stop_token else rule


def room(cell: Cell, pair: PromptPair, context_length: int) -> int:
    """How many tokens may be generated.

    Raises SpaError for a prompt that leaves no room for any; with `empty_when_full` 0 where only max_total_tokens is
    to blame.
    """
    advice = "leave the task out with task_ids=[...] or use a model with a longer context"
    total = len(pair.original_ids)
    limits = [cell.max_new_tokens, context_room(pair, context_length, f"{pair.task_id}: the prompt", advice)]
    if cell.max_total_tokens is not None:
        if total >= cell.max_total_tokens and not cell.profile.empty_when_full:
            raise SpaError(
                f"{pair.task_id}: the prompt has {total} tokens and max_total_tokens={cell.max_total_tokens} leaves "
                "no room; raise it"
            )
        limits.append(max(cell.max_total_tokens - total, 0))
    return min(limits)


def empty(request: Request) -> Decoded:
    """The outcome of a request that may generate nothing."""
    return Decoded(request.task_id, request.omegas, [], "", "", "length", seconds=0.0, batch_rows=0)


def to_generations(
    cell: Cell, problem: Problem, pair: PromptPair, decoded: Decoded, response: str = ""
) -> list[Generation]:
    """One line per omega of a grid, one for a part of an interval. response: how the prompt begins the answer."""
    parts = omega.bounds(decoded.omegas)
    program = program_of(cell, problem, response + decoded.completion)
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
            missing_tokens=pair.missing_tokens,
        )
        for lo, hi in parts
    ]


def program_of(cell: Cell, problem: Problem, answer: str) -> str:
    """What of an answer is scored."""
    profile = cell.profile
    return solution(problem, answer, cell.model.kind, sole_block=profile.sole_block, bare_code=profile.bare_code)
