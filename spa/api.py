"""SPA for a model of your own: any transformers causal LM, its tokenizer, and prompts with anchored text."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spa.config import load_model_config
from spa.decoding.engine import Engine
from spa.decoding.lanes import Request, context_room
from spa.decoding.stopping import NeverStop, StopRule, StopStrings, detokenizer
from spa.errors import SpaError
from spa.method import SPA, Method
from spa.models import checkpoints
from spa.models.checkpoints import check, context_length, eos_ids, n_tokens
from spa.omega import PLAIN, bounds, parse
from spa.records import PromptPair, Span
from spa.tasks import anchors as anchoring
from spa.tasks.prompts import Template, renderer

WHOLE_PROMPT = {"own": "{problem}"}


@dataclass(frozen=True)
class Text:
    """A greedy text, and the omegas that lead to it: one value, or the half-open [lo, hi), closed at the set's end."""

    omega_lo: float
    omega_hi: float
    text: str  # without the prompt, up to where a stop rule cut it
    finish_reason: str  # "eos", "stop" or "length"
    token_ids: list[int]  # all that were chosen, without the EOS


def load_model(name: str) -> tuple[Any, Any]:
    """A model of `conf/model` by its name there, on this machine's device and in its dtype, and its tokenizer.

    `smollm2_135m` comes from a package and needs no hub. Raises SpaError where there is no such model.
    """
    config = load_model_config(name)
    checkpoint = checkpoints.identify(config)
    tokenizer = checkpoints.load_tokenizer(checkpoint, config.trust_remote_code)
    dtype = checkpoints.resolve_dtype(config.dtype, config.quantization)
    model = checkpoints.load(checkpoint, config, tokenizer, dtype, config.quantization).model
    if config.eos_token_ids:
        model.generation_config.eos_token_id = list(config.eos_token_ids)
    return model, tokenizer


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    omega: Any,
    *,
    anchors: Sequence[Sequence[str]] | None = None,
    chat: bool = False,
    mask: str = "per_token",
    mask_token: str | None = None,
    method: Method = SPA,
    max_new_tokens: int = 512,
    batch_size: int = 16,
    eos_token_ids: Sequence[int] | None = None,
    stop: Sequence[str] | StopRule = (),
) -> list[list[Text]]:
    """Decode every prompt greedily at every omega of a set; for each prompt its texts, by ascending omega.

    model, tokenizer: a transformers causal LM with SDPA or eager attention, and its fast tokenizer.
    prompts: the anchored text stands between <anchor> and </anchor>, or is named by `anchors`.
    omega: a number, a list of numbers, or an interval "0..0.5" (exact for every value in it); 0 is plain greedy.
    anchors: for each prompt the strings to anchor wherever they stand in it; tags are then read as text.
    chat: a prompt is one user turn of the tokenizer's chat template, without blanks at its ends.
    mask: "per_token", "collapsed", "attention", "removed" or "last_token", the second prompt (see conf/mask);
    mask_token: by default the tokenizer's mask, unk or pad token.
    method: what the difference of the branches is multiplied by; SPA as the paper has it, or another `spa.Method`.
    max_new_tokens: less where the model's context ends sooner.
    eos_token_ids: by default those of the model's generation config, or else the tokenizer's.
    stop: strings before which a text ends, or a rule of `spa.decoding.stopping`.

    Raises SpaError for what does not fit together.
    """
    omegas = parse(omega)
    check(model)
    for name, value in (("max_new_tokens", max_new_tokens), ("batch_size", batch_size)):
        if value < 1:
            raise SpaError(f"{name}={value} must be at least 1")
    pairs = _render(tokenizer, _anchored(prompts, anchors), chat, mask, mask_token)
    if pairs and omegas != PLAIN and not any(pair.masked_positions for pair in pairs):
        raise SpaError("no prompt has an anchor; write <anchor>text</anchor>, give anchors=, or decode at omega=0")
    context = context_length(model.config)

    def room(pair: PromptPair) -> int:
        return context_room(pair, context, pair.task_id, "shorten it")

    rule = _stop_rule(stop)
    requests = [Request.of(pair, omegas, rule, min(max_new_tokens, room(pair))) for pair in pairs]
    ends = eos_ids((), model, tokenizer) if eos_token_ids is None else eos_token_ids
    engine = Engine(model, ends, detokenizer(tokenizer), batch_size, n_tokens=n_tokens(tokenizer), method=method)
    texts: dict[str, list[Text]] = {pair.task_id: [] for pair in pairs}
    for done in engine.decode(requests):
        texts[done.task_id] += [
            Text(lo, hi, done.completion, done.finish_reason, done.completion_ids) for lo, hi in bounds(done.omegas)
        ]
    return [sorted(found, key=lambda text: text.omega_lo) for found in texts.values()]


def _anchored(prompts: Sequence[str], anchors: Sequence[Sequence[str]] | None) -> list[tuple[str, tuple[Span, ...]]]:
    """Each prompt's text and anchored spans."""
    if isinstance(prompts, str):
        raise SpaError("prompts is a single string; give a list of prompts")
    names = [f"prompts[{number}]" for number in range(len(prompts))]
    if anchors is None:
        return [anchoring.untag(prompt, name) for prompt, name in zip(prompts, names, strict=True)]
    if len(anchors) != len(prompts) or any(isinstance(strings, str) for strings in anchors):
        raise SpaError(f"anchors must hold a list of strings for each of the {len(prompts)} prompts")
    return [
        (prompt, anchoring.occurrences(prompt, strings, name))
        for prompt, strings, name in zip(prompts, anchors, names, strict=True)
    ]


def _render(
    tokenizer: Any, anchored: Sequence[tuple[str, Sequence[Span]]], chat: bool, mask: str, mask_token: str | None
) -> list[PromptPair]:
    if chat and not tokenizer.chat_template:
        raise SpaError("the tokenizer has no chat template; set tokenizer.chat_template or leave chat=True out")
    render = renderer(
        Template("own", chat, sha="", user=WHOLE_PROMPT if chat else {}), tokenizer, "own", mask, mask_token
    )
    pairs = [render.pair(f"prompts[{number}]", text, spans) for number, (text, spans) in enumerate(anchored)]
    for pair in pairs:
        if not pair.original_ids:
            raise SpaError(f"{pair.task_id} is empty; give it at least one token")
    return pairs


def _stop_rule(stop: Sequence[str] | StopRule) -> StopRule:
    if hasattr(stop, "feed"):
        return stop
    strings = (stop,) if isinstance(stop, str) else tuple(stop)
    if not all(strings):
        raise SpaError("stop holds an empty string, which stands everywhere; leave it out")
    return StopStrings(strings) if strings else NeverStop()
