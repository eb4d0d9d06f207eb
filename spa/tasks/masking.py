"""The second prompt: what the masked branch reads in the place of what is anchored (`conf/mask`)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spa.config import MASKS, OF_A_TOKEN
from spa.errors import SpaError
from spa.records import Span

PACKAGES_TOKEN = "MASKTOKEN"  # what `anchoring` writes where the tokenizer has no mask token


@dataclass(frozen=True)
class Mask:
    """How the second prompt departs from the first; what its kind does not need is None."""

    name: str  # of config.MASKS
    token: str | None = None
    token_id: int | None = None
    text: str | None = None


@dataclass(frozen=True)
class Content:
    """One message, or a whole prompt, and its anchored spans: sorted, disjoint."""

    text: str
    spans: tuple[Span, ...]


def resolve(mask: str, tokenizer: Any, instead: str | None) -> Mask:
    """Bind a mask to a tokenizer. instead: the mask token, or the text of mask=text.

    Raises SpaError for an unknown mask, and for a mask token that the tokenizer does not have.
    """
    if mask not in MASKS:
        raise SpaError(f"mask={mask} is unknown; choose one of: {', '.join(MASKS)}")
    if mask in OF_A_TOKEN:
        return Mask(mask, *resolve_mask_token(tokenizer, instead))
    if mask == "package":
        return Mask(mask, tokenizer.mask_token or PACKAGES_TOKEN)
    if mask == "text" and not (instead and instead.strip()):
        raise SpaError("mask=text needs the text that the second prompt consists of: mask.text=...")
    return Mask(mask, text=instead if mask == "text" else None)


def resolve_mask_token(tokenizer: Any, mask_token: str | None) -> tuple[str, int]:
    """The mask token and its id; without a name the tokenizer's mask, unk or pad token, in that order."""
    token = mask_token or tokenizer.mask_token or tokenizer.unk_token or tokenizer.pad_token
    if token is None:
        raise SpaError("the tokenizer has no mask, unk or pad token; name one of its tokens: mask.token=...")
    ids = tokenizer.encode(token, add_special_tokens=False)
    if len(ids) != 1 or (ids == [tokenizer.unk_token_id] and token != tokenizer.unk_token):
        raise SpaError(f"mask token {token!r} is not a token of this tokenizer; name one that is: mask.token=...")
    return token, ids[0]


def moved(spans: Sequence[Span], by: int) -> tuple[Span, ...]:
    """The same spans in a text that has `by` characters more before them."""
    return tuple((start + by, end + by) for start, end in spans)


def replaced(ids: Sequence[int], positions: Sequence[int], token_id: int) -> list[int]:
    """The ids with one mask token at each of the positions."""
    masked = list(ids)
    for position in positions:
        masked[position] = token_id
    return masked


def replace_spans(text: str, spans: Sequence[Span], replacement: str) -> str:
    """`text` with each span replaced."""
    pieces, end = [], 0
    for start, stop in spans:
        pieces += [text[end:start], replacement]
        end = stop
    return "".join([*pieces, text[end:]])


def as_the_package_does(content: Content, token: str) -> str:
    """The text with its anchored strings replaced wherever they stand, and masks that only blanks part made one.

    The authors' package, `format_spa_input` of `anchoring` 0.1.0.
    """
    strings = sorted({content.text[start:end] for start, end in content.spans}, key=len, reverse=True)
    if not strings:
        return content.text
    text = re.sub("|".join(map(re.escape, strings)), lambda _: token, content.text)
    mask = re.escape(token)
    return re.sub(rf"{mask}(?:\s+{mask})+", lambda _: token, text)


def hidden_by_the_package(tokenizer: Any, ids: Sequence[int], token: str) -> list[int]:
    """Positions that the authors' package hides from its first step: those whose decoded text looks like the mask.

    `create_masked_attention` of `anchoring` 0.1.0: the mask's tokens in a row, each of them wherever it stands between
    blanks, and two or three tokens that hold a mask of a single token between them; where there is none of these, all
    that has a piece of three letters in common with it.
    """
    texts = [tokenizer.decode([token_id]) for token_id in ids]
    parts = [tokenizer.decode([token_id]) for token_id in tokenizer.encode(token, add_special_tokens=False)]
    found = {at for at, text in enumerate(texts) if text.strip() in parts}
    sizes = [2, 3] if len(parts) == 1 and len(parts[0]) > 2 else []
    for size in [len(parts), *sizes]:
        for start in range(len(texts) - size + 1):
            stretch = texts[start : start + size]
            if stretch == parts or (size in sizes and token in "".join(text.strip() for text in stretch)):
                found.update(range(start, start + size))
    if not found:
        found = {at for at, text in enumerate(texts) if token in text or (len(t := text.strip()) > 2 and t in token)}
    return sorted(found)
