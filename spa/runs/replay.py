"""Stored samples, decoded again by transformers alone: the token ids in a results folder make its texts checkable."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig

from spa.decoding.sharing import Sharing
from spa.errors import SpaError
from spa.models import checkpoints
from spa.models.checkpoints import LoadedModel
from spa.records import Generation
from spa.results.store import Results
from spa.schema import ModelConfig


@dataclass(frozen=True)
class Replayed:
    """One sample and whether the reference chose the same tokens."""

    sample: Generation
    key: str
    same: int  # tokens from the beginning that agree
    agrees: bool


def replay(results: Results, n_tasks: int) -> Iterator[Replayed]:
    """Decode the samples of each run's first tasks at every omega, one at a time, in the run's own dtype.

    Raises SpaError for an empty folder. Parts of intervals are decoded at their middle.
    """
    if not results.runs():
        raise SpaError(f"{results.folder} holds no run; run a cell first (python scripts/run.py)")
    for run in results.runs():
        manifest, samples = run.manifest(), run.samples()
        config = ModelConfig(**manifest.config["model"])
        checkpoint = checkpoints.identify(config)
        if checkpoint.identity != manifest.identity["model"]:
            raise SpaError(f"{run.folder} was made with {manifest.identity['model']}, here is {checkpoint.identity}")
        if "method" in manifest.identity:
            raise SpaError(f"{run.folder} has method={manifest.method}, which transformers' own guidance does not know")
        if (manifest.identity["mask"] or [""])[0] == "package":
            raise SpaError(f"{run.folder} has mask=package, which transformers' own guidance does not know")
        tokenizer = checkpoints.load_tokenizer(checkpoint, config.trust_remote_code)
        loaded = checkpoints.load_kept(checkpoint, config, tokenizer, manifest.dtype, manifest.quantization)
        tasks = list(dict.fromkeys(sample.task_id for sample in samples))[:n_tasks]
        for sample in samples:
            if sample.task_id in tasks:
                hidden = sample.masked_positions if manifest.mask == "attention" else []
                yield compare(loaded, sample, run.key, hidden)


def compare(loaded: LoadedModel, sample: Generation, key: str, hidden: Sequence[int]) -> Replayed:
    """Decode as many tokens as the sample has, and one more where it ended with an EOS.

    hidden: positions that the masked branch does not attend to. transformers' guidance cannot hide them, so there each
    token is checked against the choice that forward passes without a cache make in its place.
    """
    omega = (sample.omega_lo + sample.omega_hi) / 2
    expected = sample.completion_ids
    at_end = sample.finish_reason == "eos"
    count = len(expected) + at_end
    if hidden and omega != 0:
        tokens = attention_reference(loaded, sample.original_ids, hidden, omega, expected)[:count]
    else:
        tokens = reference(loaded, sample.original_ids, sample.masked_ids, omega, count)
    same = next((i for i, (a, b) in enumerate(zip(tokens, expected, strict=False)) if a != b), len(expected))
    ended = len(tokens) == count and (not at_end or tokens[-1] in loaded.eos_ids)
    return Replayed(sample, key, same, agrees=same == len(expected) and ended)


def reference(
    loaded: LoadedModel,
    original_ids: Sequence[int],
    masked_ids: Sequence[int],
    omega: float,
    max_new_tokens: int,
) -> list[int]:
    """What transformers' own greedy decoding chooses, EOS included: an oracle independent of our engine.

    Plain `generate`, with classifier-free guidance where omega is not 0: a scale of 1 + omega with the masked prompt as
    the negative one ranks tokens as SPA does, since its log-softmax shifts each branch by a constant. One sequence.
    """
    if not max_new_tokens:
        return []  # generate refuses to
    guided = omega != 0 and tuple(masked_ids) != tuple(original_ids)
    settings = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=list(loaded.eos_ids) or None,
        pad_token_id=0,
        guidance_scale=1 + omega if guided else None,
        suppress_tokens=list(range(loaded.n_tokens, loaded.model.config.get_text_config().vocab_size)) or None,
    )
    ids = torch.tensor([list(original_ids)], device=loaded.model.device)
    negative = {"negative_prompt_ids": torch.tensor([list(masked_ids)], device=ids.device)} if guided else {}
    output = loaded.model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings, **negative)
    tokens: list[int] = output[0, len(original_ids) :].tolist()
    return tokens


@torch.inference_mode()
def attention_reference(
    loaded: LoadedModel,
    prompt_ids: Sequence[int],
    hidden: Sequence[int],
    omega: float,
    completion_ids: Sequence[int],
) -> list[int]:
    """The greedy choice after the prompt and after each further token of `completion_ids`, with mask=attention.

    An oracle independent of our engine: each branch is one forward pass over prompt and completion without a cache (two
    where a longrope switches on the way), the masked one under an explicit mask of all positions. Greedy decoding gives
    `completion_ids` if and only if each of them is the choice at its place; the last choice is what follows them.
    """
    text = [*prompt_ids, *completion_ids]
    switch = Sharing.of(loaded.model.config).switch
    tokens: list[int] = []
    for end in (len(text),) if switch is None else (min(switch, len(text)), len(text)):
        kept = end - len(prompt_ids) + 1 - len(tokens)
        if kept > 0:
            tokens += _choices(loaded, text[:end], hidden, omega, kept)
    return tokens


def _choices(loaded: LoadedModel, text: Sequence[int], hidden: Sequence[int], omega: float, kept: int) -> list[int]:
    """The choices after the last `kept` tokens."""
    ids = torch.tensor([list(text)], device=loaded.model.device)
    seen = torch.ones(len(text), len(text), dtype=torch.bool).tril()  # [query, key]
    seen[:, list(hidden)] = False
    original = loaded.model(ids, use_cache=False, logits_to_keep=kept).logits[0].float()
    masks = _masks(loaded.model, seen)
    masked = loaded.model(ids, attention_mask=masks, use_cache=False, logits_to_keep=kept).logits[0].float()
    scores = (original + omega * (original - masked))[:, : loaded.n_tokens]
    choices: list[int] = scores.argmax(dim=-1).tolist()
    return choices


def _masks(model: Any, seen: Tensor) -> Any:
    """`seen` [query, key] as the model takes it: one mask, or one for each kind of its layers."""
    config = model.config.get_text_config()
    size = len(seen)
    behind = torch.arange(size)[:, None] - torch.arange(size)
    near = {
        "sliding_attention": lambda: behind < config.sliding_window,
        "chunked_attention": lambda: (
            torch.arange(size)[:, None] // config.attention_chunk_size
            == torch.arange(size) // config.attention_chunk_size
        ),
    }

    def additive(kind: str) -> Tensor:
        attended = seen & near[kind]() if kind in near else seen
        attended = attended | (torch.eye(size, dtype=torch.bool) & ~attended.any(dim=1, keepdim=True))
        mask = torch.zeros(1, 1, size, size, dtype=model.dtype)
        return mask.masked_fill_(~attended, torch.finfo(model.dtype).min).to(model.device)

    kinds = set(getattr(config, "layer_types", None) or ())
    if kinds & near.keys():
        return {kind: additive(kind) for kind in kinds}
    return additive("sliding_attention" if getattr(config, "sliding_window", None) else "full_attention")
