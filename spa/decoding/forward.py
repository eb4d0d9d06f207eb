"""Forward passes over cached rows: the next-token logits of every sequence in the batch.

A row may have hidden slots, to which none of its tokens attends (`mask=attention`).

Letters: B rows, S tokens, W visible slots, V vocabulary.
"""

import functools
import inspect
from collections.abc import Callable, Collection, Sequence
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
    hidden: Sequence[Tensor],
) -> Tensor:
    """Read sequences into rows first_row, first_row+1, ..., each from its start on; logits after each, [B, V].

    What lies before a start must be in the cache already. The batch is right-aligned so that every last token stands in
    the last column. The filler in front of a shorter stretch is written to the slot behind the sequence's end, where it
    is invisible until the row's next token overwrites it.
    """
    lengths = [len(sequence) for sequence in sequences]
    columns = max(length - start for length, start in zip(lengths, starts, strict=True))
    ends = torch.tensor(lengths)[:, None]
    column = torch.arange(columns)[None, :]
    is_filler = column < columns - ends + torch.tensor(starts)[:, None]
    slots = torch.where(is_filler, ends, ends - columns + column)
    tokens = torch.zeros_like(slots)
    for row, (sequence, start) in enumerate(zip(sequences, starts, strict=True)):
        tokens[row, columns - len(sequence) + start :] = torch.tensor(sequence[start:])
    # Filler may lie beyond the model's last position.
    positions = slots.masked_fill(is_filler, 0)
    inputs = [tensor.to(model.device) for tensor in (tokens, slots, positions, hidden_slots(hidden))]
    return _forward(model, cache, first_row, max(lengths), *inputs, columns=1)[:, -1]


def step(
    model: Any, cache: RowCache, first_row: int, tokens: Tensor, slots: Tensor, width: int, hidden: Tensor
) -> Tensor:
    """Feed one token or more to each of the rows first_row, ..., into these slots; logits after each, [B, S, V].

    tokens, slots: [B, S], on the model's device like `hidden`, see `Window`.
    """
    return _forward(model, cache, first_row, width, tokens, slots, slots, hidden, columns=tokens.shape[1])


def hidden_slots(hidden: Sequence[Tensor]) -> Tensor:
    """What the rows have hidden as one tensor, as wide as the longest needs."""
    return pad_sequence([*hidden], batch_first=True)


def _forward(
    model: Any,
    cache: RowCache,
    first_row: int,
    width: int,
    tokens: Tensor,
    slots: Tensor,
    positions: Tensor,
    hidden: Tensor,
    *,
    columns: int,
) -> Tensor:
    """The logits of the last columns, [B, columns, V]."""
    cache.window = Window(first_row, slots, width, hidden)
    own_positions = {"position_ids": positions} if takes_positions(type(model).forward) else {}
    output = model(input_ids=tokens, past_key_values=cache, use_cache=True, logits_to_keep=columns, **own_positions)
    if not cache.window.is_used:
        raise SpaError(f"{type(model).__name__} makes its attention masks by itself, not for rows of different lengths")
    logits: Tensor = output.logits[:, -columns:]
    return logits


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def takes_positions(forward: Callable[..., Any]) -> bool:
    """Whether a model is told its tokens' positions; the others need none, as BLOOM's bias counts from the key."""
    return "position_ids" in _parameters(forward)


@functools.cache
def _parameters(function: Callable[..., Any]) -> Collection[str]:
    return inspect.signature(function).parameters.keys()
