"""Prompts of the library's users, a string or chat messages -> roles, and contents with their anchored spans.

[{"role": "system", "content": "Answer in Python."},
 {"role": "user", "content": "Sort a list, <anchor>in place</anchor>.", "anchors": ["Sort"]}]
"""

from collections.abc import Mapping, Sequence
from typing import Any

from spa.errors import SpaError
from spa.tasks import anchors
from spa.tasks.masking import Content

FORM = '{"role": ..., "content": ..., "anchors": [...]}, the anchors where there are any'


def read(
    prompt: str | Sequence[Mapping[str, Any]], anchored: Sequence[str], name: str
) -> tuple[list[str], list[Content]]:
    """The roles of the messages, none for a string, and each content without its tags.

    anchored: strings to anchor wherever they stand, beside the tagged ones; in messages, in any of them. name: whose
    prompt it is, for errors. Raises SpaError for what is no message, and for an anchor that occurs nowhere.
    """
    if isinstance(prompt, str):
        return [], [_content(prompt, anchored, name)]
    roles, texts, own = _checked(prompt, name)
    contents = [
        _content(text, strings, f"{name}[{at}]") for at, (text, strings) in enumerate(zip(texts, own, strict=True))
    ]
    found = [[string for string in anchored if string in content.text] for content in contents]
    for string in anchored:
        if not any(string in strings for strings in found):
            raise SpaError(f"{name}: the anchor {string!r} stands in none of the messages")
    return roles, [_with(content, strings, name) for content, strings in zip(contents, found, strict=True)]


def _checked(prompt: Sequence[Mapping[str, Any]], name: str) -> tuple[list[str], list[str], list[list[str]]]:
    """Roles, contents and anchors of a list of messages."""
    for at, message in enumerate(prompt):
        strings = message.get("anchors", [])
        texts = [message.get("role"), message.get("content"), *(strings if isinstance(strings, list) else [None])]
        if not all(isinstance(text, str) for text in texts) or message.keys() - {"role", "content", "anchors"}:
            raise SpaError(f"{name}[{at}] is no message {FORM}")
    roles = [message["role"] for message in prompt]
    if "user" not in roles:
        raise SpaError(f"{name} has no message of the user; add one with role user")
    return roles, [message["content"] for message in prompt], [message.get("anchors", []) for message in prompt]


def _content(text: str, anchored: Sequence[str], name: str) -> Content:
    return _with(Content(*anchors.untag(text, name)), anchored, name)


def _with(content: Content, anchored: Sequence[str], name: str) -> Content:
    """The content with more of it anchored."""
    spans = [*content.spans, *anchors.occurrences(content.text, anchored, name)]
    return Content(content.text, tuple(anchors.joined(spans)))
