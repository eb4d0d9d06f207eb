"""Forward passes over cached rows: the next-token logits of every sequence in the batch.

A row may have hidden slots, to which none of its tokens attends (`mask=attention`). They are given as one bool tensor a
row, True where a slot is hidden, as long as the row needs.

Letters: B rows, S tokens, W visible slots, V vocabulary.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from spa.decoding import masks  # noqa: F401  # lets models make their masks by a cache's window
from spa.decoding.cache import RowCache, Window
from spa.errors import SpaError


def prefill(
    model: Any,
    cache: RowCache,
    first_row: int,
    sequences: Sequence[Sequence[int]],
    starts: Sequence[int],
    hidden: Sequence[Tensor] = (),
) -> Tensor:
    """Read sequences into rows first_row, first_row+1, ..., each from its start on; logits after each, [B, V].

    What lies before a start must be in the cache already. The batch is right-aligned so that every last token stands in
    the last column. The filler in front of a shorter stretch is written to the slot behind the sequence's end, where it
    is invisible until the row's next token overwrites it.
    """
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    fresh = lengths - torch.tensor(starts)
    columns = int(fresh.max())
    column = torch.arange(columns)[None, :]
    is_filler = column < columns - fresh[:, None]
    slots = torch.where(is_filler, lengths[:, None], lengths[:, None] - columns + column)
    tokens = torch.zeros_like(slots)
    for row, (sequence, start) in enumerate(zip(sequences, starts, strict=True)):
        tokens[row, columns - len(sequence) + start :] = torch.tensor(sequence[start:])
    # Filler may lie beyond the model's last position.
    positions = slots.masked_fill(is_filler, 0)
    return _forward(model, cache, tokens, slots, positions, first_row, int(lengths.max()), hidden)[:, -1]


def step(
    model: Any,
    cache: RowCache,
    first_row: int,
    tokens: Sequence[Sequence[int]],
    positions: Sequence[int],
    hidden: Sequence[Tensor] = (),
) -> Tensor:
    """Feed one token or more to each of the rows first_row, ... from its position on; logits after each, [B, S, V].

    What a shorter row lacks is filled up. The filler is written behind the row's end, where it is invisible until the
    row's next tokens overwrite it.
    """
    columns = max(map(len, tokens))
    filled = torch.tensor([[*row, *[0] * (columns - len(row))] for row in tokens])
    slots = torch.tensor(positions)[:, None] + torch.arange(columns)
    slots.clamp_(max=cache.slots - 1)  # the last slot is never a token's: the last one chosen is not fed
    return _forward(model, cache, filled, slots, slots, first_row, int(slots.max()) + 1, hidden, columns)


def _forward(
    model: Any,
    cache: RowCache,
    tokens: Tensor,
    slots: Tensor,
    positions: Tensor,
    first_row: int,
    width: int,
    hidden: Sequence[Tensor],
    columns: int = 1,
) -> Tensor:
    """The logits of the last columns, [B, columns, V]."""
    device = model.device
    tokens, slots, positions = tokens.to(device), slots.to(device), positions.to(device)
    unseen = pad_sequence([*hidden], batch_first=True) if any(map(len, hidden)) else None
    cache.window = Window(first_row, slots, width, unseen)
    own_positions = {"position_ids": positions} if takes_positions(type(model).forward) else {}
    output = model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=columns, **own_positions)
    if not cache.window.is_used:
        raise SpaError(f"{type(model).__name__} makes its attention masks by itself, not for rows of different lengths")
    logits: Tensor = output.logits[:, -columns:]
    return logits


@functools.cache
def takes_positions(forward: Callable[..., Any]) -> bool:
    """Whether a model is told its tokens' positions; the others need none, as BLOOM's bias counts from the key."""
    return "position_ids" in inspect.signature(forward).parameters
