"""Every causal language model of transformers, tiny and random, beside transformers' own decoding.

For each model type in its mapping a network of a few thousand weights is built. Either it is refused in one line, or
its texts are compared: plain ones with `generate`, those at two omegas with its classifier-free guidance, a batch of
five prompts with each alone, an interval with single omegas. A difference at a place where the two best tokens lie
closer than `CLOSE` is counted apart. New model types of a newer transformers appear by themselves.

`make architectures` tries all, which takes half an hour on two cores, and writes results/bench/architectures.json.
"""

import contextlib
import json
import multiprocessing
import random
import string
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import torch
from tqdm import tqdm
from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, GenerationConfig
from transformers.utils import logging

from spa import Texts, generate
from spa.bench.tiny_models import TOKENIZER, VARIANTS, build, model_types
from spa.errors import SpaError
from spa.models.checkpoints import check, check_class

LENGTHS = (26, 9, 84, 11, 42)
NEW_TOKENS = 32
OMEGAS = (0.3, -0.5)
BETWEEN = (-0.5, -0.2, 0.0, 0.25, 0.3)  # where an interval is compared with single omegas
CLOSE = 1e-4
DISTINCT = 8  # tokens that the texts of a model must hold, or nothing is shown
SCALES = (1.0, 4.0, 8.0, 20.0)  # of the random weights, tried until the texts vary
MOST_UNBUILT = 15


Pair = tuple[list[int], list[int]]  # the tokens of a prompt, with and without what is anchored


@dataclass
class Outcome:
    """What became of one model type."""

    name: str
    verdict: str  # "equal", "refused", "wrong", "crash" or "not built"
    note: str = ""
    distinct: int = 0
    close: int = 0  # differences where the two best tokens are as good as equal
    compared: Counter[str] = field(default_factory=Counter)


