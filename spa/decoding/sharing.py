"""Which rows may share a forward pass, and what they may share of the cache.

Most models compute each row by itself. Some take a quantity from the whole pass, in transformers' code:
- GPT-Neo's local layers cut their band from the width of the cache, and Llama 4's layers without rotary positions get
  their temperature from the length of the cache. Beyond the window, or the first step of the temperature, rows share a
  pass only where they begin and end alike.
- A "longrope" takes its long factors for a whole pass if the longest row is longer than the original context (Phi-3).
  Rows on either side of that length share nothing. A text that crosses it is read again from its beginning, which is
  what these models' `generate` does.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any


@dataclass(frozen=True)
class Sharing:
    """What a model asks for; a length counts the tokens of a row after a pass."""

    alike_beyond: int | None = None  # longer rows share a pass only with those that begin and end where they do
    switch: int | None = None  # rows up to this length, and longer ones, have nothing in common
    alone: bool = False  # rows share nothing at all

    @classmethod
    def of(cls, config: Any, alone: bool = False) -> "Sharing":
        text = config.get_text_config()
        beyond: int | None = None
        if text.model_type == "gpt_neo" and "local" in text.attention_layers:
            beyond = text.window_size
        if getattr(text, "attn_temperature_tuning", False):
            beyond = text.floor_scale - 1
        ropes = getattr(text, "rope_parameters", None) or {}
        kinds = [ropes, *(rope for rope in ropes.values() if isinstance(rope, dict))]
        longropes = [rope for rope in kinds if rope.get("rope_type") == "longrope"]
        return cls(beyond, min((rope["original_max_position_embeddings"] for rope in longropes), default=None), alone)

    def is_long(self, length: int) -> bool:
        """On which side of the switch a row is."""
        return self.switch is not None and length > self.switch

    def runs(self, starts: Sequence[int], lengths: Sequence[int]) -> Iterator[slice]:
        """Consecutive rows that may share a pass: rows that hold `starts` tokens already and get `lengths`."""

        def demand(row: int) -> Hashable:
            exact = self.alike_beyond is not None and lengths[row] > self.alike_beyond
            alike = (starts[row], lengths[row]) if exact else None
            return row if self.alone else (self.is_long(lengths[row]), alike)

        for _, rows in groupby(range(len(lengths)), demand):
            first, *rest = rows
            yield slice(first, [first, *rest][-1] + 1)


ALL = Sharing()  # any rows may share a pass
