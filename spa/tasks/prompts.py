"""Problem and anchor spans -> `PromptPair`: the rendered prompt, tokenized with and without its anchored text.

A template is data in `conf/templates/`. The chat template is rendered once around a placeholder, so a prompt is exactly
prefix + problem + suffix and spans move by a constant.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from types import MappingProxyType
from typing import Any, Self
from unittest.mock import patch

import jinja2
import yaml

from spa.config import CONF, MASKS, OF_A_TOKEN
from spa.errors import SpaError
from spa.records import Problem, PromptPair, Span

PLACEHOLDER = "\ue000problem\ue000"
BEHIND_RESPONSE = "\ue000behind\ue000"


class FixedDay(datetime):
    """The clock of templates that ask for the date: a prompt may not depend on the day of its run."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """The day that Llama 3's templates write where they have no clock."""
        return cls(2024, 7, 26, tzinfo=tz)


@dataclass(frozen=True)
class Template:
    """How a problem becomes a prompt."""

    name: str
    chat: bool
    sha: str  # of the template's file
    origin: str = ""
    user: dict[str, str] = field(default_factory=dict)  # by benchmark family; "{problem}" marks the place
    chat_template: str | None = None  # Jinja; None: the tokenizer's own
    response: str = ""  # how the answer begins; it belongs to the prompt, and to what the program is taken from
    stop: dict[str, list[str]] = field(default_factory=dict)  # by family; strings that end a text; none: the usual rule


def load_template(name: str, kind: str = "chat") -> Template:
    """Read conf/templates/<name>.yaml; for a base model what it has under `base` goes before the rest."""
    content = (CONF / "templates" / f"{name}.yaml").read_bytes()
    fields = yaml.safe_load(content)
    base = fields.pop("base", {})
    if kind == "base":
        fields |= base
    return Template(name=name, sha=hashlib.sha256(content).hexdigest(), **fields)


@dataclass(frozen=True)
class Renderer:
    """A template bound to a tokenizer, a mask and a benchmark family."""

    tokenizer: Any
    mask: str  # of config.MASKS
    mask_token: str | None  # None where none is put into the place of tokens
    mask_id: int | None
    strip: bool
    prefix: str
    suffix: str

    def __call__(self, problem: Problem, spans: Sequence[Span]) -> PromptPair:
        """Render and tokenize one problem. spans: sorted, disjoint, in `problem.prompt`."""
        return self.pair(problem.task_id, problem.prompt, spans)

    def pair(self, task_id: str, problem_text: str, spans: Sequence[Span]) -> PromptPair:
        """Render and tokenize any text. spans: sorted, disjoint, in `problem_text`, not in blanks at its ends."""
        text = problem_text.strip() if self.strip else problem_text
        shift = problem_text.index(text)
        spans = [(start - shift, end - shift) for start, end in spans]
        prompt_text = self.prefix + text + self.suffix
        anchor_spans = tuple((len(self.prefix) + start, len(self.prefix) + end) for start, end in spans)
        original, offsets = encode(self.tokenizer, prompt_text)
        positions = overlapping(offsets, anchor_spans)
        masked = list(original)
        if self.mask in ("collapsed", "removed"):
            instead = replace_spans(text, spans, self.mask_token or "")
            masked, _ = encode(self.tokenizer, self.prefix + instead + self.suffix)
        elif self.mask == "last_token" and spans:
            masked = original[-1:]
        elif self.mask == "per_token":
            assert self.mask_id is not None
            for position in positions:
                masked[position] = self.mask_id
        return PromptPair(
            task_id=task_id,
            prompt_text=prompt_text,
            anchor_spans=anchor_spans,
            original_ids=tuple(original),
            masked_ids=tuple(masked),
            masked_positions=tuple(positions),
            hidden=tuple(positions) if self.mask == "attention" else (),
        )


