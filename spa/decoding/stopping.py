"""When a text is finished, and the text itself, token by token.

Both are immutable: a lane that splits shares its state with its children. A step costs time in the length of the
current line, never of the text so far.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

Detokenize = Callable[[Sequence[int]], str]

CONTEXT_TOKENS = 4  # prompt tokens decoded along with a text: some tokenizers strip the first token's space


def detokenizer(tokenizer: Any) -> Detokenize:
    """A transformers tokenizer's way back to text, special tokens and all blanks included."""

    def detokenize(ids: Sequence[int]) -> str:
        text: str = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    return detokenize


@dataclass(frozen=True)
class TextStream:
    """Turns tokens into text as they come, holding back incomplete UTF-8.

    `window` holds the tokens whose text may still change together with the next token; its first `settled` tokens are
    context that was given out already.
    """

    detokenize: Detokenize = field(repr=False)
    window: tuple[int, ...]
    settled: int

    @classmethod
    def after(cls, prompt_ids: Sequence[int], detokenize: Detokenize) -> Self:
        context = _context(prompt_ids, detokenize)
        return cls(detokenize, context, len(context))

    def push(self, token: int) -> tuple[Self, str]:
        """Add a token; returns the new stream and the text that became certain."""
        window = (*self.window, token)
        before = self.detokenize(window[: self.settled])
        text = self.detokenize(window)
        if len(text) <= len(before) or text.endswith("\N{REPLACEMENT CHARACTER}"):
            return replace(self, window=window), ""
        return replace(self, window=window[self.settled :], settled=len(window) - self.settled), text[len(before) :]


def text_after(prompt_ids: Sequence[int], completion_ids: Sequence[int], detokenize: Detokenize) -> str:
    """The text of a finished completion, spaces at its beginning included."""
    context = _context(prompt_ids, detokenize)
    return detokenize([*context, *completion_ids])[len(detokenize(context)) :]


def _context(prompt_ids: Sequence[int], detokenize: Detokenize) -> tuple[int, ...]:
    """The prompt's last tokens, from the beginning of a character.

    Llama's tokenizer spells rare characters in bytes, and decodes a run of bytes that begins inside one as garbage,
    the newline of a completion behind it included. A character has at most four bytes.
    """
    contexts = [tuple(prompt_ids[-length:]) for length in range(CONTEXT_TOKENS, CONTEXT_TOKENS + 4)]
    whole = (context for context in contexts if "\N{REPLACEMENT CHARACTER}" not in detokenize(context))
    return next(whole, contexts[0])


class StopRule(Protocol):
    """Reads a text piece by piece and says where it ends."""

    def feed(self, piece: str) -> tuple["StopRule", int | None]:
        """The rule after this piece, and the number of characters of the whole text to keep once it has ended."""
        ...


@dataclass(frozen=True)
class NeverStop:
    """Ends only with an EOS token or at the length limit."""

    def feed(self, piece: str) -> tuple["NeverStop", int | None]:
        return self, None


@dataclass(frozen=True)
class StopStrings:
    """Stops before the one of several strings that is complete first; of those that end together, the longest."""

    strings: tuple[str, ...]
    tail: str = ""  # where a string may have begun
    offset: int = 0  # characters before the tail

    def feed(self, piece: str) -> tuple["StopStrings", int | None]:
        text = self.tail + piece
        found = [(start + len(string), start) for string in self.strings if (start := text.find(string)) >= 0]
        if found:
            return self, self.offset + min(found)[1]
        kept = min(len(text), max(map(len, self.strings)) - 1)
        return replace(self, tail=text[len(text) - kept :], offset=self.offset + len(text) - kept), None


FENCE = re.compile(r" {0,3}```")
PYTHON_FENCE = re.compile(r" {0,3}```[ \t]*(python|python3|py)?[ \t]*\r?", re.IGNORECASE)


@dataclass(frozen=True)
class ClosedBlock:
    """Stops behind the fence that closes the first Python code block (one marked as Python, or not marked at all)."""

    inside: str | None = None  # None, "python" or "other"
    line: str = ""
    offset: int = 0  # characters of the finished lines

    def feed(self, piece: str) -> tuple["ClosedBlock", int | None]:
        inside, offset = self.inside, self.offset
        *finished, line = (self.line + piece).split("\n")
        for number, text in enumerate([*finished, line]):
            fence = FENCE.match(text)
            if fence and inside == "python":
                return self, offset + fence.end()
            if number < len(finished):
                if fence and inside is None:
                    inside = "python" if PYTHON_FENCE.fullmatch(text) else "other"
                elif fence:
                    inside = None
                offset += len(text) + 1
        return ClosedBlock(inside, line, offset), None


@dataclass(frozen=True)
class MarkedBlock:
    """Stops behind the backticks that close the first block marked ```` ```python ````, wherever in a line both stand.

    Unmarked blocks and other spellings count as text. Where that first block is blank, nothing ever stops.
    Source: the authors' has_complete_python_function_generation_deepseek.
    """

    opened: bool = False
    filled: bool = False
    tail: str = ""  # the end of the text, which may be the beginning of the mark that comes next
    length: int = 0

    def feed(self, piece: str) -> tuple[StopRule, int | None]:
        opened, text, length = self.opened, self.tail + piece, self.length + len(piece)
        if not opened:
            _, mark, rest = text.partition("```python")
            if not mark:
                return MarkedBlock(tail=text[-8:], length=length), None
            opened, text = True, rest
        code, mark, rest = text.partition("```")
        filled = self.filled or bool((code if mark else text[:-2]).strip())
        if not mark:
            return MarkedBlock(opened, filled, text[-2:], length), None
        return (self, length - len(rest)) if filled else (NeverStop(), None)


