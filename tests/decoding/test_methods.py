"""Each factor of a method beside ten lines without a cache, and intervals beside single omegas."""

import math
from typing import Any

import pytest
import tiny
import torch
import yaml
from decoded import ends
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import GenerationConfig

import spa
from spa.config import CONF, load_method
from spa.decoding.formula import choose
from spa.decoding.methods import lines
from spa.errors import SpaError
from spa.method import SCHEDULES, SPA, Method
from spa.omega import Interval, Values, holds

TOKENIZER = tiny.tokenizer(chat=True)
NEW_TOKENS = 12
PROMPTS = ["def f(x):\n    add one\n", "sort the list of names", "print the sum"]
ANCHORS = [["add one"], ["list"], ["sum"]]
METHODS = {
    "probability": Method("probability"),
    "plausibility": Method(plausibility=0.3),
    "decay": Method(schedule="decay", schedule_tokens=5),
    "rise": Method(schedule="rise", schedule_tokens=7),
    "uncertainty": Method(schedule="uncertainty"),
    "entropy": Method(schedule="entropy"),
    "all": Method("probability", 0.1, "rise", 20),
}
CLOSE = 1e-4


@pytest.fixture(scope="module", params=tiny.ARCHITECTURES)
def model(request: pytest.FixtureRequest) -> Any:
    return tiny.model(request.param, vocabulary=len(TOKENIZER))


def decoded(model: Any, omega: Any, method: Method = SPA, mask: str = "per_token") -> list[list[spa.Text]]:
    settings = {"max_new_tokens": NEW_TOKENS, "eos_token_ids": ()}
    return spa.generate(model, TOKENIZER, PROMPTS, omega, anchors=ANCHORS, method=method, mask=mask, **settings)


def masked_ids(prompt: str, anchor: str) -> list[int]:
    ids, start = TOKENIZER(prompt)["input_ids"], prompt.index(anchor)
    return [TOKENIZER.unk_token_id if start <= at < start + len(anchor) else token for at, token in enumerate(ids)]


@torch.inference_mode()
def naive(model: Any, original: list[int], second: list[int], omega: float, method: Method) -> tuple[list[int], float]:
    """The greedy tokens by forward passes over all of both prompts, and how far the second best token ever was."""
    tokens, margin = [], math.inf
    for step in range(NEW_TOKENS):
        a, m = (model(torch.tensor([ids + tokens])).logits[0, -1].double() for ids in (original, second))
        p = a.softmax(dim=0)
        g = p / p.max() if method.modulation == "probability" else 1
        length = method.schedule_tokens or 1
        s = {
            "constant": 1,
            "decay": max(0, 1 - step / length),
            "rise": min(1, step / length),
            "uncertainty": 1 - p.max(),
            "entropy": -(p * p.log()).sum() / math.log(len(p)),
        }[method.schedule]
        scores = a + omega * s * g * (a - m)
        if method.plausibility:
            scores[p < method.plausibility * p.max()] = -torch.inf
        best = scores.topk(2)
        margin = min(margin, float(best.values[0] - best.values[1]))
        tokens.append(int(best.indices[0]))
    return tokens, margin


@pytest.mark.parametrize("name", METHODS)
def test_texts_are_those_of_ten_lines_without_a_cache(model: Any, name: str) -> None:
    compared = 0
    for omega in (-1.5, 0.7, 4.0):
        for prompt, (anchor,), (text,) in zip(PROMPTS, ANCHORS, decoded(model, omega, METHODS[name]), strict=True):
            ids = TOKENIZER(prompt)["input_ids"]
            expected, margin = naive(model, ids, masked_ids(prompt, anchor), omega, METHODS[name])
            if margin > CLOSE:
                compared += 1
                assert text.token_ids == expected
    assert compared > 3


def test_the_methods_differ_from_spa_and_from_each_other(model: Any) -> None:
    texts = {tuple(tuple(text.token_ids) for (text,) in decoded(model, 4.0, each)) for each in (SPA, *METHODS.values())}
    assert len(texts) > len(METHODS) // 2


@pytest.mark.parametrize("name", METHODS)
def test_omega_0_is_plain_by_every_method(model: Any, name: str) -> None:
    assert decoded(model, 0.0, METHODS[name]) == decoded(model, 0.0)


@pytest.mark.parametrize("name", METHODS)
def test_an_interval_is_what_single_omegas_give(model: Any, name: str) -> None:
    whole = decoded(model, "-1..3", METHODS[name])
    assert max(len(parts) for parts in whole) > 1
    for omega in torch.rand(6, generator=torch.Generator().manual_seed(0)).mul(4).sub(1).tolist():
        for parts, (single,) in zip(whole, decoded(model, omega, METHODS[name]), strict=True):
            part = next(each for each in parts if holds(each.omega_lo, each.omega_hi, omega, 3.0))
            if min(omega - part.omega_lo, part.omega_hi - omega) > CLOSE:
                assert single.token_ids == part.token_ids


PRESETS = sorted(path.stem for path in (CONF / "method").glob("*.yaml"))


