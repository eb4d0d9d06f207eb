"""What others decode the same prompts with: transformers' `generate` and guidance, the authors' package, llama.cpp.

Each function takes the model, the two prompts of every task and the tokens of its text, the batch and omega, and
returns the tokens of all texts. Guidance and the package take one task at a time.
"""

import importlib
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteria
from transformers import StoppingCriteriaList as Criteria

Pairs = Sequence[tuple[Sequence[int], Sequence[int]]]
LLAMA_CPP_SLOTS = 1024  # tokens of a row: the longest prompt of HumanEval and 400 more fit


class _AtLength(StoppingCriteria):
    """Ends each row at a length of its own."""

    def __init__(self, prompt: int, lengths: Sequence[int], device: Any) -> None:
        self.lengths = torch.tensor(lengths, device=device) + prompt

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        return input_ids.shape[1] >= self.lengths


def generate(model: Any, pairs: Pairs, lengths: Sequence[int], batch: int, omega: float) -> int:
    order = sorted(range(len(pairs)), key=lambda number: len(pairs[number][0]), reverse=True)  # least padding
    for start in range(0, len(order), batch):
        together = order[start : start + batch]
        width = max(len(pairs[number][0]) for number in together)
        fill = [width - len(pairs[number][0]) for number in together]
        rows = [[0] * n + list(pairs[number][0]) for n, number in zip(fill, together, strict=True)]
        model.generate(
            torch.tensor(rows, device=model.device),
            attention_mask=torch.tensor([[0] * n + [1] * (width - n) for n in fill], device=model.device),
            generation_config=_settings(max(lengths[number] for number in together)),
            stopping_criteria=Criteria([_AtLength(width, [lengths[number] for number in together], model.device)]),
        )
    return sum(lengths)


def guidance(model: Any, pairs: Pairs, lengths: Sequence[int], batch: int, omega: float) -> int:
    for (original, masked), length in zip(pairs, lengths, strict=True):
        ids = torch.tensor([list(original)], device=model.device)
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            negative_prompt_ids=torch.tensor([list(masked)], device=ids.device),
            generation_config=_settings(length, guidance_scale=1 + omega),
        )
    return sum(lengths)


def package(model: Any, pairs: Pairs, lengths: Sequence[int], batch: int, omega: float) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from anchoring import SPALogitsProcessor
    for (original, masked), length in zip(pairs, lengths, strict=True):
        ids = torch.tensor([list(original)], device=model.device)
        processor = SPALogitsProcessor(
            model,
            torch.tensor([list(masked)], device=ids.device),
            mask_token=None,
            strength=1 + omega,
            modulated_by_prob=False,
            use_attention_mask=False,
        )
        model.generate(
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


def llama_cpp_server(file: str, rows: int, threads: int) -> Any:
    """llama.cpp in this process, with a slot for each row."""
    xllamacpp: Any = importlib.import_module("xllamacpp")
    wanted = xllamacpp.CommonParams()
    wanted.model.path = file
    wanted.n_parallel = rows
    wanted.n_ctx = LLAMA_CPP_SLOTS * rows
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = threads
    wanted.n_gpu_layers = wanted.cache_ram_mib = 0
    return xllamacpp.Server(wanted)


def llama_cpp(server: Any, pairs: Pairs, lengths: Sequence[int], batch: int, omega: float) -> int:
    """The rows that we decode for the same texts, each as a text of its own: it cannot combine two branches."""
    branches = 1 if omega == 0 else 2
    rows = [(ids, length) for pair, length in zip(pairs, lengths, strict=True) for ids in pair[:branches]]

    def answer(row: tuple[Sequence[int], int]) -> int:
        ids, length = row
        asked = {"prompt": list(ids), "max_tokens": length, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
        tokens: int = server.handle_completions(asked)["usage"]["completion_tokens"]
        return tokens

    with ThreadPoolExecutor(batch * branches) as slots:
        return sum(slots.map(answer, rows)) // branches
