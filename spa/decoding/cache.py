"""A key-value cache in which every row has a write position of its own.

transformers' caches write all rows at one position, so sequences of different length need padding and none can join or
leave. Here a row is a sequence, left-aligned: its token at position s lies in slot s. Rows 0..n-1 are in use, so a
forward pass over them reads a view and copies nothing. All memory is reserved at once, for growing means to copy; on a
CPU the system gives each part of it when it is first written.

Letters: B rows of a forward pass, S new tokens a row, H key-value heads, D head size, R rows and C slots of storage.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import CacheLayerMixin

from spa.decoding.cpu import memory

Move = tuple[int, int, int]  # row to copy, row to overwrite, slots of it
Rows = int | Tensor
SavedRow = list[tuple[Tensor, ...]]  # keys and values [H, width, D] of each layer


@dataclass
class Window:
    """What the next forward pass writes and reads, shared by all layers."""

    first_row: int
    slots: Tensor  # [B, S] where each new token is written
    width: int  # slots that attention may read, the new ones included
    hidden: Tensor  # bool [B, any], True at slots that no token of the row attends to; what is beyond them is seen
    is_used: bool = False  # whether the model has made its masks by it


class RowLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer's keys and values, each [R, H, C, D]."""

    is_sliding = False

    def __init__(self, storage: "RowCache") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.storage = storage

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        rows, slots = self.storage.rows, self.storage.slots
        _, heads, _, size = key_states.shape
        self.keys = _zeros(key_states, rows, heads, slots, size)
        self.values = _zeros(value_states, rows, heads, slots, value_states.shape[3])
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write [B, H, S, D] states into the window; returns the rows' keys and values, [B, H, width, D]."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None
        assert self.values is not None
        window = self.storage.window
        last_row = window.first_row + len(window.slots)
        rows = torch.arange(window.first_row, last_row, device=key_states.device)[:, None]
        slots = window.slots.to(key_states.device)
        self.keys[rows, :, slots] = key_states.transpose(1, 2)
        self.values[rows, :, slots] = value_states.transpose(1, 2)
        read = slice(window.first_row, last_row)
        return self.keys[read, :, : window.width], self.values[read, :, : window.width]

    @property
    def states(self) -> tuple[Tensor, ...]:
        """Keys and values; nothing in a layer that reads those of another one (Gemma 3n, Gemma 4)."""
        return () if self.keys is None or self.values is None else (self.keys, self.values)

    def copy_rows(self, sources: Rows, targets: Rows, width: int) -> None:
        for states in self.states:
            states[targets, :, :width] = states[sources, :, :width]

    def save_row(self, row: int, width: int, device: str | None) -> tuple[Tensor, ...]:
        return tuple(states[row, :, :width].to(device, copy=True) for states in self.states)

    def load_rows(self, first_row: int, last_row: int, saved: tuple[Tensor, ...]) -> None:
        for states, kept in zip(self.states, saved, strict=True):
            states[first_row:last_row, :, : kept.shape[1]] = kept.to(states.device)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.storage.window.width, 0

    def get_seq_length(self) -> int:
        """Tokens ahead of the new ones, in the longest row."""
        return self.storage.window.width - self.storage.window.slots.shape[1]

    def get_max_length(self) -> int:
        return -1


class RowCache(Cache):
    """All layers of a `RowLayer` cache: `rows` sequences of up to `slots` tokens."""

    def __init__(self, n_layers: int, rows: int, slots: int) -> None:
        self.rows = rows
        self.slots = slots
        self.window = Window(0, torch.empty(0, 0, dtype=torch.long), 0, torch.empty(0, 0, dtype=torch.bool))
        self.row_layers = [RowLayer(self) for _ in range(n_layers)]
        super().__init__(layers=[*self.row_layers])

    @property
    def slot_bytes(self) -> int:
        """Memory of one token of one row, over all layers; 0 before the first pass."""
        return sum(states[0, :, 0].nbytes for layer in self.row_layers for states in layer.states)

    def get_query_offset(self, layer_idx: int = 0) -> Any:
        """Where the queries begin: in a place of its own for each row, which `masks` understands."""
        return self.window

    def copy_rows(self, moves: Sequence[Move]) -> None:
        """Copy the first slots of rows over other rows, none of which is a source."""
        if not moves:  # as after most steps
            return
        devices = {states.device for layer in self.row_layers for states in layer.states}
        if devices <= {torch.device("cpu")}:  # several at once need memory for all of them on the way
            for layer, (source, target, width) in itertools.product(self.row_layers, moves):
                layer.copy_rows(source, target, width)
            return
        rows = {device: torch.tensor(moves, device=device).unbind(dim=1) for device in devices}
        for layer in self.row_layers:
            for states in layer.states[:1]:
                sources, targets, _ = rows[states.device]
                layer.copy_rows(sources, targets, max(width for *_, width in moves))

    def save_row(self, row: int, width: int, device: str | None = None) -> SavedRow:
        """Copy the first `width` slots of a row out of the cache, to `device` or where they are."""
        return [layer.save_row(row, width, device) for layer in self.row_layers]

    def load_rows(self, first_row: int, last_row: int, saved: SavedRow) -> None:
        """Write a saved row to each of the rows first_row..last_row-1."""
        for layer, states in zip(self.row_layers, saved, strict=True):
            layer.load_rows(first_row, last_row, states)


def _zeros(like: Tensor, *shape: int) -> Tensor:
    """Zeros, because a masked slot still enters the product with weight 0, and 0 times NaN is NaN."""
    return memory.zeros(shape, like.dtype) if like.device.type == "cpu" else like.new_zeros(shape)