@pytest.mark.parametrize("name", [name for name in PRESETS if load_method(name).is_line])
def test_an_interval_of_each_preset_is_what_single_omegas_give(name: str) -> None:
    """With its own second prompt, over the weights that it is compared over."""
    preset = yaml.safe_load((CONF / "method" / f"{name}.yaml").read_text())
    masks = [choice["override /mask"] for choice in preset.get("defaults", []) if "override /mask" in choice]
    weights, (mask,) = preset.get("method", preset)["weights"], masks or ["per_token"]
    model, method = tiny.model("llama", vocabulary=len(TOKENIZER)), load_method(name)
    whole = decoded(model, weights, method, mask)
    lo, hi = map(float, weights.split(".."))
    assert (whole[0][0].omega_lo, whole[0][-1].omega_hi) == (lo, hi)
    compared = 0
    for omega in torch.rand(8, generator=torch.Generator().manual_seed(2)).mul(hi - lo).add(lo).tolist():
        for texts, (single,) in zip(whole, decoded(model, omega, method, mask), strict=True):
            part = texts.at(omega)
            if min(omega - part.omega_lo, part.omega_hi - omega) > CLOSE:
                compared += 1
                assert single.token_ids == part.token_ids
    assert compared > 16


@pytest.mark.parametrize("omega", [-0.5, 0.5, 2.0])
@pytest.mark.parametrize("mask", ["removed", "last_token"])
def test_context_aware_and_classifier_free_guidance_are_transformers_own(model: Any, mask: str, omega: float) -> None:
    for prompt, (anchor,), (text,) in zip(PROMPTS, ANCHORS, decoded(model, omega, mask=mask), strict=True):
        settings = GenerationConfig(
            max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=None, pad_token_id=0, guidance_scale=1 + omega
        )
        ids = torch.tensor([TOKENIZER(prompt)["input_ids"]])
        negative = TOKENIZER(prompt.replace(anchor, ""))["input_ids"] if mask == "removed" else ids[0, -1:].tolist()
        more = {"negative_prompt_ids": torch.tensor([negative])}
        output = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings, **more)
        assert text.token_ids == output[0, ids.shape[1] :].tolist()


def rows(seed: int, n: int = 4, v: int = 9) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(n, v, generator=draw) * 3, torch.randn(n, v, generator=draw) * 3


@given(st.integers(0, 10**6), st.sampled_from(sorted(METHODS)), st.integers(0, 30), st.floats(-2, 3))
def test_parts_hold_the_argmax_of_every_omega(seed: int, name: str, step: int, omega: float) -> None:
    (original, *_), (second, *_) = rows(seed)
    intercept, slope = lines(METHODS[name], original[None], second[None], torch.tensor([step]))
    parts = choose(original, second, Interval(-2.0, 3.0), METHODS[name], step)
    scores = (intercept + omega * slope)[0]
    token = next(token for token, part in parts if holds(part.lo, part.hi, omega, 3.0))
    assert scores[token] >= scores.max() - 1e-9
    assert choose(original, second, Values((omega,)), METHODS[name], step)[0][0] == int(scores.argmax())


def test_lanes_are_weighted_by_their_own_steps() -> None:
    original, second = rows(3, n=3)
    method = Method(schedule="rise", schedule_tokens=4)
    logits, steps = torch.cat([original, second]), [0, 2, 9]
    found = ends(logits, [0, 1, 2], [3, 4, 5], [Interval(0.0, 5.0)] * 3, method, steps)
    for lane, (low, high, *_) in enumerate(found):
        strength = min(1, steps[lane] / 4)
        assert low == int(original[lane].argmax())
        assert high == int((original[lane] + 5 * strength * (original[lane] - second[lane])).argmax())


def test_what_is_not_plausible_is_never_chosen() -> None:
    original, second = torch.tensor([2.0, 1.0, -5.0]), torch.tensor([2.0, 1.0, -90.0])
    assert [token for token, _ in choose(original, second, Interval(0.0, 50.0))] == [0, 2]
    plausible = Method(plausibility=0.1)
    assert choose(original, second, Interval(0.0, 50.0), plausible) == [(0, Interval(0.0, 50.0))]
    only_the_best = Method(plausibility=1)
    assert choose(original, original - 1, Values((-9.0, 9.0)), only_the_best) == [(0, Values((-9.0, 9.0)))]


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"modulation": "x"}, "method.modulation=x is unknown; choose one of: none, probability"),
        ({"schedule": "x"}, f"method.schedule=x is unknown; choose one of: {', '.join(SCHEDULES)}"),
        ({"plausibility": 0}, "method.plausibility=0 must be above 0 and at most 1"),
        ({"plausibility": 1.5}, "method.plausibility=1.5 must be above 0"),
        ({"schedule": "decay"}, "method.schedule=decay needs method.schedule_tokens"),
        ({"schedule_tokens": 5}, "method.schedule=constant takes no method.schedule_tokens"),
        ({"schedule": "rise", "schedule_tokens": 0}, "method.schedule_tokens=0 must be at least 1"),
    ],
)
def test_a_method_that_makes_no_sense_is_one_line(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SpaError, match=complaint):
        Method(**settings)


def test_spa_is_the_difference_itself() -> None:
    original, second = rows(1)
    intercept, slope = lines(SPA, original, second, torch.zeros(4))
    assert torch.equal(intercept, original.double())
    assert torch.equal(slope, original.double() - second.double())
