"""One side of the benchmark: a process that holds a model and does the work as often as it is asked to.

parent --"run"--> worker --{"seconds", "tokens", "peak_mib"}--> parent
"""

import gc
import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, LogitsProcessorList, StoppingCriteria
from transformers import StoppingCriteriaList as Criteria

from spa import omega
from spa.config import load_benchmark_config, load_model_config
from spa.decoding.cpu import memory
from spa.decoding.engine import Engine
from spa.decoding.lanes import Request
from spa.decoding.stopping import ClosedBlock, NeverStop
from spa.models import checkpoints
from spa.results.speed import OMEGA, Setting, Side
from spa.tasks import anchors, benchmarks, prompts

GRID = [round(0.05 * step, 2) for step in range(11)]
INTERVAL = "0..0.5"
MAX_NEW_TOKENS = 400


def serve(setting: Setting, side: Side) -> None:
    """The worker's side of the conversation: answers go to stdout, one JSON line for each question."""
    torch.set_num_threads(setting.threads)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    loaded = _load(setting, side.own_kernels)
    pairs = _pairs(setting, loaded)
    work: dict[str, Callable[..., dict[str, Any]]] = {
        "ready": dict,
        "prepare": lambda folder: {"lengths": _prepare(setting, loaded, pairs, folder)},
        "run": lambda: _timed(loaded, setting, side, pairs),
    }
    for question in sys.stdin:
        name, *arguments = question.split()
        answers.write(json.dumps(work[name](*arguments)) + "\n")
        answers.flush()


Pairs = Sequence[tuple[Sequence[int], Sequence[int]]]


def _load(setting: Setting, own_kernels: bool) -> checkpoints.LoadedModel:
    config = load_model_config("smollm2_135m")
    if setting.folder:
        config.path, config.package = setting.folder, None
    checkpoint = checkpoints.identify(config)
    tokenizer = checkpoints.load_tokenizer(checkpoint)
    if setting.shape is None:
        return checkpoints.load(checkpoint, config, tokenizer, setting.dtype, "none", own_kernels)
    size = load_model_config(setting.shape).shape
    shape = LlamaConfig(  # type: ignore[call-arg]
        vocab_size=len(tokenizer),  # the prompts are SmolLM2's; DeepSeek-Coder's vocabulary has 32,256 tokens
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_value_heads,
        max_position_embeddings=16384,
        attn_implementation="sdpa",
    )
    with torch.device(setting.device):
        torch.set_default_dtype(getattr(torch, setting.dtype))
        model: Any = LlamaForCausalLM(shape)
        model.eval()
        torch.set_default_dtype(torch.float32)
    return checkpoints.LoadedModel(
        model, tokenizer, (), len(tokenizer), 16384, setting.dtype, "sdpa", "torch", setting.device
    )


def _pairs(setting: Setting, loaded: checkpoints.LoadedModel) -> Pairs:
    config = load_model_config("smollm2_135m")
    template = prompts.load_template(config.template)
    render = prompts.renderer(template, loaded.tokenizer, "humaneval", "per_token", config.mask_token)
    problems = benchmarks.load(load_benchmark_config("humaneval")).problems[: setting.tasks]
    pairs = [render(*anchors.anchor(problem, "description")) for problem in problems]
    return [(pair.original_ids, pair.masked_ids) for pair in pairs]


def _prepare(setting: Setting, loaded: checkpoints.LoadedModel, pairs: Pairs, folder: str) -> list[int]:
    """Save the model unpacked, so that every side loads it fast; returns the natural length of each task's text."""
    loaded.tokenizer.save_pretrained(folder)
    if setting.shape:
        return [200] * len(pairs)  # random weights end nowhere
    loaded.model.save_pretrained(folder)
    engine = Engine(loaded.model, loaded.eos_ids, loaded.tokenizer.decode, 16)
    requests = [
        Request(str(number), *pair, omega.Values((OMEGA,)), ClosedBlock(), MAX_NEW_TOKENS)
        for number, pair in enumerate(pairs)
    ]
    lengths = {int(text.task_id): max(1, len(text.completion_ids)) for text in engine.decode(requests)}
    return [lengths[number] for number in range(len(pairs))]


