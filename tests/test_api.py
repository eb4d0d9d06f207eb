"""`spa.generate` on tiny models: against transformers, over sets of omegas, and the examples of the documents."""

import copy
import itertools
import re
from typing import Any

import pytest
import tiny
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    OpenAIGPTConfig,
    OpenAIGPTLMHeadModel,
)

import spa
from spa.config import CONF, MASKS
from spa.decoding.stopping import StopStrings
from spa.errors import SpaError
from spa.models.checkpoints import context_length
from spa.omega import Interval, Values

PROMPTS = ["def f(x):\n    <anchor>add one</anchor>\n", "<anchor>sort</anchor> the list", "no anchor here"]
PLAIN = ["def f(x):\n    add one\n", "sort the list", "no anchor here"]
ANCHORS = [["add one"], ["sort"], []]
TOKENIZER = tiny.tokenizer(chat=True)


@pytest.fixture(scope="module", params=tiny.ARCHITECTURES)
def model(request: pytest.FixtureRequest) -> Any:
    return tiny.model(request.param, vocabulary=len(TOKENIZER))


def generate(model: Any, prompts: list[str] = PROMPTS, omega: Any = 1.0, **settings: Any) -> list[spa.Texts]:
    return spa.generate(model, TOKENIZER, prompts, omega, **({"max_new_tokens": 12} | settings))


def guided(model: Any, original: str, masked: list[int], scale: float) -> list[int]:
    """transformers' own greedy tokens, under classifier-free guidance where the scale is not 1."""
    ids = torch.tensor([TOKENIZER(original)["input_ids"]])
    settings = GenerationConfig(
        max_new_tokens=12, do_sample=False, eos_token_id=257, pad_token_id=0, guidance_scale=scale
    )
    more = {"negative_prompt_ids": torch.tensor([masked])} if scale != 1 else {}
    output = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=settings, **more)
    tokens: list[int] = output[0, ids.shape[1] :].tolist()
    return tokens[:-1] if tokens[-1] == 257 else tokens


@pytest.mark.parametrize("omega", [-1.0, 0.0, 0.5])
def test_tokens_are_those_of_transformers(model: Any, omega: float) -> None:
    for prompt, original, anchors, (text,) in zip(PROMPTS, PLAIN, ANCHORS, generate(model, omega=omega), strict=True):
        masked = TOKENIZER(prompt.replace("<anchor>", "").replace("</anchor>", ""))["input_ids"]
        for anchor in anchors:
            start = original.index(anchor)
            masked[start : start + len(anchor)] = [TOKENIZER.unk_token_id] * len(anchor)
        assert text.token_ids == guided(model, original, masked, 1 + omega if anchors else 1)
        assert text.text == TOKENIZER.decode(text.token_ids)
        assert (text.omega_lo, text.omega_hi) == (omega, omega)
        assert text.finish_reason == ("length" if len(text.token_ids) == 12 else "eos")


@pytest.mark.parametrize("mask", ["per_token", "collapsed", "attention"])
def test_sets_of_omegas(model: Any, mask: str) -> None:
    singles = {omega: generate(model, omega=omega, mask=mask) for omega in (-1.0, 0.0, 2.0)}
    grid = generate(model, omega=[2.0, -1.0, 0], mask=mask, batch_size=2)
    assert grid == [[singles[omega][number][0] for omega in (-1.0, 0.0, 2.0)] for number in range(3)]
    assert grid == generate(model, omega=Values((-1.0, 0.0, 2.0)), mask=mask)
    interval = generate(model, omega="-1..2", mask=mask)
    assert interval == generate(model, omega=Interval(-1.0, 2.0), mask=mask)
    for parts in interval:
        assert (parts[0].omega_lo, parts[-1].omega_hi) == (-1.0, 2.0)
        assert all(left.omega_hi == right.omega_lo for left, right in itertools.pairwise(parts))
    assert [parts[0].token_ids for parts in interval] == [texts[0].token_ids for texts in singles[-1.0]]
    assert len(interval[2]) == 1, "one text where nothing is anchored"


