"""Prefixes, read into the cache: what they share is read once.

What all prompts begin with is read once for all of them, and a masked prompt only from where it departs from its
original, in its tokens or in what they attend to.

Letters: B rows, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from spa.decoding import forward
from spa.decoding.cache import RowCache, SavedRow
from spa.decoding.lanes import NOTHING_HIDDEN, Lane
from spa.decoding.sharing import Sharing

# Tokens of one forward pass over prompts. More at once are slower on a CPU, where their activations leave its caches.
PREFILL_TOKENS = 1024


class PrefixReader:
    """Reads the prefixes of lanes into one cache."""

    def __init__(self, model: Any, cache: RowCache, sharing: Sharing) -> None:
        self.model = model
        self.cache = cache
        self.sharing = sharing
        self.common: int | None = None  # tokens that all prompts begin with, once known
        self.common_row: SavedRow | None = None

    def read_common(self, prompts: Sequence[Sequence[int]]) -> None:
        """Read what all prompts begin with, and keep it. The cache is empty still."""
        self.common = common_prefix(prompts) if len(prompts) > 1 and not self.sharing.alone else 0
        if self.common:
            forward.prefill(self.model, self.cache, 0, [list(prompts[0][: self.common])], [0], [NOTHING_HIDDEN])
            self.common_row = self.cache.save_row(0, self.common)

    def read(self, lanes: Sequence[Lane], first_row: int) -> Tensor:
        """Read the lanes' prefixes into rows from the first on, and give the lanes these rows; their logits, [B, V].

        First come all original branches, then the masked ones. A prefix is longer than its prompt only after an
        out-of-memory error.
        """
        originals = [[*lane.prompts[0], *lane.tokens] for lane in lanes]
        second_row = first_row + len(lanes)
        anchored = [(number, lane) for number, lane in enumerate(lanes) if len(lane.prompts) > 1]
        for row, lane in enumerate(lanes, first_row):
            lane.rows = [row]
        for row, (_, lane) in enumerate(anchored, second_row):
            lane.rows.append(row)
        if self.common_row:
            self.cache.load_rows(first_row, second_row, self.common_row)
        starts = [self._start(self.common or 0, self.common or 0, ids) for ids in originals]
        logits = [self._prefill(first_row, originals, starts, [NOTHING_HIDDEN] * len(lanes))]
        if anchored:
            maskeds = [[*lane.prompts[1], *lane.tokens] for _, lane in anchored]
            starts = [common_prefix([originals[n], ids]) for (n, _), ids in zip(anchored, maskeds, strict=True)]
            starts = [
                self._start(min(start, *lane.request.hidden, start), len(originals[number]), ids)
                for (number, lane), start, ids in zip(anchored, starts, maskeds, strict=True)
            ]
            rows = enumerate(zip(anchored, starts, strict=True), second_row)
            self.cache.copy_rows([(first_row + number, target, start) for target, ((number, _), start) in rows])
            hidden = [lane.request.hidden_slots for _, lane in anchored]
            masked_logits = self._prefill(second_row, maskeds, starts, hidden)
            for number, (_, lane) in enumerate(anchored):
                if lane.request.text_sees_hidden and lane.tokens:  # what the text is, was read as if it did not
                    again = [maskeds[number]], [len(lane.prompts[1])], [NOTHING_HIDDEN]
                    masked_logits[number] = self._prefill(second_row + number, *again)[0]
            logits.append(masked_logits)
        return torch.cat(logits)

    def _start(self, shared: int, length: int, ids: Sequence[int]) -> int:
        """How much of a prefix need not be read, where its first `shared` tokens were read in a row of that length."""
        alone = self.sharing.alone or self.sharing.is_long(length) != self.sharing.is_long(len(ids))
        return 0 if alone else min(shared, len(ids) - 1)

    def _prefill(self, first_row: int, sequences: list[list[int]], starts: list[int], hidden: list[Tensor]) -> Tensor:
        """Prefill in groups of rows that keep within `PREFILL_TOKENS`; logits of all rows, [B, V]."""
        logits = []
        for group in self._groups(starts, [len(ids) for ids in sequences]):
            first = first_row + group.start
            logits.append(
                forward.prefill(self.model, self.cache, first, sequences[group], starts[group], hidden[group])
            )
        return torch.cat(logits)

    def _groups(self, starts: list[int], lengths: list[int]) -> Iterator[slice]:
        """Consecutive rows that are read at once."""
        fresh = [length - start for start, length in zip(starts, lengths, strict=True)]
        for run in self.sharing.runs(starts, lengths):
            start = run.start
            for end in range(start + 1, run.stop + 1):
                rows = end + 1 - start
                if end == run.stop or rows * max(fresh[start : end + 1]) > PREFILL_TOKENS:
                    yield slice(start, end)
                    start = end


def common_prefix(sequences: Sequence[Sequence[int]]) -> int:
    """How many tokens all sequences begin with."""
    length = 0
    for tokens in zip(*sequences, strict=False):
        if len(set(tokens)) > 1:
            break
        length += 1
    return length