def _timed(loaded: checkpoints.LoadedModel, setting: Setting, side: Side, pairs: Pairs) -> dict[str, Any]:
    kinds = {"ours": _ours, "natural": _natural, "generate": _generate, "guidance": _guidance, "package": _package}
    pairs, lengths = _portion(setting, side, pairs)
    started = time.perf_counter()
    with torch.inference_mode():
        tokens = kinds[side.kind](loaded, side, pairs, lengths)
    if setting.device == "cuda":
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated() / 2**20
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.perf_counter() - started
    gc.collect()
    memory.give_back()  # for the other sides' processes
    return {"seconds": seconds, "tokens": tokens, "peak_mib": peak}


def _portion(setting: Setting, side: Side, pairs: Pairs) -> tuple[Pairs, Sequence[int]]:
    """What a side does of the work: prompts, and tokens to generate for each."""
    mean = sum(setting.lengths) / len(setting.lengths)
    nearest = sorted(range(len(pairs)), key=lambda number: abs(setting.lengths[number] - mean))
    chosen = sorted(nearest[: side.tasks])
    return [pairs[number] for number in chosen], [side.length or setting.lengths[number] for number in chosen]


def _ours(loaded: checkpoints.LoadedModel, side: Side, pairs: Pairs, lengths: Sequence[int]) -> int:
    engine = Engine(loaded.model, (), lambda ids: "", side.batch)
    requests = [
        Request(str(number), *pair, omega.parse(side.omega), NeverStop(), length)
        for number, (pair, length) in enumerate(zip(pairs, lengths, strict=True))
    ]
    return sum(len(text.completion_ids) for text in engine.decode(requests))


def _natural(loaded: checkpoints.LoadedModel, side: Side, pairs: Pairs, lengths: Sequence[int]) -> int:
    engine = Engine(loaded.model, loaded.eos_ids, loaded.tokenizer.decode, side.batch)
    requests = [
        Request(str(number), *pair, omega.parse(side.omega), ClosedBlock(), MAX_NEW_TOKENS)
        for number, pair in enumerate(pairs)
    ]
    return sum(len(text.completion_ids) for text in engine.decode(requests))


class _AtLength(StoppingCriteria):
    """Ends each row at a length of its own."""

    def __init__(self, prompt: int, lengths: Sequence[int], device: Any) -> None:
        self.lengths = torch.tensor(lengths, device=device) + prompt

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        return input_ids.shape[1] >= self.lengths


def _generate(loaded: checkpoints.LoadedModel, side: Side, pairs: Pairs, lengths: Sequence[int]) -> int:
    device = loaded.model.device
    order = sorted(range(len(pairs)), key=lambda number: len(pairs[number][0]), reverse=True)  # least padding
    for start in range(0, len(order), side.batch):
        batch = order[start : start + side.batch]
        width = max(len(pairs[number][0]) for number in batch)
        fill = [width - len(pairs[number][0]) for number in batch]
        rows = [[0] * n + list(pairs[number][0]) for n, number in zip(fill, batch, strict=True)]
        loaded.model.generate(
            torch.tensor(rows, device=device),
            attention_mask=torch.tensor([[0] * n + [1] * (width - n) for n in fill], device=device),
            generation_config=_settings(max(lengths[number] for number in batch)),
            stopping_criteria=Criteria([_AtLength(width, [lengths[number] for number in batch], device)]),
        )
    return sum(lengths)


def _guidance(loaded: checkpoints.LoadedModel, side: Side, pairs: Pairs, lengths: Sequence[int]) -> int:
    for (original, masked), length in zip(pairs, lengths, strict=True):
        ids = torch.tensor([list(original)], device=loaded.model.device)
        loaded.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            negative_prompt_ids=torch.tensor([list(masked)], device=ids.device),
            generation_config=_settings(length, guidance_scale=1 + OMEGA),
        )
    return sum(lengths)


def _package(loaded: checkpoints.LoadedModel, side: Side, pairs: Pairs, lengths: Sequence[int]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from anchoring import SPALogitsProcessor
    for (original, masked), length in zip(pairs, lengths, strict=True):
        ids = torch.tensor([list(original)], device=loaded.model.device)
        processor = SPALogitsProcessor(
            loaded.model,
            torch.tensor([list(masked)], device=ids.device),
            mask_token=None,
            strength=1 + OMEGA,
            modulated_by_prob=False,
            use_attention_mask=False,
        )
        loaded.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            logits_processor=LogitsProcessorList([processor]),
            generation_config=_settings(length),
        )
    return sum(lengths)


def _settings(new_tokens: int, **more: Any) -> GenerationConfig:
    return GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=new_tokens, do_sample=False, pad_token_id=0, **more
    )


if __name__ == "__main__":
    shared, own = json.loads(sys.argv[1])
    serve(Setting(**shared), Side(**own))