DEFINITION = re.compile(r"(?:async\s+def|def|class)\s+(\w+)")
INLINE_BODY = re.compile(r".*\)\s*(->[^:]*)?:\s*[^\s#]")


@dataclass(frozen=True)
class TopLevelLine:
    """Stops before the first top-level line that follows the body of the wanted function; that line is not kept.

    entry_point: what the text has to define first (MBPP); helpers, imports and the like before it end nothing. None
    where the prompt ends inside the function (HumanEval), so that the text begins with its body. Blank lines and
    closing brackets at the margin end nothing.
    """

    entry_point: str | None
    in_function: bool = False
    has_body: bool = False
    line: str = ""
    offset: int = 0

    @classmethod
    def of(cls, entry_point: str | None) -> Self:
        return cls(entry_point, in_function=entry_point is None)

    def feed(self, piece: str) -> tuple["TopLevelLine", int | None]:
        in_function, has_body, offset = self.in_function, self.has_body, self.offset
        *finished, line = (self.line + piece).split("\n")
        for number, text in enumerate([*finished, line]):
            at_margin = _at_margin(text)
            if at_margin and has_body and text[0] not in ")]}":
                return self, offset
            if number < len(finished):
                defined = DEFINITION.match(text) if at_margin else None
                if defined:
                    in_function = self.entry_point in (None, defined[1])
                    has_body = in_function and bool(INLINE_BODY.match(text))
                elif in_function and text.strip() and not at_margin:
                    has_body = True
                offset += len(text) + 1
        return TopLevelLine(self.entry_point, in_function, has_body, line, offset), None


@dataclass(frozen=True)
class TopLevelCount:
    """Stops before a top-level line by the number of them, whatever they hold.

    The first one ends the text; where the prompt has no `def` line, as on MBPP, but the text has one, the second does.
    Decided at the end of each piece, so a text that begins with `import` ends at once, and `def` cut in two would too.
    Source: the authors' has_complete_python_function_generation.
    """

    prompt_has_def: bool
    line: str  # the unfinished line, beginning in the prompt
    offset: int  # where that line begins, in characters of the text
    has_def: bool = False
    n_lines: int = 0

    @classmethod
    def after(cls, prompt: str) -> Self:
        *_, last = lines = prompt.split("\n")
        return cls(any(map(_is_def, lines)), last, -len(last))

    def feed(self, piece: str) -> tuple["TopLevelCount", int | None]:
        has_def, n_lines, offset = self.has_def, self.n_lines - _at_margin(self.line), self.offset
        latest = 0
        *finished, line = (self.line + piece).split("\n")
        for number, text in enumerate([*finished, line]):
            has_def = has_def or _is_def(text)
            if _at_margin(text):
                n_lines, latest = n_lines + 1, max(offset, 0)
            if number < len(finished):
                offset += len(text) + 1
        allowed = 1 if has_def and not self.prompt_has_def else 0
        rule = TopLevelCount(self.prompt_has_def, line, offset, has_def, n_lines)
        return rule, latest if n_lines > allowed else None


@dataclass(frozen=True)
class LineLimit:
    """Stops behind the line break that is one more than `max_lines`, or the last of `max_newlines` in a row."""

    max_lines: int | None
    max_newlines: int | None
    n_lines: int = 0
    n_newlines: int = 0  # in a row; the prompt's last ones count
    length: int = 0

    def feed(self, piece: str) -> tuple["LineLimit", int | None]:
        n_lines, n_newlines = self.n_lines, self.n_newlines
        for length, character in enumerate(piece, self.length + 1):
            is_newline = character == "\n"
            n_lines, n_newlines = n_lines + is_newline, n_newlines + 1 if is_newline else 0
            too_many = self.max_lines is not None and n_lines > self.max_lines
            if too_many or (self.max_newlines is not None and n_newlines >= self.max_newlines):
                return self, length
        return replace(self, n_lines=n_lines, n_newlines=n_newlines, length=self.length + len(piece)), None


@dataclass(frozen=True)
class FirstOf:
    """Stops where the first of several rules does."""

    rules: tuple[StopRule, ...]

    def feed(self, piece: str) -> tuple["FirstOf", int | None]:
        fed = [rule.feed(piece) for rule in self.rules]
        return FirstOf(tuple(rule for rule, _ in fed)), min((cut for _, cut in fed if cut is not None), default=None)


@dataclass(frozen=True)
class KeepPiece:
    """Stops when another rule does, but keeps all of the text so far: the token that ended it stays in."""

    rule: StopRule
    length: int = 0

    def feed(self, piece: str) -> tuple["KeepPiece", int | None]:
        rule, cut = self.rule.feed(piece)
        length = self.length + len(piece)
        return KeepPiece(rule, length), None if cut is None else length


def _at_margin(line: str) -> bool:
    return bool(line) and not line[0].isspace()


def _is_def(line: str) -> bool:
    """As the authors' scripts see it: `default = 1` is one too."""
    return line.strip().startswith("def")
