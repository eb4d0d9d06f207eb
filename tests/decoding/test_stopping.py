"""Stop rules and the text stream: the same end however the text is cut into pieces."""

import itertools
import re

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from stopped import end

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
    text_after,
)
from spa.tasks.benchmarks import Benchmark

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
        (TopLevelLine.of(None), BODY + "def g():\n", BODY),
        (TopLevelLine.of(None), BODY + "# a comment", BODY),
        (TopLevelLine.of(None), "print(1)\n" + BODY + "print(2)", "print(1)\n" + BODY),
        (TopLevelLine.of(None), BODY, None),
        (TopLevelLine.of("f"), FUNCTION + "\nassert f(1, 2)", FUNCTION + "\n"),
        (TopLevelLine.of("f"), "def f(x): return x\nprint(f)", "def f(x): return x\n"),
        (TopLevelLine.of("f"), "x = 1\ny = 2\nz = 3\n", None),
        (NeverStop(), CHAT + "\n", None),
    ],
)
def test_ends(rule: StopRule, text: str, kept: str | None) -> None:
    assert end(rule, [text]) == kept
    assert end(rule, list(text)) == kept


# The authors' rules beside ours: what the text keeps under each.

HUMANEVAL = 'def f(x):\n    """ Add one. """\n'
MBPP = '"""\nAdd one.\nassert f(1) == 2\n"""\n'


@pytest.mark.parametrize(
    ("pieces", "ours", "theirs"),
    [
        (["```python", "\nx = 1\n", "```", "\n"], "```python\nx = 1\n```", "```python\nx = 1\n```"),
        (["```", "\nx = 1\n", "```", "\n"], "```\nx = 1\n```", None),  # not marked
        (["```Python", "\nx = 1\n", "```", "\n"], "```Python\nx = 1\n```", None),
        (["Use ", "```python", " f(1)", "``", "`"], None, "Use ```python f(1)```"),  # inside a line
        (["```python\n", "```", "\n```python\nx = 1\n```"], "```python\n```", None),  # a blank block comes first
    ],
)
def test_marked_block(pieces: list[str], ours: str | None, theirs: str | None) -> None:
    assert (end(ClosedBlock(), pieces), end(MarkedBlock(), pieces)) == (ours, theirs)


@pytest.mark.parametrize(
    ("pieces", "ours", "theirs"),
    [
        (["    return x\n", "\n", "print", "(f)"], "    return x\n\n", "    return x\n\n"),
        (["print", "(1)\n", "    return x\n"], None, ""),  # before any body
        (["    return [\n", "]"], None, "    return [\n"),  # a bracket
    ],
)
def test_top_level_count_on_humaneval(pieces: list[str], ours: str | None, theirs: str | None) -> None:
    assert (end(TopLevelLine.of(None), pieces), end(TopLevelCount.after(HUMANEVAL), pieces)) == (ours, theirs)


@pytest.mark.parametrize("first", ["import", "from", "#", "class", "@"])
def test_top_level_count_on_mbpp_ends_at_the_first_token(first: str) -> None:
    pieces = [first, " x\n", "def", " f(x):\n", "    return x\n", "print"]
    assert end(TopLevelLine.of("f"), pieces) == "".join(pieces[:-1])
    assert end(TopLevelCount.after(MBPP), pieces) == ""
    assert end(KeepPiece(TopLevelCount.after(MBPP)), pieces) == first


def test_top_level_count_on_mbpp_allows_one_function() -> None:
    pieces = ["\n", "def", " f(x):\n", "    return x\n\n", "print", "(f(1))"]
    assert end(TopLevelLine.of("f"), pieces) == end(TopLevelCount.after(MBPP), pieces) == "".join(pieces[:-2])
    helper_first = ["def", " g(x):\n", "def", " f(x): "]
    assert end(TopLevelLine.of("f"), helper_first) is None  # no body yet
    assert end(TopLevelCount.after(MBPP), helper_first) == "def g(x):\n"


def test_top_level_count_goes_on_with_the_prompts_last_line() -> None:
    assert end(TopLevelCount.after("x"), [" = 1\n", "  y\n", "z"]) == " = 1\n  y\n"
    assert end(TopLevelCount.after("def f():\n    "), ["pass", "\n", "x"]) == "pass\n"


