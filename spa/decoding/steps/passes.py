"""A forward pass that is under way: what it feeds to lanes, and what they choose of it.

Letters: B rows, S tokens a row, P places, V vocabulary. A place is a token of a lane: it has a row in each branch.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from spa.decoding import formula, forward
from spa.decoding.formula import Choice
from spa.decoding.lanes import NOTHING_HIDDEN, Lane
from spa.decoding.sharing import Sharing
from spa.decoding.steps.shapes import Shape, Shapes
from spa.decoding.steps.step import Inputs
from spa.errors import SpaError
from spa.method import Method

Drafted = Mapping[Lane, Sequence[int]]
NO_DRAFTS: Drafted = {}


class Answer:
    """A small tensor on its way to the host."""

    def __init__(self, tensor: Tensor) -> None:
        self.event = torch.cuda.Event() if tensor.is_cuda else None  # type: ignore[no-untyped-call]
        if self.event is None:
            self.tensor = tensor
        else:
            self.tensor = torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor, non_blocking=True)
            self.event.record()

    def read(self) -> list[list[int]]:
        """Waits for what was started before the tensor was sent, and for nothing after it."""
        if self.event is not None:
            self.event.synchronize()
        rows: list[list[int]] = self.tensor.tolist()
        return rows


@dataclass(frozen=True)
class Places:
    """Where lanes have their next tokens, and what `choose_ends` is told of each place."""

    first: dict[Lane, int]  # of each lane
    rows: list[tuple[int, int, int]]
    omegas: list[tuple[float, float]]

    @classmethod
    def of(
        cls,
        lanes: Iterable[Lane],
        drafts: Drafted = NO_DRAFTS,
        unknown: Container[Lane] = (),
        columns: int = 1,
        first_row: int = 0,
    ) -> Self:
        """unknown: lanes whose last token is still to be read. The logits are those of rows from the first on."""
        found = cls({}, [], [])
        for lane in lanes:
            found.first[lane] = len(found.rows)
            original, masked = ((row - first_row) * columns for row in (lane.rows[0], lane.rows[-1]))
            steps = len(lane.tokens) + (lane in unknown)
            for column in range(len(drafts.get(lane, [])) + 1):
                found.rows.append((original + column, masked + column, steps + column))
                found.omegas.append((lane.omegas.lo, lane.omegas.hi))
        return found

    @property
    def plain(self) -> bool:
        return all(original == masked for original, masked, _ in self.rows)

    @property
    def single(self) -> bool:
        return all(low == high for low, high in self.omegas)

    def tensors(self, filled: int) -> tuple[Tensor, Tensor]:
        """Filled up to so many by places of the first row, which nobody reads."""
        more = filled - len(self.rows)
        return (
            torch.tensor(self.rows + [(0, 0, 0)] * more),
            torch.tensor(self.omegas + [(0.0, 0.0)] * more, dtype=torch.float64),
        )


@dataclass
class Pass:
    """Lanes that wait for their next tokens."""

    method: Method
    drafts: Drafted
    places: Places
    answer: Answer  # `choose_ends` of the places
    logits: Tensor  # [B * S, V]
    n_rows: int
    ends: list[list[int]] = field(default_factory=list)  # the answer, once it was read

    def choices(self, lane: Lane) -> tuple[Sequence[int], list[Choice]]:
        """What a lane keeps of its draft, which all its omegas choose, and what they choose next.

        Raises SpaError where the score of a chosen token is not finite.
        """
        self.ends = self.ends or self.answer.read()
        start, draft = self.places.first[lane], self.drafts.get(lane, [])
        if self.places.omegas[start] != (lane.omegas.lo, lane.omegas.hi):  # it has split since the pass was started
            self.ends[start] = self._ends(lane)
        stands = ([token, token, False] == self.ends[start + n][:3] for n, token in enumerate(draft))
        kept = next((n for n, right in enumerate(stands) if not right), len(draft))
        if not all(finite for *_, finite in self.ends[start : start + kept + 1]):
            raise SpaError(
                "the model gives logits that are not finite (inf or nan); try dtype=float32 or dtype=bfloat16, without "
                "quantization"
            )
        low, high, bent, _ = self.ends[start + kept]
        if low == high and not bent:
            return draft[:kept], [(low, lane.omegas)]
        original, masked, step = self.places.rows[start + kept]
        return draft[:kept], formula.choose(self.logits[original], self.logits[masked], lane.omegas, self.method, step)

    def _ends(self, lane: Lane) -> list[int]:
        """`choose_ends` of a lane by itself, at the ends that its omegas have now."""
        device = self.logits.device
        places = torch.tensor([self.places.rows[self.places.first[lane]]], device=device)
        omegas = torch.tensor([[lane.omegas.lo, lane.omegas.hi]], dtype=torch.float64, device=device)
        ends: list[int] = formula.choose_ends(self.logits, places, omegas, self.method)[0].tolist()
        return ends

    def low(self, lane: Lane) -> int:
        """The token at the lower end of the lane's omegas, behind no draft."""
        return self.ends[self.places.first[lane]][0]

    def forget(self, lane: Lane) -> None:
        """Let the lane's tokens be chosen by a later pass."""
        self.places.first.pop(lane, None)

    def keep(self, lanes: Iterable[Lane]) -> bool:
        """Forget all other lanes, which have ended or wait elsewhere; whether any is left."""
        for lane in self.places.first.keys() - set(lanes):
            self.forget(lane)
        return bool(self.places.first)


def prepare(
    lanes: Sequence[Lane],
    drafts: Drafted,
    before: Mapping[Lane, int],
    shapes: Shapes,
    slots: int,
    sharing: Sharing,
    device: str,
) -> tuple[Shape, Inputs, Places]:
    """Feed each lane its last token and its draft. The lanes' rows are 0, 1, ...; slots: those of the cache.

    before: lanes whose last token was not read yet, and their places in the pass before.
    """
    n_rows = sum(len(lane.rows) for lane in lanes)
    columns = shapes.columns(n_rows, max(map(len, drafts.values()), default=0), device)
    filled = shapes.rows(n_rows)
    rows, hidden = [[0, -1, *[0] * columns] for _ in range(filled)], [NOTHING_HIDDEN] * filled
    for lane in lanes:
        tokens = [0 if lane in before else lane.tokens[-1], *drafts.get(lane, [])]
        for row, prompt, unseen in zip(lane.rows, lane.prompts, lane.hidden, strict=True):
            position = len(prompt) + len(lane.tokens) - 1 + (lane in before)
            rows[row] = [position, before.get(lane, -1), *tokens, *[0] * (columns - len(tokens))]
            hidden[row] = unseen
    starts = [position for position, *_ in rows]
    groups = [slice(0, filled)] if shapes.fixed else sharing.runs(starts, [start + 1 for start in starts])
    runs = [(group.start, group.stop, min(shapes.width(max(starts[group]) + columns), slots)) for group in groups]
    unseen_slots = forward.hidden_slots(hidden)
    if shapes.fixed and unseen_slots.shape[1]:
        unseen_slots = functional.pad(unseen_slots, (0, runs[0][2] - unseen_slots.shape[1]))
    chosen = Places.of(lanes, drafts, before, columns)
    n_places = shapes.places(n_rows, columns, len(chosen.rows))
    shape = Shape(tuple(runs), columns, n_places, chosen.plain, chosen.single, unseen_slots.shape[1])
    return shape, Inputs(torch.tensor(rows), *chosen.tensors(n_places), unseen_slots), chosen