def test_anchor_strings_are_as_good_as_tags(model: Any) -> None:
    assert generate(model, PLAIN, anchors=ANCHORS) == generate(model)
    twice = ["<anchor>ab</anchor> c <anchor>ab</anchor>"]
    assert generate(model, ["ab c ab"], anchors=[["ab"]]) == generate(model, twice)
    assert generate(model, ["x abab y"], anchors=[["ab", "bab"]]) == generate(model, ["x <anchor>abab</anchor> y"])
    both = ["<anchor>x</anchor> abab y"]
    assert generate(model, both, anchors=[["bab"]]) == generate(model, ["x abab y"], anchors=[["x", "bab"]])


@pytest.mark.parametrize(("strength", "omega"), [(1.4, 0.4), ([1, "1.1"], [0, 0.1]), ("0.5..2.1", "-0.5..1.1")])
def test_strength_is_another_scale_of_omega(model: Any, strength: Any, omega: Any) -> None:
    assert spa.generate(model, TOKENIZER, PROMPTS, strength=strength, max_new_tokens=12) == generate(model, omega=omega)


def test_a_method_by_its_name(model: Any) -> None:
    named = generate(model, omega=4.0, method="spa_probability")
    assert named == generate(model, omega=4.0, method=spa.Method("probability"))
    assert named != generate(model, omega=4.0)
    assert generate(model, method="cad", mask="removed") == generate(model, mask="removed")


def test_progress(model: Any, capsys: pytest.CaptureFixture[str]) -> None:
    quiet = generate(model, omega="-1..2")
    assert capsys.readouterr().err == ""
    assert generate(model, omega="-1..2", progress=True) == quiet
    last = capsys.readouterr().err.split("\r")[-1]
    assert last.startswith("100%|")
    assert "| 3.0/3 prompts [" in last


def test_the_text_at_an_omega(model: Any) -> None:
    for omega in (-1.0, -0.4, 0.0, 1.3, 2.0):
        for parts, (single,) in zip(generate(model, omega="-1..2"), generate(model, omega=omega), strict=True):
            assert parts.at(omega).token_ids == single.token_ids
    (texts, *_) = generate(model, omega=[0, 0.5])
    assert texts.at("0.5") is texts[1]
    with pytest.raises(SpaError, match=r"omega=0\.7 was not decoded; choose one of: 0, 0\.5"):
        texts.at(0.7)
    with pytest.raises(SpaError, match="omega=abc is not a number"):
        texts.at("abc")


def test_texts_show_themselves() -> None:
    texts = spa.Texts([spa.Text(0.0, 0.125, "a < b\n" * 20, "length", [7, 8]), spa.Text(0.125, 0.5, "", "eos", [])])
    assert repr(texts[0]) == "Text(omega=0.0000..0.1250, length, 2 tokens, " + repr("a < b\n" * 10 + "…") + ")"
    assert repr(texts) == f"[{texts[0]!r}, Text(omega=0.1250..0.5000, eos, 0 tokens, '')]"
    assert repr(spa.Text(0.2, 0.2, "x", "stop", [1])) == "Text(omega=0.2, stop, 1 tokens, 'x')"
    page = texts._repr_html_()
    assert page.count("<tr>") == 3
    assert "<td>0.0000..0.1250</td><td>length</td>" in page
    assert f">{'a &lt; b' + chr(10)}" in page
    assert "a < b" not in page


@pytest.mark.parametrize("omega", [0.0, 1.0])
def test_a_stream_joins_to_the_text(model: Any, omega: float) -> None:
    reasons, several = set(), 0
    for prompt in PROMPTS[:2]:
        ((whole,),) = generate(model, [prompt], omega, max_new_tokens=20)
        for stop in ((), [whole.text[6:9], "zzz"], [whole.text[3:5], whole.text[9:]], StopStrings((whole.text[2],))):
            ((text,),) = generate(model, [prompt], omega, stop=stop, max_new_tokens=20)
            pieces = [*spa.stream(model, TOKENIZER, prompt, omega, stop=stop, max_new_tokens=20)]
            assert "".join(pieces) == text.text
            several += len(pieces) > 1
            reasons.add(text.finish_reason)
    assert "stop" in reasons
    assert several


