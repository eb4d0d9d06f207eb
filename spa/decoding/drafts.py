"""Drafts: the tokens that a text probably has next, so that one pass can check several of them.

The last three tokens of a text are looked up in its task's prompt and in all that was decoded for the task: what stood
behind them there is the draft. A draft decides nothing: the engine keeps of it what every omega of the lane chooses.
"""

from collections.abc import Sequence

LOOKUP = 3  # tokens that are looked up
LONGEST = 8  # tokens of a draft
# Tokens that a pass may be fed. Up to about here it waits for the weights: SmolLM2 on two cores takes 1.4 times as long
# for two rows of nine tokens as for two of one, and 1.4 times for eight rows of two. On a GPU this was not measured.
MOST_FED = {"cpu": 14, "cuda": 128}

Place = tuple[Sequence[int], int]  # a text, and how many of its tokens lie before the place


class Drafts:
    """Where each three tokens of a task stood last: in its prompt, or in one of its texts."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self.prompt_end = tuple(prompt[-LOOKUP:])
        self.places: dict[tuple[int, ...], Place] = {}
        for end in range(LOOKUP, len(prompt)):
            self.places[tuple(prompt[end - LOOKUP : end])] = (prompt, end)

    def push(self, tokens: list[int]) -> Place | None:
        """Note where a text has got to, and return where its last three tokens stood before, if anywhere.

        The list is kept, not copied: what is appended to it later can be drafted.
        """
        last = tuple(tokens[-LOOKUP:]) if len(tokens) >= LOOKUP else (*self.prompt_end, *tokens)[-LOOKUP:]
        before = self.places.get(last)
        self.places[last] = (tokens, len(tokens))
        return before


def longest(n_rows: int, device: str) -> int:
    """How many tokens a draft may have where so many rows are in flight; 0 where a pass is bound by arithmetic."""
    return max(0, min(LONGEST, MOST_FED.get(device, 0) // n_rows - 1))
