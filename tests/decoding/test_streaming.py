"""Pieces of a text as it comes: they join to the text, and nothing is given out that a rule may cut."""

from collections.abc import Iterator

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from spa.decoding.drafts import Drafts
from spa.decoding.interface.streaming import n_certain, pieces
from spa.decoding.lanes import Decoded, Lane, Request, Spent
from spa.decoding.stopping import (
    ClosedBlock,
    FirstOf,
    KeepPiece,
    LineLimit,
    MarkedBlock,
    NeverStop,
    StopRule,
    StopStrings,
    TextStream,
    TopLevelCount,
    TopLevelLine,
    detokenizer,
    text_after,
)
from spa.omega import PLAIN
from spa.tasks.extraction import UntilProgram

TOKENIZER = tiny.tokenizer()
DETOKENIZE = detokenizer(TOKENIZER)
PROMPT = TOKENIZER("say: ")["input_ids"]
RULES: list[StopRule] = [
    NeverStop(),
    StopStrings(("ab", "\n\n", "de")),
    StopStrings(("def", "é", "abcde")),
    ClosedBlock(),
    MarkedBlock(),
    TopLevelLine.of(None),
    TopLevelLine.of("f"),
    TopLevelCount.after("def f(x):\n    "),
    TopLevelCount.after("x"),
    LineLimit(2, 2),
    KeepPiece(StopStrings(("abc",))),
    FirstOf((StopStrings(("abc",)), TopLevelLine.of(None))),
    UntilProgram("f"),
]
LINES = ["", "    x", "abc", "ab", "def f():", "def g(): a", "```", "```python", "  ```", "é日本", "🙂", ")", "\t"]
TEXTS = st.lists(st.sampled_from(LINES), max_size=8).map("\n".join) | st.text("abcdef \n`é🙂", max_size=20)


class Scripted:
    """An engine that has its tokens from a list."""

    detokenize = staticmethod(DETOKENIZE)

    def __init__(self, tokens: list[int], at_once: int = 1) -> None:
        self.tokens = tokens
        self.at_once = at_once  # tokens of a pass
        self.lanes: list[Lane] = []

    def passes(self, requests: list[Request]) -> Iterator[list[Decoded]]:
        (request,) = requests
        lane = Lane(
            request, PLAIN, TextStream.after(request.original_ids, DETOKENIZE), request.stop, Spent(), Drafts([])
        )
        self.lanes = [lane]
        for number, token in enumerate(self.tokens, start=1):
            reason = lane.push(token, frozenset())
            if reason:
                self.lanes = []
                raw = text_after(request.original_ids, lane.tokens, DETOKENIZE)
                yield [Decoded("", PLAIN, lane.tokens, raw, raw[: lane.cut], reason, 0, 1)]
                return
            if number % self.at_once == 0:
                yield []


def streamed(text: str, rule: StopRule, length: int | None = None, at_once: int = 1) -> tuple[list[str], str]:
    """The pieces of a text, each byte a token, and its completion."""
    tokens = TOKENIZER(text)["input_ids"][:length] or TOKENIZER("x")["input_ids"]
    request = Request("", PROMPT, PROMPT, PLAIN, rule, len(tokens))
    found = list(pieces(Scripted(tokens, at_once), request))  # type: ignore[arg-type]
    *_, (done,) = Scripted(tokens).passes([request])
    return found, done.completion


@given(TEXTS, st.sampled_from(RULES), st.none() | st.integers(1, 30), st.integers(1, 4))
def test_pieces_join_to_the_completion(text: str, rule: StopRule, length: int | None, at_once: int) -> None:
    found, completion = streamed(text, rule, length, at_once)
    assert "".join(found) == completion
    assert all(found)
    assert not any("\N{REPLACEMENT CHARACTER}" in piece for piece in found[:-1])


@given(TEXTS, st.sampled_from(RULES), st.integers(1, 5))
def test_what_is_certain_is_never_cut(text: str, rule: StopRule, size: int) -> None:
    certain = 0
    for start in range(0, len(text), size):
        piece = text[start : start + size]
        rule, cut = rule.feed(piece)
        if cut is not None:
            assert cut >= certain
            return
        now = n_certain(rule, start + len(piece))
        assert certain <= now <= start + len(piece)
        certain = now


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (NeverStop(), ["a", "b", "é", "🙂", "\n", "c"]),
        (StopStrings(("bc",)), ["a", "b", "é", "🙂", "\nc"]),
        (StopStrings(("\nc",)), ["a", "b", "é", "🙂"]),
        (TopLevelLine.of(None), ["abé🙂\n", "c"]),
        (UntilProgram("f"), ["abé🙂\nc"]),
    ],
)
def test_each_piece_comes_as_soon_as_it_is_certain(rule: StopRule, expected: list[str]) -> None:
    found, _ = streamed("abé🙂\nc", rule)
    assert found == expected
