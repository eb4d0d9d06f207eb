"""The engine: lanes of many tasks, decoded together, split where their omegas disagree.

A lane is a task, a set of omegas and a prefix that all of them chose. One step computes the original and the masked
branch once per lane, asks the set which token each omega chooses, and splits the lane where they differ. Each lane owns
one cache row per branch; a lane at omega 0, or without an anchor, has no masked row. Children that exceed the batch are
parked: their rows wait in host memory up to a limit, and what exceeds that is dropped and read again.

Letters: B rows, V vocabulary.
"""

import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from spa.decoding.cache import RowCache
from spa.decoding.drafts import Drafts, longest
from spa.decoding.formula import Choice, choose_ends
from spa.decoding.lanes import UNLIMITED, Budget, Decoded, Lane, Request, Spent
from spa.decoding.prefixes import PrefixReader
from spa.decoding.rows import Parking, lay_out
from spa.decoding.sharing import ALL, Sharing
from spa.decoding.steps import backends
from spa.decoding.steps.passes import Answer, Drafted, Pass, Places, prepare
from spa.decoding.steps.step import Step
from spa.decoding.stopping import Detokenize, TextStream, text_after
from spa.errors import SpaError
from spa.method import SPA, Method
from spa.omega import has_zero, size

log = logging.getLogger(__name__)

# Not cuDNN's, which torch prefers on Hopper: it plans anew for every width, and those of prompts are all different.
ATTENTION_KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


