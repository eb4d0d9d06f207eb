"""method=spa_package beside the authors' package as installed: second prompts, hidden tokens, scores, texts."""

import warnings
from typing import Any

import pytest
import tiny
import torch
from decoded import ends
from hypothesis import given
from hypothesis import strategies as st
from transformers import GenerationConfig, LogitsProcessorList

import spa
from spa.decoding import forward
from spa.decoding.engine import Engine
from spa.decoding.formula import choose
from spa.decoding.lanes import Request
from spa.decoding.stopping import NeverStop
from spa.errors import SpaError
from spa.method import Method
from spa.omega import Interval, Values
from spa.tasks.masking import Content, as_the_package_does, hidden_by_the_package

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about escapes in the package's source
    import anchoring

TOKENIZER = tiny.tokenizer(chat=True)
PACKAGE = Method("package")
STRENGTHS = [-3.0, -0.5, 0.0, 0.6, 1.4, 3.0, 20.0]
NEW_TOKENS = 12
PROMPTS = [  # capitals of MASKTOKEN are hidden wherever they stand, so the texts have some
    "def f(x):\n    <anchor>add one</anchor>\n    pass",
    "<anchor>sort</anchor> the list, then sort it again",
    "KEEP THE <anchor>SUM</anchor> of All",
    "<anchor>one</anchor> <anchor>two</anchor>\n<anchor>three</anchor> four",
    "a <anchor>b</anchor><anchor>c</anchor> d",
    "return <anchor>True</anchor> or None",
    "MASK <anchor>the</anchor> TOKEN",
    "<anchor>everything is anchored here</anchor>",
    "x = <anchor>[1, 2]</anchor> + [1, 2]",
    "Kind <anchor>of</anchor> sorted, of course",
]


@pytest.fixture(scope="module", params=tiny.ARCHITECTURES)
def model(request: pytest.FixtureRequest) -> Any:
    return tiny.model(request.param, vocabulary=len(TOKENIZER))


def by_the_package(model: Any, tokenizer: Any, prompt: Any, strength: float, new_tokens: int) -> list[int]:
    """Its greedy tokens with the defaults of its processor, weighted by probability and with its attention mask."""
    main, second, mask_token = anchoring.spa_tokenize(prompt, [], tokenizer, "cpu")
    processor = anchoring.SPALogitsProcessor(model, second, mask_token, strength=strength, tokenizer=tokenizer)
    settings = GenerationConfig(max_new_tokens=new_tokens, do_sample=False, eos_token_id=None, pad_token_id=0)
    output = model.generate(
        main,
        attention_mask=torch.ones_like(main),
        generation_config=settings,
        logits_processor=LogitsProcessorList([processor]),
    )
    tokens: list[int] = output[0, main.shape[1] :].tolist()
    return tokens


def by_us(model: Any, prompts: Any, omega: Any, **settings: Any) -> list[list[spa.Text]]:
    fixed = {"mask": "package", "method": PACKAGE, "max_new_tokens": NEW_TOKENS, "eos_token_ids": ()}
    return spa.generate(model, TOKENIZER, prompts, omega, chat=True, **fixed, **settings)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_texts_are_the_packages(model: Any, strength: float) -> None:
    for prompt, (text,) in zip(PROMPTS, by_us(model, PROMPTS, strength - 1), strict=True):
        assert text.token_ids == by_the_package(model, TOKENIZER, prompt, strength, NEW_TOKENS), prompt


def test_strengths_change_texts(model: Any) -> None:
    texts = {tuple(tuple(text.token_ids) for (text,) in by_us(model, PROMPTS, s - 1)) for s in STRENGTHS}
    assert len(texts) == len(STRENGTHS)


def test_messages_are_the_packages(model: Any) -> None:
    conversation = [
        {"role": "system", "content": "You ARE kind.", "anchors": ["kind"]},
        {"role": "user", "content": "Sort <anchor>names</anchor>, names only"},
    ]
    ((text,),) = by_us(model, [conversation], 2.0)
    assert text.token_ids == by_the_package(model, TOKENIZER, conversation, 3.0, NEW_TOKENS)


def test_a_grid_is_what_its_omegas_give(model: Any) -> None:
    """No line: a token that wins at both ends of a grid need not win between them."""
    grid = [0.0, 0.1, 0.4, 2.0, 19.0]
    whole = by_us(model, PROMPTS, grid)
    assert max(len({tuple(text.token_ids) for text in texts}) for texts in whole) > 2
    for place, omega in enumerate(grid):
        for texts, (single,) in zip(whole, by_us(model, PROMPTS, omega), strict=True):
            assert texts[place] == single


def test_between_the_ends_another_token_may_win() -> None:
    """The package's bounds bend the scores, so the ends of a grid do not stand for what lies between them."""
    original, second = torch.tensor([3.0, 2.9, 0.0]), torch.tensor([0.0, 2.9, -500.0])
    tokens = {omega: choose(original, second, Values((omega,)), PACKAGE)[0][0] for omega in (-1.5, 0.0, 1.0, 19.0)}
    assert len(set(tokens.values())) > 1
    parts = choose(original, second, Values(tuple(tokens)), PACKAGE)
    assert {omega: token for token, part in parts for omega in part.values} == tokens


