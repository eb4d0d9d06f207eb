"""Stop rules and the text stream: the same end however the text is cut into pieces."""

import itertools

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from spa.decoding.stopping import ClosedBlock, NeverStop, StopRule, StopStrings, TextStream, TopLevelLine, text_after


def end(rule: StopRule, pieces: list[str]) -> str | None:
    """The kept text, or None where the rule never stops."""
    text = ""
    for piece in pieces:
        text += piece
        rule, cut = rule.feed(piece)
        if cut is not None:
            return text[:cut]
    return None


CHAT = "Sure:\n```python\ndef f():\n    return '``'\n```"
OTHER = "```bash\npip install x\n```\nthen\n```\nx = 1\n```"
BODY = "    x = [\n        1,\n]\n\n    return x\n"
FUNCTION = "import math\n\ndef f(a,\n      b):\n    return a\n"


@pytest.mark.parametrize(
    ("rule", "text", "kept"),
    [
        (StopStrings(("\n\n", "</s>")), "a\nb </s\n\nc</s>", "a\nb </s"),
        (StopStrings(("abcd", "b")), "xabcd", "xa"),
        (StopStrings(("c", "abc")), "xabc", "x"),
        (StopStrings(("end",)), "en", None),
        (ClosedBlock(), CHAT + "\nIt works because", CHAT),
        (ClosedBlock(), OTHER + " tail", OTHER),
        (ClosedBlock(), "```python\nx = 1\n", None),
        (ClosedBlock(), "inline ```code``` only\n", None),
        (TopLevelLine(True), BODY + "def g():\n", BODY),
        (TopLevelLine(True), BODY + "# a comment", BODY),
        (TopLevelLine(True), "print(1)\n" + BODY + "print(2)", "print(1)\n" + BODY),
        (TopLevelLine(True), BODY, None),
        (TopLevelLine(False), FUNCTION + "\nassert f(1, 2)", FUNCTION + "\n"),
        (TopLevelLine(False), "def f(x): return x\nprint(f)", "def f(x): return x\n"),
        (TopLevelLine(False), "x = 1\ny = 2\nz = 3\n", None),
        (NeverStop(), CHAT + "\n", None),
    ],
)
def test_ends(rule: StopRule, text: str, kept: str | None) -> None:
    assert end(rule, [text]) == kept
    assert end(rule, list(text)) == kept


@given(st.text("`python \ndef:x#(", max_size=80), st.data())
@pytest.mark.parametrize("rule", [ClosedBlock(), TopLevelLine(True), TopLevelLine(False)])
def test_pieces_do_not_matter(rule: StopRule, text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))) | {0, len(text)})
    pieces = [text[a:b] for a, b in itertools.pairwise(cuts)]
    assert end(rule, pieces) == end(rule, list(text))


@given(st.text(max_size=40))
def test_stream_gives_the_whole_text(text: str) -> None:
    tokenizer = tiny.tokenizer()
    prompt, ids = tokenizer.encode("prompt é"), tokenizer.encode(text, add_special_tokens=False)
    stream, pieces = TextStream.after(prompt, tokenizer.decode), []
    for token in ids:
        stream, piece = stream.push(token)
        pieces.append(piece)
    assert text_after(prompt, ids, tokenizer.decode) == text
    if not text.endswith("\N{REPLACEMENT CHARACTER}"):
        assert "".join(pieces) == text


def test_stream_holds_back_half_a_character() -> None:
    tokenizer = tiny.tokenizer()
    stream = TextStream.after([], tokenizer.decode)
    first, second = tokenizer.encode("é")
    stream, piece = stream.push(first)
    assert piece == ""
    stream, piece = stream.push(second)
    assert piece == "é"
