"""Problem and anchor spans -> `PromptPair`: the rendered prompt, tokenized with and without its anchored text.

A template is data in `conf/templates/`. The chat template is rendered once around placeholders, so a prompt is exactly
what stands in its frame, and spans move by a constant.
"""

import hashlib
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from types import MappingProxyType
from typing import Any, Self
from unittest.mock import patch

import jinja2
import yaml

from spa.config import CONF
from spa.errors import SpaError
from spa.records import Problem, PromptPair, Span
from spa.tasks import masking
from spa.tasks.masking import Content, Mask, moved, replace_spans, resolve

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
    system: str = ""  # what stands before the conversation, where the template says so itself
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
class Frame:
    """What a template writes around the contents of a prompt: one piece more than there are contents."""

    pieces: tuple[str, ...]

    def fill(self, contents: Sequence[str]) -> str:
        """The whole text."""
        inner = zip(contents, self.pieces[1:], strict=True)
        return self.pieces[0] + "".join(content + piece for content, piece in inner)

    def starts(self, contents: Sequence[str]) -> list[int]:
        """Where each content begins in the whole text."""
        lengths = [len(piece) + len(content) for piece, content in zip(self.pieces, ["", *contents], strict=True)]
        return list(itertools.accumulate(lengths))[:-1]


BARE = Frame(("", ""))  # no chat template


@dataclass(frozen=True)
class Renderer:
    """A template bound to a tokenizer, a mask and a benchmark family."""

    tokenizer: Any
    mask: Mask
    strip: bool
    wording: tuple[str, str]  # before and behind the problem in the user's turn
    turn: Frame  # around the user's turn

    def __call__(self, problem: Problem, spans: Sequence[Span]) -> PromptPair:
        """Render and tokenize one problem. spans: sorted, disjoint, in `problem.prompt`."""
        return self.pair(problem.task_id, problem.prompt, spans)

    def pair(self, task_id: str, problem_text: str, spans: Sequence[Span]) -> PromptPair:
        """Render and tokenize any text. spans: sorted, disjoint, in `problem_text`, not in blanks at its ends."""
        text = problem_text.strip() if self.strip else problem_text
        before, behind = self.wording
        content = Content(before + text + behind, moved(spans, len(before) - problem_text.index(text)))
        return self.render(task_id, self.turn, [content])

    def elsewhere(self, problem: Problem, spans: Sequence[Span]) -> PromptPair:
        """Render one problem with other tokens anchored than those of the spans, as many, drawn by the task's id.

        They may be any of the rendered prompt, the template's too, but special ones: one stretch where one is long
        enough, else a stretch that goes on behind the spans, else all there are; `missing_tokens` says how many fewer.
        """
        pair = self(problem, spans)
        left_out = set(pair.masked_positions)
        special = {token for token, added in self.tokenizer.added_tokens_decoder.items() if added.special}
        special.update(self.tokenizer.all_special_ids)
        free = [at for at, token in enumerate(pair.original_ids) if at not in left_out and token not in special]
        _, offsets = encode(self.tokenizer, pair.prompt_text)
        found = stretch(free, len(left_out), offsets, random.Random(problem.task_id).random())
        control = self.render(pair.task_id, BARE, [Content(pair.prompt_text, found)])
        return replace(control, missing_tokens=len(left_out) - len(control.masked_positions))

    def render(self, task_id: str, frame: Frame, contents: Sequence[Content]) -> PromptPair:
        """Put the contents of one prompt into their frame, and tokenize it with and without what is anchored."""
        texts = [content.text for content in contents]
        prompt_text = frame.fill(texts)
        spans = [moved(content.spans, at) for content, at in zip(contents, frame.starts(texts), strict=True)]
        anchor_spans = tuple(itertools.chain.from_iterable(spans))
        original, offsets = encode(self.tokenizer, prompt_text)
        positions = overlapping(offsets, anchor_spans)
        masked, hidden = (original, []) if not anchor_spans else self._second(frame, contents, original, positions)
        return PromptPair(
            task_id=task_id,
            prompt_text=prompt_text,
            anchor_spans=anchor_spans,
            original_ids=tuple(original),
            masked_ids=tuple(masked),
            masked_positions=tuple(positions),
            hidden=tuple(hidden),
            text_sees_hidden=self.mask.name == "package" and bool(hidden),
        )

    def _second(
        self, frame: Frame, contents: Sequence[Content], original: list[int], positions: list[int]
    ) -> tuple[list[int], list[int]]:
        """Token ids of the second prompt, and the positions of those to which nothing attends."""
        mask = self.mask
        if mask.name == "attention":
            return original, positions
        if mask.name == "per_token":
            assert mask.token_id is not None
            return masking.replaced(original, positions, mask.token_id), []
        if mask.name == "last_token" and self.turn == BARE:
            return original[-1:], []
        if mask.name in ("last_token", "text"):
            text = self.turn.fill([mask.text or ""])
        elif mask.name == "package":
            text = frame.fill([masking.as_the_package_does(content, mask.token or "") for content in contents])
        else:
            text = frame.fill([replace_spans(content.text, content.spans, mask.token or "") for content in contents])
        ids, _ = encode(self.tokenizer, text)
        hides = mask.name == "package"
        return ids, masking.hidden_by_the_package(self.tokenizer, ids, mask.token or "") if hides else []


