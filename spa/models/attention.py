"""What a model attends to while it writes, and how well SPA's logits stand for what they approximate.

A greedy text is fixed, so reading it again gives the attention of every step that wrote it. Attention weights and
gradients are defined as in the authors' scripts (get_self_attention and get_gradient_attention in
weighted_utils/weighted_text_utils.py), on the forward pass of the original prompt.

Letters: L layers, H heads, S tokens that are read, N steps, R rows of a block, K positions, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity
from transformers import DynamicCache

ROWS = 16  # steps whose attention is in memory at once: L * H * ROWS * S weights
TOP_LOGITS = 100


@torch.no_grad()
def self_attention(model: Any, ids: Sequence[int], first: int, rows: int = ROWS) -> tuple[Tensor, Tensor]:
    """What the tokens from `first` on attend to, mean over heads: in the last layer, and the mean of all, [N, S].

    Row i belongs to the token at first + i, after which that step's logits are read.
    """
    tokens = torch.tensor([ids], device=model.device)
    last, mean = torch.zeros(2, len(ids) - first, len(ids))
    cache = DynamicCache(config=model.config)
    with _eager(model):
        if first:
            model(tokens[:, :first], past_key_values=cache, use_cache=True, logits_to_keep=1)
        for start in range(first, len(ids), rows):
            block = tokens[:, start : start + rows]
            output = model(block, past_key_values=cache, use_cache=True, output_attentions=True, logits_to_keep=1)
            layers = torch.stack([weights[0].float().mean(dim=0).cpu() for weights in output.attentions])  # [L, R, S]
            steps = slice(start - first, start - first + rows)
            last[steps, : layers.shape[2]] = layers[-1]
            mean[steps, : layers.shape[2]] = layers.mean(dim=0)
    return last, mean


def gradient(model: Any, ids: Sequence[int], positions: Sequence[int]) -> Tensor:
    """Norm of the gradient, by each token's embedding, of the sum of the top logits after each position, [K, S].

    One forward pass serves all positions, since none depends on what comes after it. The weights should be frozen.
    """
    embeddings = _embed(model, ids).requires_grad_()
    logits = _logits(model, embeddings, positions)
    totals = logits.topk(min(TOP_LOGITS, logits.shape[1])).values.sum(dim=1)
    gradients = (torch.autograd.grad(total, embeddings, retain_graph=True)[0][0] for total in totals)
    return torch.stack([by_token.float().norm(dim=1).cpu() for by_token in gradients])


def share(weights: Tensor, positions: Sequence[int]) -> list[float]:
    """What part of each row of weights, [N, S], falls on the positions."""
    part = weights[:, list(positions)].sum(dim=1) / weights.sum(dim=1)
    return [round(value, 6) for value in part.tolist()]


@torch.no_grad()
def approximation(
    model: Any,
    original_ids: Sequence[int],
    masked_ids: Sequence[int],
    positions: Sequence[int],
    omegas: Sequence[float],
) -> Iterator[tuple[int, float, float, float, float, bool, bool]]:
    """SPA's logits beside those of embeddings that are really scaled, E_mask + (1 + omega) (E - E_mask).

    SPA continues the line through the forward passes at omega -1 and 0. For each omega and position: the position;
    omega; the correlation over the vocabulary of both logits, and of what moves both away from the plain ones; the
    error of SPA's move by the length of the true one (that of plain decoding is 1); whether SPA, and whether plain
    decoding, choose the token of the scaled embeddings. Logits count up to a constant, as in a softmax.
    """
    original, masked = _embed(model, original_ids), _embed(model, masked_ids)
    plain = _centred(_logits(model, original, positions))
    difference = plain - _centred(_logits(model, masked, positions))
    for omega in omegas:
        scaled = _centred(_logits(model, torch.lerp(masked, original, 1 + omega), positions))
        spa, moved = plain + omega * difference, scaled - plain
        token = scaled.argmax(dim=1)
        columns = [
            cosine_similarity(spa, scaled, dim=1),
            cosine_similarity(omega * difference, moved, dim=1),
            (spa - scaled).norm(dim=1) / moved.norm(dim=1),
        ]
        numbers = zip(*(column.tolist() for column in columns), strict=True)
        agree = zip((spa.argmax(dim=1) == token).tolist(), (plain.argmax(dim=1) == token).tolist(), strict=True)
        for position, (logits, moves, error), (by_spa, by_plain) in zip(positions, numbers, agree, strict=True):
            yield position, omega, round(logits, 6), round(moves, 6), round(error, 6), by_spa, by_plain


def _embed(model: Any, ids: Sequence[int]) -> Tensor:
    """Input embeddings, detached, [1, S, size]."""
    embeddings: Tensor = model.get_input_embeddings()(torch.tensor([ids], device=model.device))
    return embeddings.detach()


def _logits(model: Any, embeddings: Tensor, positions: Sequence[int]) -> Tensor:
    """Logits after the given positions, float32, [K, V]."""
    kept = torch.tensor(positions, device=embeddings.device)
    logits: Tensor = model(inputs_embeds=embeddings, use_cache=False, logits_to_keep=kept).logits[0]
    return logits.float()


def _centred(logits: Tensor) -> Tensor:
    """Float64, each row's mean taken off, so that cosine similarity is Pearson's correlation."""
    return logits.double() - logits.double().mean(dim=1, keepdim=True)


@contextmanager
def _eager(model: Any) -> Iterator[None]:
    """Eager attention forms the weights, fused kernels never do."""
    usual = model.config._attn_implementation
    if usual == "eager":
        yield
        return
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(usual)
