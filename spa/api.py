"""SPA for a model of your own: any transformers causal LM, its tokenizer, and prompts with anchored text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tqdm import tqdm

from spa.config import load_method, load_model_config
from spa.decoding.engine import Engine
from spa.decoding.interface import arguments, streaming
from spa.decoding.interface.texts import Text, Texts
from spa.decoding.lanes import Request, context_room
from spa.decoding.stopping import NeverStop, StopRule, StopStrings, detokenizer
from spa.errors import SpaError
from spa.method import SPA, Method
from spa.models import checkpoints
from spa.models.checkpoints import check, context_length, eos_ids, n_tokens
from spa.omega import PLAIN, OmegaSet, bounds, parse_one, share
from spa.records import PromptPair
from spa.tasks import messages
from spa.tasks.masking import Content
from spa.tasks.prompts import Template, chat_frame, renderer

BAR = "{percentage:3.0f}%|{bar}| {n:.1f}/{total} prompts [{elapsed}<{remaining}{postfix}]"
WHOLE_PROMPT = {"own": "{problem}"}

Prompt = str | Sequence[Mapping[str, Any]]  # or chat messages


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
    prompts: Sequence[Prompt],
    omega: Any = None,
    *,
    strength: Any = None,
    anchors: Sequence[Sequence[str]] | None = None,
    chat: bool = False,
    mask: str = "per_token",
    mask_token: str | None = None,
    mask_text: str | None = None,
    method: Method | str = SPA,
    max_new_tokens: int = 512,
    batch_size: int = 16,
    eos_token_ids: Sequence[int] | int | None = None,
    stop: Sequence[str] | StopRule = (),
    progress: bool = False,
) -> list[Texts]:
    """Decode every prompt greedily at every omega of a set; for each prompt its texts, by ascending omega.

    model, tokenizer: a transformers causal LM with SDPA or eager attention, and its fast tokenizer.
    prompts: strings, or lists of chat messages {"role": ..., "content": ...}; the anchored text stands between <anchor>
    and </anchor>, or is named by `anchors`, or by "anchors" of a message.
    omega: a number, a list of numbers, or an interval "0..0.5" (exact for every value in it); 0 is plain greedy.
    strength: the same in place of omega, on the scale of the authors' package: 1 + omega.
    anchors: for each prompt the strings to anchor wherever they stand in it.
    chat: a string is one user turn of the tokenizer's chat template, without blanks at its ends.
    mask: the second prompt, a name of conf/mask; mask_token: by default the tokenizer's mask, unk or pad token;
    mask_text: the second prompt of mask="text".
    method: what the difference of the branches is multiplied by; SPA as the paper has it, another `spa.Method`, or the
    name of one in conf/method. Of cad and cfg these are the factors alone: their masks are "removed" and "last_token".
    max_new_tokens: less where the model's context ends sooner.
    eos_token_ids: by default those of the model's generation config, or else the tokenizer's.
    stop: strings before which a text ends, or a rule of `spa.decoding.stopping`.
    progress: show a bar; a text counts by its share of the omegas.

    Raises SpaError for what does not fit together.
    """
    omegas = arguments.omegas(omega, strength)
    engine, requests = _prepare(
        model,
        tokenizer,
        prompts,
        omegas,
        anchors,
        chat,
        mask,
        mask_text if mask == "text" else mask_token,
        method,
        max_new_tokens,
        batch_size,
        eos_token_ids,
        stop,
    )
    texts = {request.task_id: Texts() for request in requests}
    with tqdm(total=len(texts), bar_format=BAR, miniters=0, disable=not progress) as bar:
        for ended in engine.passes(requests):
            for done in ended:
                texts[done.task_id] += [
                    Text(lo, hi, done.completion, done.finish_reason, done.completion_ids)
                    for lo, hi in bounds(done.omegas)
                ]
                bar.update(min(share(done.omegas, omegas), len(texts) - bar.n))  # no rounding beyond it
            bar.set_postfix_str(f"{engine.n_tokens:,} tokens", refresh=False)
            bar.update(0)
    for found in texts.values():
        found.sort(key=lambda text: text.omega_lo)
    return list(texts.values())


def stream(
    model: Any,
    tokenizer: Any,
    prompt: Prompt,
    omega: Any = None,
    *,
    strength: Any = None,
    anchors: Sequence[str] | None = None,
    chat: bool = False,
    mask: str = "per_token",
    mask_token: str | None = None,
    mask_text: str | None = None,
    method: Method | str = SPA,
    max_new_tokens: int = 512,
    eos_token_ids: Sequence[int] | int | None = None,
    stop: Sequence[str] | StopRule = (),
) -> Iterator[str]:
    """Decode a single prompt at a single omega; the pieces of its text as they come, which join to `generate`'s.

    No piece ends within a character, and none holds what a stop string or rule may still cut off. Under a rule that is
    not of `spa.decoding.stopping` the text comes as a whole.
    anchors: the strings to anchor in the prompt. The rest is as for `generate`.

    Raises SpaError, at once, for what does not fit together, and for several omegas.
    """
    omegas = arguments.omegas(omega, strength)
    parse_one(omegas)
    engine, (request,) = _prepare(
        model,
        tokenizer,
        [prompt],
        omegas,
        None if anchors is None else [anchors],
        chat,
        mask,
        mask_text if mask == "text" else mask_token,
        method,
        max_new_tokens,
        1,
        eos_token_ids,
        stop,
    )
    return streaming.pieces(engine, request)


def _prepare(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    omegas: OmegaSet,
    anchors: Sequence[Sequence[str]] | None,
    chat: bool,
    mask: str,
    instead: str | None,
    method: Method | str,
    max_new_tokens: int,
    batch_size: int,
    eos_token_ids: Sequence[int] | int | None,
    stop: Sequence[str] | StopRule,
) -> tuple[Engine, list[Request]]:
    """The engine, and a request for each prompt. Raises SpaError for what does not fit together."""
    arguments.check_model(model)
    arguments.check_tokenizer(tokenizer)
    arguments.check_prompts(prompts, anchors)
    check(model)
    for name, value in (("max_new_tokens", max_new_tokens), ("batch_size", batch_size)):
        arguments.check_count(name, value)
    pairs = _render(tokenizer, _anchored(prompts, anchors), chat, mask, instead)
    if pairs and omegas != PLAIN and not any(pair.masked_positions for pair in pairs):
        raise SpaError("no prompt has an anchor; write <anchor>text</anchor>, give anchors=, or decode at omega=0")
    context = context_length(model.config)

    def room(pair: PromptPair) -> int:
        return context_room(pair, context, pair.task_id, "shorten it")

    rule = _stop_rule(stop)
    requests = [Request.of(pair, omegas, rule, min(max_new_tokens, room(pair))) for pair in pairs]
    ends = eos_ids((), model, tokenizer) if eos_token_ids is None else arguments.token_ids(eos_token_ids)
    factors = load_method(method)
    engine = Engine(model, ends, detokenizer(tokenizer), batch_size, n_tokens=n_tokens(tokenizer), method=factors)
    return engine, requests


def _anchored(
    prompts: Sequence[Prompt], anchors: Sequence[Sequence[str]] | None
) -> list[tuple[list[str], list[Content]]]:
    """Each prompt's roles, none for a string, and its contents."""
    named = [[]] * len(prompts) if anchors is None else anchors
    return [
        messages.read(prompt, strings, f"prompts[{number}]")
        for number, (prompt, strings) in enumerate(zip(prompts, named, strict=True))
    ]