def renderer(
    template: Template,
    tokenizer: Any,
    family: str,
    mask: str,
    instead: str | None,
    arguments: Mapping[str, Any] = MappingProxyType({}),
) -> Renderer:
    """Bind a template. instead: the mask token, or the text of mask=text; `arguments` are for the chat template.

    Raises SpaError where tokenizer and template or mask token do not fit.
    """
    if not tokenizer.is_fast:
        raise SpaError(f"{type(tokenizer).__name__} gives no character offsets; SPA needs a fast tokenizer")
    before, *rest = template.user.get(family, "{problem}").format(problem=PLACEHOLDER).split(PLACEHOLDER)
    if len(rest) != 1:
        raise SpaError(f"template={template.name} must contain the problem exactly once, not {len(rest)} times")
    turn = chat_frame(template, tokenizer, ["user"], arguments) if template.chat else BARE
    return Renderer(tokenizer, resolve(mask, tokenizer, instead), bool(template.user), (before, rest[0]), turn)


def chat_frame(
    template: Template, tokenizer: Any, roles: Sequence[str], arguments: Mapping[str, Any] = MappingProxyType({})
) -> Frame:
    """What the chat template writes around messages of these roles, up to where the answer goes on.

    Raises SpaError where there is no chat template, and where it fails or does not show each message once.
    """
    if not (template.chat_template or tokenizer.chat_template):
        raise SpaError(
            f"template={template.name} needs a chat template and the tokenizer has none; for a base model use "
            "model.kind=base template=completion"
        )
    messages = [{"role": "system", "content": template.system}] if template.system else []
    messages += [{"role": role, "content": PLACEHOLDER} for role in roles]
    if template.response:
        messages.append({"role": "assistant", "content": template.response + BEHIND_RESPONSE})
    pieces = _in_chat(template, tokenizer, messages, arguments).split(BEHIND_RESPONSE)[0].split(PLACEHOLDER)
    if len(pieces) != len(roles) + 1:
        what = "the problem exactly once" if len(roles) == 1 else f"its {len(roles)} messages exactly once each"
        raise SpaError(f"template={template.name} must contain {what}, not {len(pieces) - 1} times")
    return Frame(tuple(pieces))


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


def stretch(free: Sequence[int], n: int, offsets: Sequence[Span], drawn: float) -> tuple[Span, ...]:
    """The spans of n neighbours among the free positions, or of all of them where they are fewer.

    Neighbours without a gap where there are such; drawn: which, from 0 up to 1. Of a character in several tokens all
    are taken where that is possible, so that the spans cover these tokens and no other.
    """
    windows = [free[at : at + n] for at in range(max(len(free) - n, 0) + 1)] if free and n else []
    windows = [window for window in windows if window[-1] - window[0] == len(window) - 1] or windows
    first = int(drawn * len(windows))
    choices = [_covering(window, offsets) for window in windows[first:] + windows[:first]]
    exact = (spans for spans in choices if len(overlapping(offsets, spans)) == min(n, len(free)))
    return next(exact, choices[0] if choices else ())


def _covering(positions: Sequence[int], offsets: Sequence[Span]) -> tuple[Span, ...]:
    """A span for each run of positions."""
    ends = [at for at, (one, other) in enumerate(itertools.pairwise(positions), 1) if other != one + 1]
    runs = [positions[start:end] for start, end in itertools.pairwise([0, *ends, len(positions)])]
    return tuple((offsets[run[0]][0], offsets[run[-1]][1]) for run in runs)


def overlapping(offsets: Sequence[Span], spans: Sequence[Span]) -> list[int]:
    """Positions of the tokens that overlap a span.

    An empty range inside a span counts: byte-level tokenizers trim offsets, and a token of blanks keeps nothing.
    """
    return [
        position
        for position, (first, last) in enumerate(offsets)
        if any(first < end and last > start for start, end in spans)
    ]
