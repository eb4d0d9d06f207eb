"""What the engine moves: requests, the lanes that they become, and finished texts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from spa.decoding.cache import SavedRow
from spa.decoding.drafts import Drafts, Place
from spa.decoding.formula import Choice
from spa.decoding.stopping import StopRule, TextStream
from spa.errors import SpaError
from spa.omega import PLAIN, OmegaSet
from spa.records import PromptPair

NOTHING_HIDDEN = torch.zeros(0, dtype=torch.bool)


@dataclass(frozen=True)
class Request:
    """One task to decode greedily for every omega of a set."""

    task_id: str
    original_ids: Sequence[int]
    masked_ids: Sequence[int]
    omegas: OmegaSet
    stop: StopRule
    max_new_tokens: int
    hidden: Sequence[int] = ()  # positions of masked_ids to which nothing in the masked branch attends
    text_sees_hidden: bool = False  # but the tokens of the text do (mask=package)

    @classmethod
    def of(cls, pair: PromptPair, omegas: OmegaSet, stop: StopRule, max_new_tokens: int) -> "Request":
        """The request for a rendered prompt."""
        branches = pair.original_ids, pair.masked_ids
        return cls(pair.task_id, *branches, omegas, stop, max_new_tokens, pair.hidden, pair.text_sees_hidden)

    @cached_property
    def is_anchored(self) -> bool:
        """Whether the two branches differ; otherwise every omega gives the plain text."""
        return bool(self.hidden) or tuple(self.original_ids) != tuple(self.masked_ids)

    @property
    def longest(self) -> int:
        """Tokens of prompt and text at most."""
        return max(len(self.original_ids), len(self.masked_ids)) + self.max_new_tokens

    @cached_property
    def hidden_slots(self) -> Tensor:
        """Bool, True at the hidden positions, as long as the last of them needs."""
        slots = torch.zeros(max(self.hidden, default=-1) + 1, dtype=torch.bool)
        slots[list(self.hidden)] = True
        return slots


def context_room(pair: PromptPair, context_length: int, name: str, advice: str) -> int:
    """How many tokens fit into the model's context behind the longer of the two prompts.

    Raises SpaError, with the prompt's name and what to do, where none does.
    """
    length = max(len(pair.original_ids), len(pair.masked_ids))
    if length >= context_length:
        raise SpaError(f"{name} has {length} tokens and the model's context only {context_length}; {advice}")
    return context_length - length


@dataclass(frozen=True)
class Budget:
    """How much one task may cost; what it does not reach is given up, and named."""

    lanes: int | None = None  # texts that its omegas may split into
    steps: int | None = None  # decoding steps, summed over its lanes


UNLIMITED = Budget()


@dataclass
class Spent:
    """What one task has cost so far, shared by its lanes. A task may have several requests: what a kill left of it."""

    lanes: int = 0
    steps: int = 0


@dataclass(frozen=True)
class Decoded:
    """A finished text and the omegas that chose it."""

    task_id: str
    omegas: OmegaSet
    completion_ids: list[int]  # without the EOS
    raw: str
    completion: str  # raw up to where the stop rule cut it
    finish_reason: str  # "eos", "stop", "length" or "budget"
    seconds: float  # share of the engine's time; the shares of all texts sum to it
    batch_rows: int  # rows of the widest batch


@dataclass(eq=False)  # two lanes are never the same one
class Lane:
    """A task, a set of omegas, and the tokens they agree on."""

    request: Request
    omegas: OmegaSet
    stream: TextStream
    stop: StopRule
    spent: Spent
    drafts: Drafts
    tokens: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)  # cache row of each branch; empty while the lane waits
    saved: list[SavedRow] = field(default_factory=list)  # the rows of a parked lane
    seconds: float = 0.0
    batch_rows: int = 0
    cut: int | None = None  # characters of the text to keep
    place: Place | None = None  # where the last tokens stood before

    @property
    def prompts(self) -> list[Sequence[int]]:
        """The branches' prompts: the original alone where no omega of the lane needs the masked one."""
        request = self.request
        alone = self.omegas == PLAIN or not request.is_anchored
        return [request.original_ids] if alone else [request.original_ids, request.masked_ids]

    @property
    def hidden(self) -> list[Tensor]:
        """What the next token of each branch does not attend to."""
        masked = NOTHING_HIDDEN if self.request.text_sees_hidden else self.request.hidden_slots
        return [NOTHING_HIDDEN, masked][: len(self.prompts)]

    @property
    def widths(self) -> list[int]:
        """Tokens of each branch that the cache holds once the latest token was fed."""
        return [len(prompt) + len(self.tokens) for prompt in self.prompts]

    def drafted(self, most: int) -> list[int]:
        """The tokens that probably come next, at most so many, and with room for one more behind them."""
        if self.place is None:
            return []
        text, at = self.place
        room = self.request.max_new_tokens - len(self.tokens) - 1
        return list(text[at : at + min(most, room)])

    def split(self, choices: Sequence[Choice]) -> list["Lane"]:
        """A lane for each part of the omegas, this one for the first; all share its rows until these are laid out."""
        self.seconds /= len(choices)
        self.omegas = choices[0][1]
        return [self, *(replace(self, omegas=omegas, tokens=[*self.tokens]) for _, omegas in choices[1:])]

    def take(self, tokens: Sequence[int], eos_ids: frozenset[int]) -> tuple[int, str | None]:
        """Take tokens until the text is complete; how many were taken, and the finish reason if it is."""
        for number, token in enumerate(tokens, start=1):
            reason = self.push(token, eos_ids)
            if reason is not None:
                return number, reason
        return len(tokens), None

    def push(self, token: int, eos_ids: frozenset[int]) -> str | None:
        """Take the chosen token; returns the finish reason once the text is complete."""
        if token in eos_ids:
            return "eos"
        self.tokens.append(token)
        self.place = self.drafts.push(self.tokens)
        self.stream, piece = self.stream.push(token)
        self.stop, self.cut = self.stop.feed(piece)
        if self.cut is not None:
            return "stop"
        return "length" if len(self.tokens) >= self.request.max_new_tokens else None