@given(st.integers(0, 10**6), st.sampled_from([1.0, 30.0, 400.0]), st.floats(-3, 20), st.floats(0, 20))
def test_where_scores_do_not_bend_the_ends_stand_for_all(seed: int, spread: float, lo: float, width: float) -> None:
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 7, generator=draw) * spread
    omegas = sorted({lo, lo + width, *(lo + width * torch.rand(9, generator=draw)).tolist()})
    ((low, high, bent, _),) = ends(logits, [0], [1], [Values(tuple(omegas))], PACKAGE)
    chosen = [choose(logits[0], logits[1], Values((omega,)), PACKAGE)[0][0] for omega in omegas]
    assert (low, high) == (chosen[0], chosen[-1])
    assert bent or low != high or set(chosen) == {low}


def test_scores_bend_at_the_bounds_and_below_0() -> None:
    calm, wild = torch.tensor([[3.0, 2.0], [1.0, 2.5]]), torch.tensor([[3.0, 2.0], [-50.0, 2.5]])

    def bent(logits: Any, *omegas: float) -> bool:
        return ends(logits, [0], [1], [Values(omegas)], PACKAGE)[0][2]

    assert not bent(calm, 0.0, 19.0)
    assert not bent(wild, 0.0, 1.0)
    assert bent(wild, 0.0, 2.0)
    assert bent(calm, -0.5, 0.5)
    assert bent(calm * 400, 0.0, 0.001)
    assert not bent(wild, 19.0)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_memory_that_runs_out_changes_no_text(model: Any, batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prefix that is read again: the prompt's hidden tokens are hidden from it, and not from the text behind."""
    expected = [text.token_ids for texts in by_us(model, PROMPTS, [0.4, 2.0]) for text in texts]
    step, calls = forward.step, [0]

    def failing(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == 6:
            raise torch.OutOfMemoryError("out of memory")
        return step(*arguments)

    monkeypatch.setattr(forward, "step", failing)
    texts = by_us(model, PROMPTS, [0.4, 2.0], batch_size=2 * batch_size)
    assert calls[0] > 6
    assert [text.token_ids for found in texts for text in found] == expected


def test_an_interval_is_refused(model: Any) -> None:
    with pytest.raises(SpaError, match=r"method.modulation=package is no line in omega.*omega=0.4"):
        by_us(model, PROMPTS, "0..1")
    engine = Engine(model, (), tiny.detokenize, method=PACKAGE)
    request = Request("one", [1, 2], [1, 3], Interval(0.0, 1.0), NeverStop(), 5)
    with pytest.raises(SpaError, match="no line"):
        list(engine.decode([request]))


@pytest.mark.parametrize("prompt", PROMPTS)
def test_second_prompts_are_the_packages(prompt: str) -> None:
    main, second = anchoring.format_spa_input(prompt, [], "MASKTOKEN", whole_word_only=False)
    text, spans = spa.tasks.anchors.untag(prompt, "it")
    assert text == main
    assert as_the_package_does(Content(text, spans), "MASKTOKEN") == second
    ids = TOKENIZER(second, add_special_tokens=False)["input_ids"]
    expected = anchoring.create_masked_attention(torch.tensor([ids]), ["MASKTOKEN"], TOKENIZER)[0]
    assert hidden_by_the_package(TOKENIZER, ids, "MASKTOKEN") == (expected == 0).nonzero().flatten().tolist()


@pytest.mark.parametrize("mask_token", ["a", "add", "<s>", "<unk>", "MASK", "of"])
@pytest.mark.parametrize("text", ["add one to a and of add", "<s> <unk>", "M A SKof", "nothing"])
def test_hidden_tokens_are_the_packages(text: str, mask_token: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Masks of one token and of several, found and not found: then it warns, and hides what looks alike."""
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    expected = anchoring.create_masked_attention(torch.tensor([ids]), [mask_token], TOKENIZER)[0]
    assert hidden_by_the_package(TOKENIZER, ids, mask_token) == (expected == 0).nonzero().flatten().tolist()
    capsys.readouterr()


def test_it_takes_no_other_factor() -> None:
    with pytest.raises(SpaError, match="goes with no schedule and no plausibility"):
        Method("package", plausibility=0.5)


@pytest.mark.parametrize("strength", [-3.0, 0.5, 1.4, 20.0])
def test_the_processor_is_the_packages_without_its_attention_mask(model: Any, strength: float) -> None:
    """Both within `generate`, by sampling."""
    main, second, mask_token = anchoring.spa_tokenize(PROMPTS[1], [], TOKENIZER, "cpu")
    theirs = anchoring.SPALogitsProcessor(
        model, second, mask_token, strength=strength, tokenizer=TOKENIZER, use_attention_mask=False
    )
    ours = spa.SPALogitsProcessor(model, second, strength - 1, method="spa_package")
    settings = GenerationConfig(max_new_tokens=NEW_TOKENS, do_sample=True, eos_token_id=None, pad_token_id=0)
    texts = []
    for processor in (theirs, ours):
        torch.manual_seed(0)
        texts.append(model.generate(main, generation_config=settings, logits_processor=[processor]).tolist())
    assert texts[0] == texts[1]