def prompts(seed: int) -> list[tuple[str, str]]:
    """Prompts of different lengths, a character a token, and the stretch of each that is anchored."""
    draw = random.Random(seed)
    texts = ["".join(draw.choices(string.ascii_letters, k=length)) for length in LENGTHS]
    return [(text, text[(start := draw.randrange(len(text) // 2)) : start + len(text) // 2]) for text in texts]


def ids_of(prompt: str, anchored: str) -> Pair:
    """The tokens of a prompt, with and without what is anchored."""
    ids: list[int] = TOKENIZER(prompt)["input_ids"]
    start = prompt.index(anchored)
    masked = [TOKENIZER.unk_token_id if start <= at < start + len(anchored) else token for at, token in enumerate(ids)]
    return ids, masked


def attempt(name: str, seeds: Sequence[int] = (0, 1, 2), changes: Mapping[str, Any] = {}) -> Outcome:
    """Build, then refuse or compare."""
    outcome = Outcome(name, "equal")
    config_class = model_types()[name]
    architecture: Any = MODEL_FOR_CAUSAL_LM_MAPPING[config_class]
    try:
        check_class(architecture, config_class)
    except SpaError as error:
        return Outcome(name, "refused", str(error))
    for seed in seeds:
        try:
            model = build(name, seed, SCALES[0], changes)
        except Exception as error:  # of any kind: these classes are not ours
            return Outcome(name, "not built", f"{type(error).__name__}: {_line(error)}")
        try:
            check(model)
            _compare(model, name, seed, changes, outcome)
        except SpaError as error:
            return Outcome(name, "refused", str(error))
        except Exception as error:
            return Outcome(name, "crash", f"{type(error).__name__}: {_line(error)}")
        if outcome.verdict != "equal":
            break
    if outcome.verdict == "equal" and outcome.distinct < DISTINCT:
        return Outcome(name, "not built", f"its texts hold {outcome.distinct} distinct tokens, which shows nothing")
    return outcome


def _compare(model: Any, name: str, seed: int, changes: Mapping[str, Any], outcome: Outcome) -> None:
    given = prompts(seed)
    ids = [ids_of(*each) for each in given]
    for scale in SCALES:
        model = model if scale == SCALES[0] else build(name, seed, scale, changes)
        plain = [_generated(model, original, None, 0.0) for original, _ in ids]
        outcome.distinct = max(outcome.distinct, len({token for text in plain for token in text}))
        if outcome.distinct >= DISTINCT:
            break
    texts = {0.0: plain}
    for omega in OMEGAS:
        texts[omega] = [_generated(model, original, masked, omega) for original, masked in ids]
    together = decoded(model, given, [*texts])
    alone = [decoded(model, [each], [*texts])[0] for each in given]
    parts = decoded(model, given, f"{min(BETWEEN)}..{max(BETWEEN)}")
    for number, pair in enumerate(ids):
        for omega, expected in texts.items():
            ours, single = (each[number].at(omega).token_ids for each in (together, alone))
            _note(model, outcome, "guidance" if omega else "generate", pair, omega, ours, expected[number])
            _note(model, outcome, "batch", pair, omega, ours, single)
        for omega in BETWEEN:
            (by_itself,) = decoded(model, [given[number]], omega)
            part, single = (each.at(omega).token_ids for each in (parts[number], by_itself))
            _note(model, outcome, "interval", pair, omega, part, single)


def _note(
    model: Any, outcome: Outcome, kind: str, pair: Pair, omega: float, found: Sequence[int], expected: Sequence[int]
) -> None:
    """Count a comparison; a difference that is no tie makes the outcome wrong, unless the cacheless choice is ours."""
    outcome.compared[kind] += 1
    place = next((at for at, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), None)
    if place is None and len(found) == len(expected):
        return
    place = min(len(found), len(expected)) if place is None else place
    original, masked = ([*ids, *expected[:place]] for ids in pair)
    token, margin = _uncached(model, original, masked, omega)
    ours = found[place] if place < len(found) else None
    if margin < CLOSE:
        outcome.close += 1
    elif kind == "guidance" and token == ours:
        outcome.compared["guidance differs from a pass without a cache, which agrees"] += 1
    else:
        outcome.verdict = "wrong"
        outcome.note = outcome.note or f"{kind} at omega {omega}, prompt of {len(pair[0])}, token {place}, {margin:.2g}"


@torch.inference_mode()
def _uncached(model: Any, original: Sequence[int], masked: Sequence[int], omega: float) -> tuple[int, float]:
    """The choice of a forward pass over all tokens, and how far the second is behind."""
    a, m = (model(torch.tensor([ids]), use_cache=False).logits[0, -1].double() for ids in (original, masked))
    best = (a + omega * (a - m)).topk(2)
    return int(best.indices[0]), float(best.values[0] - best.values[1])


def _generated(model: Any, ids: Sequence[int], masked: Sequence[int] | None, omega: float) -> list[int]:
    settings = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
        guidance_scale=1 + omega if omega else None,
    )
    tokens = torch.tensor([list(ids)])
    negative = {"negative_prompt_ids": torch.tensor([list(masked)])} if masked and omega else {}
    with _quiet():
        output = model.generate(tokens, attention_mask=torch.ones_like(tokens), generation_config=settings, **negative)
    found: list[int] = output[0, len(ids) :].tolist()
    return found


def decoded(model: Any, given: Sequence[tuple[str, str]], omega: Any) -> list[Texts]:
    """For each prompt its texts, by our engine."""
    plain, anchors = [prompt for prompt, _ in given], [[anchored] for _, anchored in given]
    return generate(
        model, TOKENIZER, plain, omega, anchors=anchors, max_new_tokens=NEW_TOKENS, eos_token_ids=(), batch_size=8
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)


def _line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200]


def attempt_one(name: str) -> Outcome:
    """`attempt` of a model type or of one of `VARIANTS`."""
    torch.set_num_threads(1)
    outcome = attempt(name.partition(",")[0], changes=VARIANTS.get(name, {}))
    outcome.name = name
    return outcome


def attempt_all() -> Iterator[Outcome]:
    """All model types and variants, in their order, by as many processes as there are cores."""
    names = [*model_types(), *VARIANTS]
    with multiprocessing.get_context("spawn").Pool(maxtasksperchild=8) as pool:  # each leaves megabytes behind
        yield from tqdm(pool.imap(attempt_one, names), "architectures", total=len(names))


def to_json(outcomes: Sequence[Outcome]) -> str:
    """What is kept of them, with the conditions."""
    conditions = {
        "transformers": version("transformers"),
        "torch": version("torch"),
        "new_tokens": NEW_TOKENS,
        "lengths": LENGTHS,
    }
    found = [vars(outcome) | {"compared": dict(outcome.compared)} for outcome in outcomes]
    return json.dumps(conditions | {"outcomes": found}, indent=1) + "\n"
