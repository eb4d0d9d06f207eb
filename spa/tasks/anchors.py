"""Which characters of a problem's prompt are anchored. Text only: a prompt goes in, spans come out.

The text of a task is its docstring, in two parts that meet at the first example line: one that starts, after
indentation, with `>>>` (HumanEval) or `assert` (MBPP).

    description            the part before the first example line; worded examples belong to it
    examples               from the first example line to the docstring's end
    description_and_tests  both: the whole docstring
    keywords               the description's content words, one span each (`_keywords` states the rule)
    signature              HumanEval: the `def` line or lines of the last function, and each import
    prompt                 the whole problem text
    tagged                 what stands between `<anchor>` and `</anchor>`; the tags are taken out of the prompt
    random                 the control: as many tokens as `description` has, of the rest of the rendered prompt; here
                           these are the description's spans, which `prompts.Renderer.elsewhere` leaves out
    none                   nothing

HumanEval's docstring is the last top-level function's: the first bare string in its body, which in OpenAI's
HumanEval/115 follows an import. MBPP's prompt is a docstring and nothing else.
"""

import ast
import re
import warnings
from collections.abc import Iterable
from dataclasses import replace

from spa.errors import SpaError
from spa.records import ANCHOR, CONTROL, Problem, Span

ANCHORS: tuple[str, ...] = (
    ANCHOR,
    "description_and_tests",
    "signature",
    "examples",
    "keywords",
    "prompt",
    CONTROL,
    "none",
    "tagged",
)

FIRST_EXAMPLE = {
    "humaneval": re.compile(r"^[ \t]*>>>", re.MULTILINE),
    "mbpp": re.compile(r"^[ \t]*assert\b", re.MULTILINE),
}

LINE_END = re.compile(r"\r\n?|\n")  # what Python counts as one; str.splitlines knows more
OPENING_QUOTES = re.compile(r"[A-Za-z]*(\"\"\"|'''|\"|')")
MODULE_DOCSTRING = re.compile(r"\s*(\"\"\"|''')(?P<text>.*)\1\s*", re.DOTALL)
TAG = re.compile(r"<(/?)anchor>")
WORD = re.compile(r"[^\W\d]\w*")

# Words that carry no requirement: articles, pronouns, auxiliaries, conjunctions, the pieces that an apostrophe leaves
# of them, and what nearly every task says. Negations, quantifiers and comparisons ("not", "all", "below") are content.
STOP_WORDS = frozenset(
    """
    also although and another are aren because been being but can cannot could couldn did does doesn doing don done
    either for from given had has hasn have haven having here his her how into isn its itself just let like may
    might must onto our shall should shouldn since some such that the their them then there therefore these they
    this those though through thus too upon use used using very was were what when where whether which while who
    whose why will with won would wouldn yet you your
    function functions python write
    """.split()  # noqa: SIM905 - one quoted string each would hide the words
)


def check(name: str, family: str) -> None:
    """Refuse an anchor that is unknown, or that no task of the family has."""
    if name not in ANCHORS:
        raise SpaError(f"anchor={name} is unknown; take one of: {', '.join(ANCHORS)}")
    if name == "signature" and family == "mbpp":
        raise SpaError("anchor=signature fits no MBPP task: their prompts hold no def line; take another anchor")


def anchor(problem: Problem, name: str, double_quotes_only: bool = False) -> tuple[Problem, tuple[Span, ...]]:
    """The problem, and the anchor's half-open character spans in its prompt; none where the task has no such anchor.

    Spans are sorted, disjoint, not empty, and without surrounding whitespace. Only `tagged` changes the problem.
    double_quotes_only: look for HumanEval's docstring as the authors' scripts do, which miss the ones in `'''`.
    SpaError for a HumanEval prompt that is not Python, where the anchor needs it to be, and for unbalanced tags.
    """
    check(name, problem.family)
    if name == "tagged":
        text, tagged = untag(problem.prompt, f"task {problem.task_id}")
        return replace(problem, prompt=text), tagged
    return problem, tuple(_stripped(problem.prompt, _spans(problem, name, double_quotes_only)))


def untag(text: str, name: str) -> tuple[str, tuple[Span, ...]]:
    """The text without its tags, and the spans that they enclosed. name: whose text it is, for errors."""
    spans: list[Span] = []
    opened: int | None = None
    removed = 0
    for tag in TAG.finditer(text):
        here = tag.start() - removed
        removed += len(tag.group())
        closing = bool(tag[1])
        if closing == (opened is None):
            raise SpaError(
                f"{name}: {tag.group()} at character {tag.start()} of the prompt is "
                f"{'not opened' if closing else 'inside another'}; write <anchor>text</anchor>, not nested"
            )
        if opened is not None:
            spans.append((opened, here))
        opened = None if closing else here
    if opened is not None:
        raise SpaError(f"{name}: the last <anchor> of the prompt is not closed; add </anchor>")
    text = TAG.sub("", text)
    return text, tuple(_stripped(text, spans))