def test_what_precedes_the_entry_point_ends_nothing() -> None:
    helper = "import math\ndef g(x):\n    return x\n\nLIMIT = 3\nclass A:\n    y = 1\n\n"
    main = "def f(x):\n    return g(x)\n"
    assert end(TopLevelLine.of("f"), [*(helper + main + "\nassert f(1)")]) == helper + main + "\n"
    assert end(TopLevelLine.of("ff"), [*(helper + main + "\nassert f(1)")]) is None


@pytest.mark.parametrize("data", ["humaneval_plus", "mbpp_plus"])
def test_no_canonical_solution_is_cut(data: str, request: pytest.FixtureRequest) -> None:
    benchmark: Benchmark = request.getfixturevalue(data)
    for problem in benchmark.problems:
        wanted = None if problem.family == "humaneval" else problem.entry_point
        text = problem.canonical_solution
        pieces = [text[start : start + 4] for start in range(0, len(text), 4)]
        kept = end(TopLevelLine.of(wanted), pieces)
        assert kept is None or kept.strip() == text.strip(), problem.task_id


def test_keep_piece_keeps_the_token_that_ended_the_text() -> None:
    pieces = ["    return x\n", "\nprint", "(f)"]
    assert end(TopLevelLine.of(None), pieces) == "    return x\n\n"
    assert end(KeepPiece(TopLevelLine.of(None)), pieces) == "    return x\n\nprint"


def test_line_limit() -> None:
    lines = ["    x = 1\n"] * 60
    assert end(LineLimit(None, None), lines) is None
    assert end(LineLimit(50, None), lines) == "    x = 1\n" * 51
    blank = ["    x\n", *["\n"] * 30]
    assert end(LineLimit(None, 18), blank) == "    x" + "\n" * 18
    assert end(LineLimit(None, 18, n_newlines=1), ["\n"] * 30) == "\n" * 17  # behind a prompt that ends a line


def test_first_of_several() -> None:
    rule = FirstOf((TopLevelLine.of(None), LineLimit(3, None)))
    assert end(rule, ["    x\n" * 2, "print"]) == "    x\n" * 2
    assert end(rule, ["    x\n" * 5, "print"]) == "    x\n" * 4
    assert end(rule, ["    x\n"]) is None


@given(st.text("`python \ndef:x#(", max_size=80), st.data())
@pytest.mark.parametrize(
    "rule",
    [
        ClosedBlock(),
        MarkedBlock(),
        TopLevelLine.of(None),
        TopLevelLine.of("f"),
        FirstOf((MarkedBlock(), LineLimit(3, 2))),
    ],
)
def test_pieces_do_not_matter(rule: StopRule, text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))) | {0, len(text)})
    pieces = [text[a:b] for a, b in itertools.pairwise(cuts)]
    assert end(rule, pieces) == end(rule, list(text))


@given(st.lists(st.sampled_from(["```python", "```", "``", "`", "python", "\n", " ", "x = 1"]), max_size=12))
def test_marked_block_is_the_authors_search(parts: list[str]) -> None:
    """The text at which a search of it from its beginning first finds a block that is not blank."""
    expected = None
    for length in range(len("".join(parts)) + 1):
        found = re.search("```python(.*?)```", "".join(parts)[:length], re.DOTALL)
        if found and found[1].strip():
            expected = "".join(parts)[:length]
            break
    assert end(MarkedBlock(), list("".join(parts))) == end(MarkedBlock(), parts) == expected


@given(st.lists(st.sampled_from(["def", "import", "\n", "    ", " ", "x", "# note", "\n\n", ")"]), max_size=12))
@pytest.mark.parametrize("prompt", [HUMANEVAL, MBPP, "x = 1", "def f():\n    "])
def test_top_level_count_is_the_authors_count(prompt: str, parts: list[str]) -> None:
    """The text at whose end the lines, counted from the prompt's beginning, are too many."""

    def top_level(text: str) -> int:
        return sum(bool(line) and not line[0].isspace() for line in text.split("\n"))

    def has_def(text: str) -> bool:
        return any(line.strip().startswith("def") for line in text.split("\n"))

    expected, text = None, ""
    for part in parts:
        text += part
        allowed = 1 if has_def(prompt + text) and not has_def(prompt) else 0
        if top_level(prompt + text) > top_level(prompt) + allowed:
            expected = text
            break
    assert end(KeepPiece(TopLevelCount.after(prompt)), parts) == expected


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