def renderer(
    template: Template,
    tokenizer: Any,
    family: str,
    mask: str,
    mask_token: str | None,
    arguments: Mapping[str, Any] = MappingProxyType({}),
) -> Renderer:
    """Bind a template; `arguments` are for the chat template.

    Raises SpaError where tokenizer and template or mask token do not fit.
    """
    if not tokenizer.is_fast:
        raise SpaError(f"{type(tokenizer).__name__} gives no character offsets; SPA needs a fast tokenizer")
    if mask not in MASKS:
        raise SpaError(f"mask={mask} is unknown; choose one of: {', '.join(MASKS)}")
    token, token_id = resolve_mask_token(tokenizer, mask_token) if mask in OF_A_TOKEN else (None, None)
    rendered = template.user.get(family, "{problem}").format(problem=PLACEHOLDER)
    if template.chat:
        if not (template.chat_template or tokenizer.chat_template):
            raise SpaError(
                f"template={template.name} needs a chat template and the tokenizer has none; for a base model use "
                "model.kind=base template=completion"
            )
        messages = [{"role": "user", "content": rendered}]
        if template.response:
            messages.append({"role": "assistant", "content": template.response + BEHIND_RESPONSE})
        rendered = _in_chat(template, tokenizer, messages, arguments).split(BEHIND_RESPONSE)[0]
    prefix, *rest = rendered.split(PLACEHOLDER)
    if len(rest) != 1:
        raise SpaError(f"template={template.name} must contain the problem exactly once, not {len(rest)} times")
    return Renderer(tokenizer, mask, token, token_id, bool(template.user), prefix, rest[0])


def _in_chat(
    template: Template, tokenizer: Any, messages: Sequence[Mapping[str, str]], arguments: Mapping[str, Any]
) -> str:
    """The messages as the chat template writes them, whatever day it is."""
    try:
        with patch("transformers.utils.chat_template_utils.datetime", FixedDay):  # templates get no other clock
            rendered: str = tokenizer.apply_chat_template(
                messages,
                chat_template=template.chat_template,
                tokenize=False,
                add_generation_prompt=not template.response,
                **arguments,
            )
    except (jinja2.TemplateError, AttributeError, LookupError, TypeError, ValueError) as error:
        line = str(error).strip().split("\n")[0]
        raise SpaError(
            f"the chat template fails ({type(error).__name__}: {line}); set model.template_arguments or a template "
            "with a chat_template of its own"
        ) from None
    return rendered


def resolve_mask_token(tokenizer: Any, mask_token: str | None) -> tuple[str, int]:
    """The mask token and its id; without a name the tokenizer's mask, unk or pad token, in that order."""
    token = mask_token or tokenizer.mask_token or tokenizer.unk_token or tokenizer.pad_token
    if token is None:
        raise SpaError("the tokenizer has no mask, unk or pad token; name one of its tokens: mask.token=...")
    ids = tokenizer.encode(token, add_special_tokens=False)
    if len(ids) != 1 or (ids == [tokenizer.unk_token_id] and token != tokenizer.unk_token):
        raise SpaError(f"mask token {token!r} is not a token of this tokenizer; name one that is: mask.token=...")
    return token, ids[0]


def encode(tokenizer: Any, text: str) -> tuple[list[int], list[Span]]:
    """Token ids and their character offsets, with exactly the BOS that the tokenizer or the text asks for."""
    encoding = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = list(encoding["input_ids"]), [(start, end) for start, end in encoding["offset_mapping"]]
    bos = tokenizer.bos_token_id
    if bos is not None and tokenizer("")["input_ids"][:1] == [bos] and ids[:1] != [bos]:
        ids, offsets = [bos, *ids], [(0, 0), *offsets]
    if bos is not None and ids[:2] == [bos, bos]:
        raise SpaError(f"the prompt begins with two BOS tokens ({tokenizer.bos_token}); take one out of the template")
    return ids, offsets


def overlapping(offsets: Sequence[Span], spans: Sequence[Span]) -> list[int]:
    """Positions of the tokens that overlap a span.

    An empty range inside a span counts: byte-level tokenizers trim offsets, and a token of blanks keeps nothing.
    """
    return [
        position
        for position, (first, last) in enumerate(offsets)
        if any(first < end and last > start for start, end in spans)
    ]


def replace_spans(text: str, spans: Sequence[Span], replacement: str) -> str:
    """`text` with each span replaced."""
    pieces, end = [], 0
    for start, stop in spans:
        pieces += [text[end:start], replacement]
        end = stop
    return "".join([*pieces, text[end:]])