def test_a_stream_takes_what_generate_takes(model: Any) -> None:
    settings = {"chat": True, "mask": "collapsed", "method": "spa_decay", "max_new_tokens": 12, "eos_token_ids": 40}
    ((text,),) = spa.generate(model, TOKENIZER, [PLAIN[1]], 0.4, anchors=[["sort"]], **settings)
    pieces = spa.stream(model, TOKENIZER, PLAIN[1], strength=1.4, anchors=["sort"], **settings)
    assert "".join(pieces) == text.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"omega": [0, 1]}, r"omega=\[0, 1\] is more than one value; give a single number"),
        ({"omega": "0..1"}, r"omega=0\.\.1 is more than one value"),
        ({"prompt": "<anchor>a"}, r"prompts\[0\]: the last <anchor> of the prompt is not closed"),
        ({"prompt": 3}, r"prompts\[0\] is a int; give a string"),
        ({"anchors": "a"}, "anchors must hold a list of strings"),
        ({"max_new_tokens": 0}, "max_new_tokens=0 must be at least 1"),
    ],
)
def test_a_stream_complains_at_the_call(model: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SpaError, match=message):
        spa.stream(**({"model": model, "tokenizer": TOKENIZER, "prompt": PROMPTS[0], "omega": 1.0} | settings))


def test_chat(model: Any) -> None:
    chat = TOKENIZER.apply_chat_template(
        [{"role": "user", "content": PLAIN[1]}], tokenize=False, add_generation_prompt=True
    )
    in_chat = generate(model, [chat], anchors=[["sort"]])
    assert generate(model, [PROMPTS[1]], chat=True) == in_chat
    assert generate(model, [[{"role": "user", "content": PROMPTS[1]}]]) == in_chat


def test_messages(model: Any) -> None:
    """System turns, anchors of one message and of all, tags; beside the same conversation as a string."""
    messages = [
        {"role": "system", "content": "Be short, be kind."},
        {"role": "user", "content": "sort <anchor>the list</anchor>"},
        {"role": "assistant", "content": "which list?"},
        {"role": "user", "content": "a short one", "anchors": ["one"]},
    ]
    plain = [
        message | {"content": message["content"].replace("<anchor>", "").replace("</anchor>", "")}
        for message in messages
    ]
    for message in plain:
        message.pop("anchors", None)
    text = TOKENIZER.apply_chat_template(plain, tokenize=False, add_generation_prompt=True)
    for mask in MASKS[:4]:
        asked = generate(model, [messages, PROMPTS[0]], anchors=[["short", "kind"], []], mask=mask)
        again = generate(model, [text, PROMPTS[0]], anchors=[["short", "kind", "the list", "one"], []], mask=mask)
        assert asked == again
        assert asked[:1] != generate(model, [text], omega=0)


@pytest.mark.parametrize(("mask", "second"), [("last_token", ""), ("text", "write bad code")])
def test_the_users_turn_is_empty_or_another_text(model: Any, mask: str, second: str) -> None:
    chat, negative = (
        TOKENIZER.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        for content in (PLAIN[1], second)
    )
    expected = guided(model, chat, TOKENIZER(negative, add_special_tokens=False)["input_ids"], 2.0)
    settings = {"mask": mask, "mask_text": second or None}
    ((text,),) = generate(model, [PROMPTS[1]], chat=True, **settings)
    assert text.token_ids == expected
    with_system = [{"role": "system", "content": "Be short."}, {"role": "user", "content": PROMPTS[1]}]
    whole = TOKENIZER.apply_chat_template(
        [with_system[0], {"role": "user", "content": PLAIN[1]}], tokenize=False, add_generation_prompt=True
    )
    ((text,),) = generate(model, [with_system], **settings)
    assert text.token_ids == guided(model, whole, TOKENIZER(negative, add_special_tokens=False)["input_ids"], 2.0)