class Engine:
    """Decodes requests with one model, at most `batch_size` lanes at a time.

    strict: one row per forward pass, and each reads its prompt itself. bitsandbytes' int8 picks its outlier columns
    over all tokens of a pass, so only then are the rows independent of each other.
    parked_gib: memory for the rows of parked lanes.
    drafts: check several probable tokens in one pass where few rows are in flight; see `spa.decoding.drafts`.
    n_tokens: ids from here on are never chosen; an output layer may be wider than the tokenizer's vocabulary.
    backend: how steps are run: "auto", or one of `spa.decoding.steps.backends`. On a GPU the pass behind the next one
    is started before the next one's tokens are read, wherever nothing is drafted.
    After an out-of-memory error the batch is halved and decoding goes on; `halvings` lists the sizes tried in vain.
    """

    def __init__(
        self,
        model: Any,
        eos_ids: Iterable[int],
        detokenize: Detokenize,
        batch_size: int = 16,
        strict: bool = False,
        budget: Budget = UNLIMITED,
        n_tokens: int | None = None,
        method: Method = SPA,
        drafts: bool = True,
        parked_gib: float = math.inf,
        backend: str = "auto",
    ) -> None:
        self.model = model
        self.vocabulary = n_tokens
        self.eos_ids = frozenset(eos_ids)
        self.detokenize = detokenize
        self.batch_size = batch_size
        self.budget = budget
        self.method = method
        self.halvings: list[int] = []
        self.waiting: deque[Lane] = deque()  # not begun, or to be read again
        self.parked: deque[Lane] = deque()  # their rows are in host memory, or dropped
        self.parking = Parking(parked_gib * 2**30)
        self.lanes: list[Lane] = []  # in flight
        self.finished: list[Decoded] = []  # not given out yet
        self.n_tokens = 0  # chosen so far
        self.spent: dict[str, Spent] = {}  # by task
        self.drafts: dict[str, Drafts] = {}  # by task
        self.branches = 2
        self.sharing = Sharing.of(model.config, alone=strict)
        self.may_draft = drafts and budget.steps is None and self.sharing == ALL
        self.looks_ahead = model.device.type == "cuda" and self.sharing == ALL
        self.ahead: Pass | None = None  # the pass behind the one whose tokens are read next
        self.backend_name = backends.resolve(backend, model, self.sharing)
        self.shapes = backends.shapes(self.backend_name)
        self._new_cache(0)

    def decode(self, requests: Iterable[Request]) -> Iterator[Decoded]:
        """Yield each text as soon as it is finished, in no particular order."""
        return itertools.chain.from_iterable(self.passes(requests))

    def passes(self, requests: Iterable[Request]) -> Iterator[list[Decoded]]:
        """Yield after each forward pass the texts that ended with it, mostly none. Longest prompts first."""
        queue = sorted(requests, key=lambda request: len(request.original_ids), reverse=True)
        for request in queue:
            self.method.check(request.omegas)
        self.spent, self.drafts = {}, {}
        self.waiting.extend(self._lane(request) for request in queue)
        never_split = all(request.omegas.lo == request.omegas.hi for request in queue)
        self.batch_size = min(self.batch_size, len(queue)) if never_split else self.batch_size
        self.branches = max((len(lane.prompts) for lane in self.waiting), default=0)
        self._new_cache(max((request.longest for request in queue), default=0))
        while self.waiting or self.parked or self.lanes:
            try:
                self._advance()
            except RuntimeError as error:
                if not backends.is_out_of_memory(error):
                    raise
                self._halve()
            finished, self.finished = self.finished, []
            yield finished

    @property
    def n_rows(self) -> int:
        """Cache rows of the lanes in flight: 0..n_rows-1."""
        return sum(len(lane.rows) for lane in self.lanes)

    @property
    def _layers(self) -> int:
        layers: int = self.model.config.get_text_config().num_hidden_layers
        return layers

    def _lane(self, request: Request) -> Lane:
        stream = TextStream.after(request.original_ids, self.detokenize)
        spent = self.spent.setdefault(request.task_id, Spent())
        spent.lanes += 1
        if request.task_id not in self.drafts:
            self.drafts[request.task_id] = Drafts(request.original_ids)
        return Lane(request, request.omegas, stream, request.stop, spent, self.drafts[request.task_id])

    @torch.inference_mode()
    @sdpa_kernel(ATTENTION_KERNELS)
    def _advance(self) -> None:
        """One forward pass, of the lanes that join or else of those in flight, and what follows from it.

        Whatever runs out of memory here, every lane is in one of the engine's lists.
        """
        started = time.perf_counter()
        self._unpark()
        self._read_again()
        joining = [self.waiting.popleft() for _ in range(min(self.batch_size - len(self.lanes), len(self.waiting)))]
        try:
            now = self._join(joining) if joining else self._step()
            choices = [(lane, *now.choices(lane)) for lane in now.places.first]
        except BaseException:
            self.waiting.extendleft(reversed(joining))
            raise
        others = [lane for lane in self.lanes if lane not in now.places.first]
        continuing: list[Lane] = []
        ended: list[tuple[Lane, str]] = []
        for lane, kept, parts in choices:
            lane.batch_rows = max(lane.batch_rows, now.n_rows)
            taken, reason = lane.take(kept, self.eos_ids)
            lane.spent.steps += taken
            self.n_tokens += taken
            if reason is not None:
                ended.append((lane, reason))
                continue
            if self.ahead and parts[0][0] != now.low(lane):  # tied scores: the pass ahead was fed another one
                self.ahead.forget(lane)
            given_up = self._charge(lane, parts)
            for number, (child, (token, _)) in enumerate(zip(lane.split(parts), parts, strict=True)):
                reason = "budget" if number in given_up else child.push(token, self.eos_ids)
                if reason is None:
                    continuing.append(child)
                else:
                    ended.append((child, reason))
                self.n_tokens += 1
        try:
            self._lay_out([*others, *continuing])
        finally:
            share = (time.perf_counter() - started) / (len(continuing) + len(ended))
            for lane in [*continuing, *(lane for lane, _ in ended)]:
                lane.seconds += share
            self.finished += [self._decoded(lane, reason) for lane, reason in ended]

    def _charge(self, lane: Lane, parts: list[Choice]) -> set[int]:
        """Count a step and its splits; the numbers of the parts that exceed the budget.

        The smallest parts go first, and last of all that with omega 0, with which the others are compared.
        """
        lane.spent.steps += 1
        if self.budget.steps is not None and lane.spent.steps > self.budget.steps:
            return set(range(len(parts)))
        lane.spent.lanes += len(parts) - 1
        surplus = 0 if self.budget.lanes is None else lane.spent.lanes - self.budget.lanes
        in_turn = sorted(range(len(parts)), key=lambda number: (has_zero(parts[number][1]), size(parts[number][1])))
        given_up = set(in_turn[: max(surplus, 0)])
        lane.spent.lanes -= len(given_up)
        return given_up

    def _unpark(self) -> None:
        """Let parked lanes take the free places, ahead of tasks that have not begun.

        The longest parked first: it has the most tokens before it, and would be left alone at the end. Of those whose
        rows were dropped the prefixes are read next.
        """
        for _ in range(min(len(self.parked), self.batch_size - len(self.lanes))):
            lane = self.parked[0]
            self.parking.give_back(self.cache, lane, self.n_rows)
            if lane.rows:
                self.lanes.append(self.parked.popleft())
            else:
                self.waiting.appendleft(self.parked.popleft())

    def _read_again(self) -> None:
        """Send back to the beginning what the next token would take over the model's switch; see `sharing`."""
        if self.sharing.switch is None:
            return
        crossing = [lane for lane in self.lanes if self.sharing.switch + 1 in lane.widths]
        if crossing:
            for lane in crossing:
                lane.rows = []
            self.waiting.extendleft(reversed(crossing))
            self._lay_out([lane for lane in self.lanes if lane.rows])

    def _join(self, lanes: list[Lane]) -> Pass:
        """Read the lanes' prefixes into new rows, first all original ones, then the masked."""
        if self.prefixes.common is None:
            self.prefixes.read_common([lane.request.original_ids for lane in [*lanes, *self.waiting]])
        first_row = self.n_rows
        logits = self.prefixes.read(lanes, first_row)[:, : self.vocabulary]
        places = Places.of(lanes, first_row=first_row)
        rows, omegas = (tensor.to(logits.device) for tensor in places.tensors(len(lanes)))
        ends = choose_ends(logits, rows, omegas, self.method, places.plain, places.single)
        return Pass(self.method, {}, places, Answer(ends), logits, len(logits))

    def _step(self) -> Pass:
        """Feed every lane its last token and its draft, unless they are under way already."""
        now, self.ahead = self.ahead or self._start(self._drafted(), {}), None
        if self.looks_ahead and not now.drafts and not any(lane.place for lane in self.lanes if self.may_draft):
            self.ahead = self._start({}, now.places.first)
        return now

    def _drafted(self) -> dict[Lane, list[int]]:
        """The drafts of the lanes in flight that have one."""
        most = longest(self.shapes.rows(self.n_rows), self.model.device.type) if self.may_draft else 0
        drafts = {lane: lane.drafted(most) for lane in self.lanes} if most else {}
        return {lane: draft for lane, draft in drafts.items() if draft}

    def _start(self, drafts: Drafted, before: Mapping[Lane, int]) -> Pass:
        """Start a pass of the lanes in flight.

        before: those whose last token was not read yet, and where the pass before chooses it.
        """
        device, slots = self.model.device.type, self.cache.slots
        shape, inputs, places = prepare(self.lanes, drafts, before, self.shapes, slots, self.sharing, device)
        ends, logits = self.backend.run(shape, inputs)
        return Pass(self.method, drafts, places, Answer(ends), logits, self.n_rows)

    def _lay_out(self, lanes: list[Lane]) -> None:
        """Give the lanes rows as far as the batch goes; what exceeds it is parked."""
        self.lanes, surplus = lanes[: self.batch_size], lanes[self.batch_size :]
        self.parked += surplus
        for lane in surplus:
            self.parking.take(self.cache, lane)
        self.cache.copy_rows(lay_out(self.lanes))
        if self.ahead and not self.ahead.keep(self.lanes):
            self.ahead = None

    def _decoded(self, lane: Lane, reason: str) -> Decoded:
        raw = text_after(lane.request.original_ids, lane.tokens, self.detokenize)
        return Decoded(
            task_id=lane.request.task_id,
            omegas=lane.omegas,
            completion_ids=lane.tokens,
            raw=raw,
            completion=raw if lane.cut is None else raw[: lane.cut],
            finish_reason=reason,
            seconds=lane.seconds,
            batch_rows=lane.batch_rows,
        )

    def _new_cache(self, slots: int) -> None:
        rows = self.shapes.rows(self.batch_size * self.branches)
        self.cache = RowCache(self._layers, rows, self.shapes.width(slots))
        self.prefixes = PrefixReader(self.model, self.cache, self.sharing)
        chosen = torch.zeros(rows, dtype=torch.long, device=self.model.device)
        step = Step(self.model, self.cache, self.method, self.vocabulary, chosen)
        self.backend, self.ahead = backends.BACKENDS[self.backend_name](step), None

    def _halve(self) -> None:
        if self.batch_size == 1:
            raise SpaError(
                "out of memory with a single lane; use a smaller dtype, quantization=int8, a larger device or "
                "max_new_tokens=N"
            )
        self.halvings.append(self.batch_size)
        self.batch_size //= 2
        log.warning("out of memory at %d lanes; going on with %d", self.halvings[-1], self.batch_size)
        # A cache that failed to grow is not to be trusted: every prefix is read again.
        begun = [*self.lanes, *self.parked]
        for lane in begun:
            lane.rows, lane.saved = [], []
        self.waiting.extendleft(reversed(begun))
        self.lanes, self.parked, self.parking.bytes = [], deque(), 0
        self._new_cache(self.cache.slots)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