def occurrences(text: str, anchored: Iterable[str], name: str) -> tuple[Span, ...]:
    """Everywhere that one of the anchored strings stands in the text, overlaps joined. name: whose text it is."""
    spans: list[Span] = []
    for string in anchored:
        found = [place.start() for place in re.finditer(f"(?={re.escape(string)})", text)]
        if not string.strip() or not found:
            raise SpaError(f"{name}: the anchor {string!r} is blank or does not stand in the prompt")
        spans += [(start, start + len(string)) for start in found]
    return tuple(_stripped(text, joined(spans)))


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same characters in sorted, disjoint spans."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start < found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _spans(problem: Problem, name: str, double_quotes_only: bool) -> list[Span]:
    if name == "none":
        return []
    if name == "prompt":
        return [(0, len(problem.prompt))]
    if name == "signature":
        return _signature(problem)
    if problem.family == "mbpp":
        docstring: Span | None = _module_docstring(problem)
    else:
        docstring = _double_quoted_docstring(problem) if double_quotes_only else _function_docstring(problem)
    if docstring is None:
        return []
    start, end = docstring
    first = FIRST_EXAMPLE[problem.family].search(problem.prompt[start:end])
    middle = start + first.start() if first else end
    if name == "keywords":
        return _keywords(problem.prompt, start, middle)
    if name in (ANCHOR, CONTROL):
        return [(start, middle)]
    return [{"examples": (middle, end), "description_and_tests": (start, end)}[name]]


def _stripped(text: str, spans: Iterable[Span]) -> Iterable[Span]:
    for start, end in spans:
        inner = text[start:end].strip()
        if inner:
            left = start + text[start:end].index(inner)
            yield left, left + len(inner)


def _keywords(text: str, start: int, end: int) -> list[Span]:
    """Words with at least three letters that are not STOP_WORDS.

    A word is a letter or underscore and the letters, digits and underscores after it, so identifiers are words too.
    """
    return [
        (start + word.start(), start + word.end())
        for word in WORD.finditer(text[start:end])
        if sum(map(str.isalpha, word.group())) >= 3 and word.group().lower() not in STOP_WORDS
    ]


def _module_docstring(problem: Problem) -> Span:
    """Inside the prompt's triple quotes; a prompt without them is all text."""
    match = MODULE_DOCSTRING.fullmatch(problem.prompt)
    return match.span("text") if match else (0, len(problem.prompt))


def _double_quoted_docstring(problem: Problem) -> Span | None:
    """Between the first two `\"\"\"` behind the last `def`, by the arithmetic of the authors' scripts.

    Without quotes `find` gives -1: what is found there lies between the function's first character and its last.
    Source: mask_humanEval_instruction in weighted_utils/weighted_text_utils.py, which cannot read a prompt that begins
    with `def`; here that counts as a line too.
    """
    text = "\n" + problem.prompt
    functions = [match.start() for match in re.finditer(r"\ndef\s", text)]
    if not functions:
        return None
    start = functions[-1] + text[functions[-1] :].find('"""') + 3
    length = len(text[start:][: text[start:].find('"""')])
    return start - 1, start - 1 + length


# The tree says only where a statement stands; every span is cut from the prompt itself.


def _function_docstring(problem: Problem) -> Span | None:
    """Inside the quotes of the first bare string in the last function's body."""
    function = _last_function(_parse(problem))
    for node in function.body if function else ():
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            start, end = _position(problem.prompt, node)
            quotes = OPENING_QUOTES.match(problem.prompt, start)
            assert quotes is not None  # a string begins with its quotes
            return quotes.end(), end - len(quotes[1])
    return None


def _signature(problem: Problem) -> list[Span]:
    tree = _parse(problem)
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    spans = [_position(problem.prompt, node) for node in imports]
    if function := _last_function(tree):
        start, _ = _position(problem.prompt, function)
        body, _ = _position(problem.prompt, function.body[0])
        spans.append((start, body))
    return sorted(spans)


def _parse(problem: Problem) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # HumanEval/51 and others have backslashes in their docstrings
            return ast.parse(problem.prompt)
    except (SyntaxError, ValueError) as error:
        raise SpaError(
            f"task {problem.task_id}: its prompt is not Python ({error}), so its docstring cannot be found; "
            "take anchor=prompt, tagged or none"
        ) from error


def _last_function(tree: ast.Module) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return functions[-1] if functions else None


def _position(text: str, node: ast.stmt) -> Span:
    """A statement's character offsets; the tree counts lines from one, and columns in UTF-8 bytes."""
    lines = [0, *(end.end() for end in LINE_END.finditer(text))]

    def offset(line: int, column: int) -> int:
        return lines[line - 1] + len(text[lines[line - 1] :].encode()[:column].decode())

    assert node.end_lineno is not None  # ast.parse
    assert node.end_col_offset is not None  # sets both
    return offset(node.lineno, node.col_offset), offset(node.end_lineno, node.end_col_offset)