def test_a_text_in_the_place_of_a_prompt_without_chat(model: Any) -> None:
    ((text,),) = generate(model, [PROMPTS[1]], mask="text", mask_text="another")
    assert text.token_ids == guided(model, PLAIN[1], TOKENIZER("another")["input_ids"], 2.0)


def test_stop_and_eos(model: Any) -> None:
    ((whole,),) = generate(model, PROMPTS[:1], omega=0)
    middle = whole.token_ids[4]
    ((stopped,),) = generate(model, PROMPTS[:1], omega=0, eos_token_ids=[middle])
    assert stopped.token_ids == whole.token_ids[: whole.token_ids.index(middle)]
    assert stopped.finish_reason == "eos"
    string = whole.text[3]
    for stop in ([string], string, StopStrings((string,))):
        ((cut,),) = generate(model, PROMPTS[:1], omega=0, stop=stop)
        assert (cut.text, cut.finish_reason) == (whole.text[: whole.text.index(string)], "stop")


def test_eos_of_the_generation_config(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ((whole,),) = generate(model, PROMPTS[:1], omega=0)
    for eos in (whole.token_ids[2], [0, whole.token_ids[2]]):
        monkeypatch.setattr(model.generation_config, "eos_token_id", eos)
        assert generate(model, PROMPTS[:1], omega=0)[0][0].finish_reason == "eos"


def test_ids_that_stand_for_no_token_are_never_chosen(model: Any) -> None:
    """An output layer may be wider than the tokenizer's vocabulary."""
    ((whole,),) = generate(model, PROMPTS[:1], omega=0)
    tokenizer = copy.deepcopy(TOKENIZER)
    least = max(whole.token_ids)
    tokenizer.get_vocab = lambda: {str(number): number for number in range(least)}
    ((text,),) = spa.generate(model, tokenizer, PROMPTS[:1], 0.0, max_new_tokens=12)
    assert max(text.token_ids) < least
    interval = spa.generate(model, tokenizer, PROMPTS[:1], "-1..1", max_new_tokens=12)
    assert max(token for part in interval[0] for token in part.token_ids) < least


def test_the_context_limits_the_text() -> None:
    model = tiny.model("llama", vocabulary=len(TOKENIZER), positions=32)
    ((text,),) = generate(model, ["x" * 28], omega=0, max_new_tokens=12, eos_token_ids=[])
    assert (len(text.token_ids), text.finish_reason) == (4, "length")
    with pytest.raises(SpaError, match=r"prompts\[1\] has 32 tokens and the model's context only 32; shorten it"):
        generate(model, ["a", "x" * 32], omega=0)
    model.config.sliding_window = 16
    assert context_length(model.config) == 32, "a window is no end"


def test_any_architecture_with_positions_and_a_cache() -> None:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(TOKENIZER), n_embd=32, n_layer=2, n_head=4, bos_token_id=None, eos_token_id=257)
    model = GPT2LMHeadModel(config).eval()
    for omega in (0.0, 0.5):
        ((text,),) = generate(model, [PROMPTS[1]], omega)
        masked = [258] * 4 + TOKENIZER(PLAIN[1])["input_ids"][4:]
        assert text.token_ids == guided(model, PLAIN[1], masked, 1 + omega)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompts": "one"}, "prompts is a str; give a list of prompts, each a string or messages"),
        ({"prompts": [[]]}, r"prompts\[0\] has no message of the user"),
        ({"prompts": [[{"role": "system", "content": "a"}]]}, r"prompts\[0\] has no message of the user"),
        ({"prompts": [[{"role": "user"}]]}, r"prompts\[0\]\[0\] is no message"),
        ({"prompts": [[{"role": "user", "content": "a", "anchors": "a"}]]}, r"prompts\[0\]\[0\] is no message"),
        ({"prompts": [[{"role": "user", "content": "a", "anchor": ["a"]}]]}, r"prompts\[0\]\[0\] is no message"),
        ({"prompts": [[{"role": "user", "content": "a", "anchors": ["b"]}]]}, r"prompts\[0\]\[0\]: the anchor 'b'"),
        (
            {"prompts": [[{"role": "user", "content": "a"}]], "anchors": [["b"]]},
            r"prompts\[0\]: the anchor 'b' stands in none of the messages",
        ),
        ({"prompts": ["ab"], "anchors": [[1]]}, "anchors must hold a list of strings"),
        ({"mask": "text"}, "mask=text needs the text that the second prompt consists of: mask.text="),
        ({"mask": "package", "method": spa.Method("package"), "omega": "0..1"}, "is no line in omega"),
        ({"prompts": ["<anchor>a"]}, r"prompts\[0\]: the last <anchor> of the prompt is not closed"),
        ({"prompts": ["a", ""]}, r"prompts\[1\] is empty"),
        ({"prompts": ["a", "b"]}, "no prompt has an anchor"),
        (
            {"prompts": ["ab"], "anchors": [["c"]]},
            r"prompts\[0\]: the anchor 'c' is blank or does not stand in the prompt",
        ),
        ({"prompts": ["a b"], "anchors": [[" "]]}, r"the anchor ' ' is blank"),
        ({"prompts": ["ab"], "anchors": ["a"]}, "anchors must hold a list of strings for each of the 1 prompts"),
        ({"prompts": ["ab"], "anchors": []}, "anchors must hold a list of strings"),
        ({"omega": "1..0"}, "omega=1..0 is an empty or reversed interval"),
        ({"omega": Interval(1.0, 0.0)}, "empty or reversed interval"),
        ({"omega": Values(())}, "empty set"),
        ({"omega": Values((float("nan"),))}, "must be finite"),
        ({"mask": "zero"}, "mask=zero is unknown; choose one of: per_token, collapsed, attention, removed"),
        ({"mask_token": "<fim>"}, "mask token '<fim>' is not a token"),
        ({"max_new_tokens": 0}, "max_new_tokens=0 must be at least 1"),
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"stop": [""]}, "stop holds an empty string"),
    ],
)
def test_what_does_not_fit_gives_one_line(settings: dict[str, Any], message: str) -> None:
    model = tiny.model("llama", vocabulary=len(TOKENIZER))
    with pytest.raises(SpaError, match=message) as error:
        generate(model, **settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("asked", [{"prompts": ["a"], "chat": True}, {"prompts": [[{"role": "user", "content": "a"}]]}])
def test_messages_need_a_chat_template(asked: dict[str, Any]) -> None:
    model = tiny.model("llama", vocabulary=len(TOKENIZER))
    with pytest.raises(SpaError, match=r"the tokenizer has no chat template; set tokenizer.chat_template, or give"):
        spa.generate(model, tiny.tokenizer(), omega=0, **asked)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "gpt2"}, r"model is a str; give a transformers model, such as spa\.load_model\(NAME\)\[0\]"),
        ({"model": None}, "model is a NoneType"),
        ({"tokenizer": None}, r"tokenizer is a NoneType; give AutoTokenizer\.from_pretrained"),
        ({"prompts": 3}, "prompts is a int; give a list of prompts"),
        ({"prompts": None}, "prompts is a NoneType"),
        ({"prompts": {"a": "b"}}, "prompts is a dict"),
        ({"prompts": ["a", 3]}, r"prompts\[1\] is a int; give a string"),
        ({"prompts": [b"a"]}, r"prompts\[0\] is a bytes"),
        ({"prompts": [["a"]]}, r"prompts\[0\] is a list"),
        ({"omega": None}, "give the weight either as omega=..., where 0 is plain, or as strength="),
        ({"strength": 1.5}, "give the weight either as omega="),
        ({"omega": None, "strength": "abc"}, "strength=abc is not a number"),
        ({"omega": "abc"}, "omega=abc is not a number, a list of numbers or an interval"),
        ({"omega": {"lo": 0}}, "is not a number"),
        ({"anchors": 3}, "anchors must hold a list of strings for each of the 3 prompts"),
        ({"anchors": [1, 2, 3]}, "anchors must hold a list of strings for each of the 3 prompts"),
        ({"anchors": [[1], [2], []]}, "anchors must hold a list of strings for each of the 3 prompts"),
        ({"mask": 3}, "mask=3 is unknown"),
        ({"method": 3}, "method is a int; give a spa.Method or the name of one in conf/method"),
        ({"method": "nope"}, "method=nope is unknown; choose one of: cad, cfg, spa"),
        ({"max_new_tokens": 1.5}, "max_new_tokens=1.5 must be at least 1, and a whole number"),
        ({"max_new_tokens": None}, "max_new_tokens=None must be at least 1"),
        ({"batch_size": "many"}, "batch_size=many must be at least 1, and a whole number"),
        ({"eos_token_ids": "</s>"}, "eos_token_ids=</s> must be token ids"),
        ({"eos_token_ids": [None]}, r"eos_token_ids=\[None\] must be token ids"),
        ({"stop": 3}, "stop=3 must be strings, or a rule of spa.decoding.stopping"),
        ({"stop": ["a", 3]}, "must be strings, or a rule"),
        ({"stop": None}, "stop=None must be strings"),
    ],
)
def test_wrong_types_give_one_line(settings: dict[str, Any], message: str) -> None:
    model = tiny.model("llama", vocabulary=len(TOKENIZER))
    given = {"model": model, "tokenizer": TOKENIZER, "prompts": PROMPTS, "omega": 1.0} | settings
    with pytest.raises(SpaError, match=message) as error:
        spa.generate(**given)
    assert "\n" not in str(error.value)


