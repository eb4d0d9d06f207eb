"""Decoding speed of several sides on the same work: interleaved rounds, medians, ratios.

The embedded model in float32 on the CPU, HumanEval prompts, a fixed number of new tokens (no side stops early).
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from tabulate import tabulate
from transformers import GenerationConfig

from spa import anchors, benchmarks, models, prompts
from spa.config import load_benchmark_config, load_model_config
from spa.decoding.engine import Engine, Request
from spa.decoding.stopping import NeverStop
from spa.omega import PLAIN, OmegaSet, Values
from spa.records import PromptPair

GRID = Values((0.0, 0.1, 0.2, 0.3, 0.5))


def compare(n_tasks: int, new_tokens: int, rounds: int, threads: int | None) -> str:
    """A table of median seconds and ratios, with the conditions above it."""
    if threads:
        torch.set_num_threads(threads)
    config = load_model_config("smollm2_135m")
    checkpoint = models.identify(config)
    tokenizer = models.load_tokenizer(checkpoint)
    loaded = models.load(checkpoint, config, tokenizer, "float32", "none")
    render = prompts.renderer(
        prompts.load_template(config.template), tokenizer, "humaneval", "per_token", config.mask_token
    )
    problems = benchmarks.load(load_benchmark_config("humaneval")).problems[:n_tasks]
    pairs = [render(*anchors.anchor(problem, "description")) for problem in problems]
    sides: dict[str, Callable[[], None]] = {
        f"transformers generate, batch {n_tasks}": lambda: _generate(loaded, pairs, new_tokens),
        f"ours, plain, batch {n_tasks}": lambda: _ours(loaded, pairs, PLAIN, new_tokens),
        f"ours, SPA at one omega, batch {n_tasks}": lambda: _ours(loaded, pairs, Values((0.2,)), new_tokens),
        f"ours, SPA at {len(GRID.values)} omegas, batch {n_tasks}": lambda: _ours(loaded, pairs, GRID, new_tokens),
        "transformers guidance, batch 1": lambda: _guidance(loaded, pairs, 0.2, new_tokens),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            started = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    plain = medians[f"ours, plain, batch {n_tasks}"]
    rows = [(name, median, median / plain) for name, median in medians.items()]
    conditions = (
        f"{config.name}, float32, {loaded.attention}, {torch.get_num_threads()} threads, {n_tasks} HumanEval tasks, "
        f"{new_tokens} new tokens each, median of {rounds} interleaved rounds"
    )
    return conditions + "\n" + tabulate(rows, ["side", "seconds", "ratio to ours plain"], floatfmt=("", ".2f", ".2f"))


def _ours(loaded: models.LoadedModel, pairs: list[PromptPair], omegas: OmegaSet, new_tokens: int) -> None:
    engine = Engine(loaded.model, (), lambda ids: "", batch_size=len(pairs))
    requests = [
        Request(pair.task_id, pair.original_ids, pair.masked_ids, omegas, NeverStop(), new_tokens) for pair in pairs
    ]
    for _ in engine.decode(requests):
        pass


def _generate(loaded: models.LoadedModel, pairs: list[PromptPair], new_tokens: int) -> None:
    width = max(len(pair.original_ids) for pair in pairs)
    fill = [width - len(pair.original_ids) for pair in pairs]
    ids = torch.tensor([[0] * n + list(pair.original_ids) for n, pair in zip(fill, pairs, strict=True)])
    mask = torch.tensor([[0] * n + [1] * (width - n) for n in fill])
    loaded.model.generate(ids, attention_mask=mask, generation_config=_settings(new_tokens))


def _guidance(loaded: models.LoadedModel, pairs: list[PromptPair], omega: float, new_tokens: int) -> None:
    for pair in pairs:
        ids = torch.tensor([list(pair.original_ids)])
        loaded.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            negative_prompt_ids=torch.tensor([list(pair.masked_ids)]),
            generation_config=_settings(new_tokens, guidance_scale=1 + omega),
        )


def _settings(new_tokens: int, **more: Any) -> GenerationConfig:
    return GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=new_tokens, min_new_tokens=new_tokens, do_sample=False, pad_token_id=0, **more
    )