def _render(
    tokenizer: Any, anchored: Sequence[tuple[list[str], list[Content]]], chat: bool, mask: str, instead: str | None
) -> list[PromptPair]:
    in_chat = chat or any(roles for roles, _ in anchored)
    if in_chat and not tokenizer.chat_template:
        raise SpaError(
            "the tokenizer has no chat template; set tokenizer.chat_template, or give strings without chat=True"
        )
    bare, turn = (Template("own", of_chat, sha="", user=WHOLE_PROMPT if of_chat else {}) for of_chat in (False, True))
    as_text = renderer(turn if chat else bare, tokenizer, "own", mask, instead)
    as_messages = renderer(turn, tokenizer, "own", mask, instead) if in_chat else as_text
    pairs = []
    for number, (roles, contents) in enumerate(anchored):
        name = f"prompts[{number}]"
        if roles:
            pairs.append(as_messages.render(name, chat_frame(turn, tokenizer, roles), contents))
        else:
            pairs.append(as_text.pair(name, contents[0].text, contents[0].spans))
        if not pairs[-1].original_ids:
            raise SpaError(f"{name} is empty; give it at least one token")
    return pairs


def _stop_rule(stop: Sequence[str] | StopRule) -> StopRule:
    if hasattr(stop, "feed"):
        return stop
    strings = (stop,) if isinstance(stop, str) else arguments.items(stop, str)
    if strings is None:
        raise SpaError(f"stop={stop} must be strings, or a rule of spa.decoding.stopping")
    if not all(strings):
        raise SpaError("stop holds an empty string, which stands everywhere; leave it out")
    return StopStrings(strings) if strings else NeverStop()
