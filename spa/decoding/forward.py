"""Forward passes over cached rows: the next-token logits of every sequence in the batch.

Letters: B rows, S tokens, W visible slots, V vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from spa.decoding.cache import RowCache, Window


def prefill(model: Any, cache: RowCache, first_row: int, sequences: Sequence[Sequence[int]]) -> Tensor:
    """Read whole sequences into rows first_row, first_row+1, ...; returns the logits after each, [B, V].

    The batch is right-aligned so that every last token stands in the last column. The filler in front of a shorter
    sequence is written behind its end, where it is invisible until the row's own tokens overwrite it.
    """
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    width = int(lengths.max())
    tokens = torch.tensor([[sequence[0]] * (width - len(sequence)) + list(sequence) for sequence in sequences])
    column = torch.arange(width)[None, :]
    filler = (width - lengths)[:, None]
    slots = torch.where(column >= filler, column - filler, lengths[:, None] + column)
    cache.reserve(first_row + len(sequences), width)
    return _forward(model, cache, tokens, slots, first_row, width)


def step(model: Any, cache: RowCache, first_row: int, tokens: Sequence[int], positions: Sequence[int]) -> Tensor:
    """Feed one token to each of the rows first_row, ... at its position; returns the logits after it, [B, V]."""
    width = max(positions) + 1
    cache.reserve(first_row + len(tokens), width)
    return _forward(model, cache, torch.tensor(tokens)[:, None], torch.tensor(positions)[:, None], first_row, width)


def _forward(model: Any, cache: RowCache, tokens: Tensor, slots: Tensor, first_row: int, width: int) -> Tensor:
    device = model.device
    tokens, slots = tokens.to(device), slots.to(device)
    hidden = torch.arange(width, device=device)[None, None, None, :] > slots[:, None, :, None]  # [B, 1, S, W]
    # Additive, because eager attention (CodeGen) adds its mask and SDPA takes either kind.
    mask = torch.zeros(hidden.shape, dtype=model.dtype, device=device)
    mask.masked_fill_(hidden, torch.finfo(model.dtype).min)
    cache.window = Window(first_row, slots, width)
    output = model(
        input_ids=tokens,
        position_ids=slots,
        attention_mask=mask,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    logits: Tensor = output.logits[:, -1]
    return logits
