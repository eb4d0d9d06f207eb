"""Golden prompts of each template, and exactly one BOS."""

import re
from pathlib import Path
from typing import Any

import evalplus.codegen
import pytest
import tiny
from rendering import ADD_ONE, bind, problem

from spa.errors import SpaError
from spa.tasks.prompts import (
    Template,
    load_template,
    renderer,
)

MASKS = ("per_token", "collapsed")


INSTRUCTION = (
    "Please continue to complete the function. You are not allowed to modify the given code and do the completion "
    "only. Please return all completed function in a codeblock. Here is the given code to do completion:\n"
)


DEEPSEEK_SYSTEM = (
    "You are an AI programming assistant, utilizing the Deepseek Coder model, developed by Deepseek Company, and you "
    "only answer questions related to computer science. For politically sensitive questions, security and privacy "
    "issues, and other non-computer science questions, you will refuse to answer\n"
)


def own_template(jinja: str) -> Template:
    return Template("own", chat=True, sha="", user={"humaneval": "{problem}"}, chat_template=jinja)


def test_deepseek_coder() -> None:
    expected = f"<s>{DEEPSEEK_SYSTEM}### Instruction:\n{INSTRUCTION}```python\n{ADD_ONE.strip()}\n```\n### Response:\n"
    assert bind(tiny.tokenizer(), "deepseek_coder")(problem(), ()).prompt_text == expected


def test_completion_is_the_prompt_as_it_stands() -> None:
    text = "\n\n" + ADD_ONE + "  "
    assert bind(tiny.tokenizer(), "completion")(problem(text), ()).prompt_text == text


def test_instruct_uses_the_tokenizers_own_chat_template() -> None:
    pair = bind(tiny.tokenizer(chat=True), "instruct")(problem("\n\n" + ADD_ONE), ())
    assert pair.prompt_text == f"<s><|user|>{INSTRUCTION}```python\n{ADD_ONE.strip()}\n```\n<|assistant|>"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("completion", '"""\nAdd one.\nassert f(1) == 2\n"""\n'),
        ("instruct", '<s><|user|>"""\nAdd one.\nassert f(1) == 2\n"""\n<|assistant|>'),
        (
            "deepseek_coder",
            f'<s>{DEEPSEEK_SYSTEM}### Instruction:\n"""\nAdd one.\nassert f(1) == 2\n"""\n### Response:\n',
        ),
    ],
)
def test_mbpp_is_the_problem_text_alone(template: str, expected: str) -> None:
    task = problem('"""\nAdd one.\nassert f(1) == 2\n"""\n', "mbpp")
    assert bind(tiny.tokenizer(chat=True), template, family="mbpp")(task, ()).prompt_text == expected


def test_template_files_name_their_origin() -> None:
    for name in ("deepseek_coder", "instruct"):
        template = load_template(name)
        assert "deepseek-ai" in template.origin
        assert template.user["humaneval"] == INSTRUCTION + "```python\n{problem}\n```"
        assert len(template.sha) == 64


@pytest.mark.parametrize("family", ["humaneval", "mbpp"])
def test_evalplus_prompts_are_its_own(family: str) -> None:
    """Against its code, on a tokenizer with a chat template and on one without."""
    from evalplus.provider.utility import make_raw_chat_prompt

    source = Path(evalplus.codegen.__file__).read_text()
    instruction, response = (re.search(rf'{name}_prefix = "(.+)"', source)[1] for name in ("instruction", "response"))
    text = "\n\n" + ADD_ONE + "  "
    for tokenizer, kind in ((tiny.tokenizer(chat=True), "chat"), (tiny.tokenizer(), "base")):
        given = text.strip() + "\n"  # as its codegen() hands the problem on
        expected = make_raw_chat_prompt(given, instruction, response, tokenizer)
        template = load_template("evalplus", kind)
        assert (
            renderer(template, tokenizer, family, "per_token", "<unk>")(problem(text, family), ()).prompt_text
            == expected
        )


def test_evalplus_stop_strings_are_its_own() -> None:
    from evalplus.provider.utility import EOS, extra_eos_for_direct_completion

    for family in ("humaneval", "mbpp"):
        assert set(load_template("evalplus").stop[family]) == {*EOS, "\n```\n"}
        assert set(load_template("evalplus", "base").stop[family]) == {*EOS, *extra_eos_for_direct_completion(family)}


CHATML = (  # as Qwen2.5 writes messages
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize("family", ["humaneval", "mbpp"])
def test_qwens_prompt_is_its_scripts(family: str) -> None:
    """Its script writes ChatML itself, around the stripped problem, and leaves the answer open."""
    tokenizer = tiny.tokenizer(chat=True)
    tokenizer.chat_template = CHATML
    expected = (
        "<|im_start|>system\nYou are an intelligent programming assistant to produce Python algorithmic solutions"
        "<|im_end|>\n<|im_start|>user\nCan you complete the following Python function?\n"
        f"```python\n{ADD_ONE.strip()}\n```\n<|im_end|>\n<|im_start|>assistant\n```python\n"
    )
    pair = bind(tokenizer, "qwen_coder", family=family)(problem("\n\n" + ADD_ONE + "  ", family), ())
    assert pair.prompt_text == expected


def test_qwens_stop_strings_are_its_scripts() -> None:
    """Those of the evalplus that it is a copy of, comments, and a closing fence."""
    from evalplus.provider.utility import EOS

    template = load_template("qwen_coder")
    assert template.stop["humaneval"] == template.stop["mbpp"] == [*EOS, "\n#", "\n```"]
    assert "QwenLM/Qwen2.5-Coder, qwencoder-eval/instruct/eval_plus" in template.origin


@pytest.mark.parametrize(
    ("tokenizer", "template", "n_bos"),
    [
        (tiny.tokenizer(bos=True), "completion", 1),  # the tokenizer adds it
        (tiny.tokenizer(bos=True), "deepseek_coder", 1),  # so does the template
        (tiny.tokenizer(bos=False), "deepseek_coder", 1),  # only the template does
        (tiny.tokenizer(bos=False), "completion", 0),
    ],
)
@pytest.mark.parametrize("mask", MASKS)
def test_exactly_one_bos(tokenizer: Any, template: str, n_bos: int, mask: str) -> None:
    pair = bind(tokenizer, template, mask)(problem(), [(0, len(ADD_ONE) - 1)])
    for ids in (pair.original_ids, pair.masked_ids):
        assert ids.count(tokenizer.bos_token_id) == n_bos
        assert (ids[0] == tokenizer.bos_token_id) == bool(n_bos)
    assert n_bos == 0 or 0 not in pair.masked_positions


@pytest.mark.parametrize("bos", [True, False])
def test_two_bos_are_refused(bos: bool) -> None:
    doubled = own_template("{{ bos_token }}{{ bos_token }}{{ messages[0]['content'] }}")
    render = renderer(doubled, tiny.tokenizer(bos=bos), "humaneval", "per_token", None)
    with pytest.raises(SpaError, match=r"begins with two BOS tokens \(<s>\)"):
        render(problem(), ())
