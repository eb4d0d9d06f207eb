"""Prompts of random tokens, and what the engine makes of them with a tiny model."""

import random
import warnings
from collections.abc import Sequence
from typing import Any

import pytest
import tiny
import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList

from spa.decoding.engine import Engine
from spa.decoding.formula import choose_ends
from spa.decoding.lanes import Decoded, Request
from spa.decoding.stopping import NeverStop, StopRule
from spa.method import SPA, Method
from spa.omega import OmegaSet

MASK = 5
NEW_TOKENS = 30


def prompts(mask: str, count: int = 8) -> list[tuple[list[int], list[int]]]:
    """Original and masked prompts of different lengths; the last one has no anchor."""
    draw = random.Random(0)
    pairs = []
    for _ in range(count):
        original = [draw.randrange(tiny.VOCABULARY) for _ in range(draw.randint(3, 30))]
        inner = [MASK] * (len(original) - 2) if mask == "per_token" else [MASK]
        pairs.append((original, [original[0], *inner, original[-1]]))
    return [*pairs[:-1], (pairs[-1][0], pairs[-1][0])]


def decode(
    model: Any,
    omegas: OmegaSet,
    pairs: Sequence[tuple[list[int], list[int]]],
    batch_size: int = 4,
    strict: bool = False,
    stop: StopRule | None = None,
    eos: Sequence[int] = tiny.EOS,
    drafts: bool = True,
    backend: str = "auto",
) -> dict[int, list[Decoded]]:
    """Each prompt's texts, by ascending omega."""
    decoder = Engine(model, eos, tiny.detokenize, batch_size, strict, drafts=drafts, backend=backend)
    requests = [
        Request(str(number), original, masked, omegas, stop or NeverStop(), NEW_TOKENS)
        for number, (original, masked) in enumerate(pairs)
    ]
    texts: dict[int, list[Decoded]] = {}
    for decoded in decoder.decode(requests):
        texts.setdefault(int(decoded.task_id), []).append(decoded)
    return {number: sorted(parts, key=lambda part: part.omegas.lo) for number, parts in texts.items()}


def generate(model: Any, original: list[int], **arguments: Any) -> list[int]:
    """transformers' own greedy decoding at batch 1, with a bare generation config."""
    guidance = {"guidance_scale": arguments.pop("guidance_scale")} if "guidance_scale" in arguments else {}
    config = GenerationConfig(
        max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=list(tiny.EOS), pad_token_id=0, **guidance
    )
    ids = torch.tensor([original], device=model.device)
    output = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config, **arguments)
    tokens: list[int] = output[0, len(original) :].tolist()
    return tokens[:-1] if tokens and tokens[-1] in tiny.EOS else tokens


def by_the_package(model: Any, original: list[int], masked: list[int], weight: float) -> list[int]:
    """The same with the authors' package, weighting no token by its probability."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes in the package's source
        from anchoring import SPALogitsProcessor
    processor = SPALogitsProcessor(
        model,
        torch.tensor([masked], device=model.device),
        mask_token=None,
        strength=1 + weight,
        modulated_by_prob=False,
        use_attention_mask=False,
    )
    return generate(model, original, logits_processor=LogitsProcessorList([processor]))


def ends(
    logits: Tensor,
    originals: Sequence[int],
    maskeds: Sequence[int],
    omegas: Sequence[OmegaSet],
    method: Method = SPA,
    steps: Sequence[int] | None = None,
) -> list[tuple[int, int, bool, bool]]:
    """`choose_ends` of lanes whose branches have these rows."""
    places = torch.tensor([*zip(originals, maskeds, steps or [0] * len(omegas), strict=True)])
    at = torch.tensor([[part.lo, part.hi] for part in omegas], dtype=torch.float64)
    single = all(part.lo == part.hi for part in omegas)
    found = choose_ends(logits, places, at, method, [*originals] == [*maskeds], single).tolist()
    return [(low, high, bool(bent), bool(finite)) for low, high, bent, finite in found]


def outcome(texts: dict[int, list[Decoded]]) -> dict[int, list[tuple[Any, ...]]]:
    """What must not depend on how the work was batched."""
    return {
        number: [(part.omegas, part.completion_ids, part.completion, part.finish_reason) for part in parts]
        for number, parts in texts.items()
    }


def compare_intervals(first: dict[int, list[tuple[Any, ...]]], second: dict[int, list[tuple[Any, ...]]]) -> None:
    """Equal texts over equal parts, with breakpoints that another batch shape may move by 1e-5."""
    for number, parts in first.items():
        assert [part[1:] for part in parts] == [part[1:] for part in second[number]]
        for part, other in zip(parts, second[number], strict=True):
            assert part[0].lo == pytest.approx(other[0].lo, abs=1e-4)
