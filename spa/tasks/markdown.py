"""The code blocks of an answer, as CommonMark reads it."""

import re
from dataclasses import dataclass

from markdown_it import MarkdownIt

INVISIBLE = re.compile("^[\ufeff\u200b\u200c\u200d\u2060]+", re.MULTILINE)
THOUGHT = re.compile(r"^.*?</think>", re.DOTALL)
UNFINISHED_THOUGHT = re.compile(r"<think>.*", re.DOTALL)
PYTHON = re.compile(r"[{.\s]*(python|py)[\d.]*\b|\s*$", re.IGNORECASE)
CLOSING = re.compile(r"[\s>]*(`{3,}|~{3,})\s*")
PARSER = MarkdownIt("commonmark")


@dataclass(frozen=True)
class Block:
    """A fenced block of code."""

    code: str
    is_python: bool  # marked as Python, or not marked at all
    is_closed: bool


def readable(answer: str) -> str:
    """An answer without what its model thought before it, without invisible characters, in lines of one kind."""
    text = answer.replace("\r\n", "\n").replace("\r", "\n")
    text = UNFINISHED_THOUGHT.sub("", THOUGHT.sub("", text))
    return INVISIBLE.sub("", text)


def blocks(text: str) -> list[Block]:
    """All blocks in their order; of one that wraps a whole answer (marked `markdown`), those within it."""
    found: list[Block] = []
    lines = text.split("\n")
    for token in PARSER.parse(text):
        if token.type != "fence" or token.map is None:
            continue
        inner = blocks(token.content) if token.info.strip().lower() in ("markdown", "md") else []
        first, end = token.map
        closed = end - 1 > first and end <= len(lines) and CLOSING.fullmatch(lines[end - 1]) is not None
        code = token.content.removesuffix("\n")
        if token.level == 0:
            code = _as_indented(lines[first], lines[first + 1 : end - closed], code)
        found += inner or [Block(code, PYTHON.match(token.info) is not None, closed)]
    return found


def _as_indented(opening: str, lines: list[str], content: str) -> str:
    """The content without the indentation of its fence, or as it stands where only the fence is indented."""
    depth = len(opening) - len(opening.lstrip(" "))
    return "\n".join(lines) if any(line.strip() and line[:depth].strip() for line in lines) else content