def test_models_that_the_engine_would_decode_wrongly_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.model("llama", vocabulary=len(TOKENIZER))
    with pytest.raises(SpaError, match="OpenAIGPTLMHeadModel is no causal LM that takes position_ids and a cache"):
        generate(OpenAIGPTLMHeadModel(OpenAIGPTConfig(vocab_size=300, n_embd=16, n_layer=1, n_head=2)).eval())
    with pytest.raises(SpaError, match=r"is in training mode, .* call model.eval\(\)"):
        generate(tiny.model("llama").train())
    monkeypatch.setattr(model.config, "layer_types", ["full_attention", "linear_attention"], raising=False)
    with pytest.raises(SpaError, match="layers of the kind linear_attention"):
        generate(model)
    monkeypatch.undo()
    monkeypatch.setattr(model.config, "_attn_implementation_internal", "flash_attention_2")
    with pytest.raises(SpaError, match=r'computes attention by flash_attention_2, .* attn_implementation="sdpa"'):
        generate(model)


def test_no_prompts_no_texts() -> None:
    assert generate(tiny.model("llama"), []) == []


def test_only_its_names() -> None:
    with pytest.raises(AttributeError, match="module 'spa' has no attribute 'nothing'"):
        spa.nothing  # noqa: B018


@pytest.mark.parametrize("document", ["README.md", "docs/library.md"])
def test_the_examples_of_documents(
    document: str, tiny_llama: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As they stand, except for the checkpoint: from the hub in one, embedded in the other."""
    (example,) = re.findall(r"```python\n(.*?)```", (CONF.parent / document).read_text(), re.DOTALL)
    example, replaced = re.subn(r'^path = ".*"$', f"path = {str(tiny_llama)!r}", example, flags=re.MULTILINE)
    assert replaced == (document != "README.md")
    loaded = [auto.from_pretrained(tiny_llama) for auto in (AutoModelForCausalLM, AutoTokenizer)]
    monkeypatch.setattr(spa, "load_model", {"smollm2_135m": loaded}.__getitem__)
    exec(compile(example, document, "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("0.0 <= omega < ")
    assert " <= omega < 0.5: " in lines[-1]


@pytest.mark.slow
def test_a_first_try_needs_no_hub() -> None:
    model, tokenizer = spa.load_model("smollm2_135m")
    prompt = "Say <anchor>hello</anchor>."
    (texts,) = spa.generate(model, tokenizer, [prompt], [0, 0.5], chat=True, max_new_tokens=8)
    assert [text.omega_lo for text in texts] == [0, 0.5]
    assert all(text.token_ids for text in texts)
    with pytest.raises(SpaError, match="model=nope is unknown; choose one of: codegen_350m_mono, "):
        spa.load_model("nope")
