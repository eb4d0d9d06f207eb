"""A step as one function on the model's device: tokens in, the tokens at both ends of each lane's omegas out.

Nothing in it waits for the device, takes a tensor of the host or asks for a value, so it can be captured and replayed.

Letters: B rows, S tokens a row, P places, V vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from spa.decoding import forward
from spa.decoding.cache import RowCache
from spa.decoding.formula import choose_ends
from spa.decoding.steps.shapes import Shape
from spa.method import Method


@dataclass(frozen=True)
class Inputs:
    """What a step is told."""

    rows: Tensor  # int64 [B, 2 + S]: a row's first position, the place whose token it is fed or -1, and its tokens
    places: Tensor  # int64 [P, 3] and
    omegas: Tensor  # float64 [P, 2], see `choose_ends`
    hidden: Tensor  # bool [B, <= width], True at slots that nothing in the row attends to; [B, 0] where there are none

    def __iter__(self) -> Iterator[Tensor]:
        return (getattr(self, field.name) for field in fields(self))

    def to(self, device: torch.device) -> "Inputs":
        """Without waiting for a GPU."""
        if device.type == "cuda":
            return Inputs(*(tensor.pin_memory().to(device, non_blocking=True) for tensor in self))
        return Inputs(*(tensor.to(device) for tensor in self))

    def copy_(self, other: "Inputs") -> None:
        """Take the values of inputs of the same shape, without waiting for a GPU."""
        for own, given in zip(self, other, strict=True):
            own.copy_(given.pin_memory() if own.is_cuda else given, non_blocking=True)


@dataclass
class Step:
    """The step of one model over one cache; holds what the pass before has chosen."""

    model: Any
    cache: RowCache
    method: Method
    n_tokens: int | None  # ids from here on are never chosen
    chosen: Tensor  # int64 [most places of a pass of one token a row], the tokens at the lower ends

    def __call__(self, shape: Shape, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """`choose_ends` of the places, int64 [P, 4], and the logits of all rows, [B * S, V]."""
        positions, sources, tokens = inputs.rows[:, :1], inputs.rows[:, 1:2], inputs.rows[:, 2:]
        first = torch.where(sources < 0, tokens[:, :1], self.chosen[sources.clamp(min=0)])
        tokens = torch.cat([first, tokens[:, 1:]], dim=1)
        slots = positions + torch.arange(shape.columns, device=tokens.device)
        # The last slot is never a token's: the last one chosen is not fed.
        slots = slots.clamp(max=self.cache.slots - 1)
        logits = [
            forward.step(
                self.model, self.cache, start, tokens[start:end], slots[start:end], width, inputs.hidden[start:end]
            )
            for start, end, width in shape.runs
        ]
        scored = (torch.cat(logits) if len(logits) > 1 else logits[0])[:, :, : self.n_tokens].flatten(0, 1)
        places, omegas = inputs.places.to(scored.device), inputs.omegas.to(scored.device)  # a model may lie on several
        ends = choose_ends(scored, places, omegas, self.method, shape.plain, shape.single)
        if shape.columns == 1:
            self.chosen[: shape.places] = ends[:, 0]
        return ends, scored
