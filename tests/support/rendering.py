"""A problem, and templates bound to a tokenizer."""

from typing import Any

from spa.records import Problem
from spa.tasks.prompts import Renderer, load_template, renderer

ADD_ONE = 'def f(x):\n    """ Add one.\n    >>> f(1)\n    2\n    """\n'


def problem(prompt: str = ADD_ONE, family: str = "humaneval") -> Problem:
    return Problem("Task/1", family, prompt, "f", "", [], None, "", 0.0)


def bind(tokenizer: Any, template: str = "completion", mask: str = "per_token", family: str = "humaneval") -> Renderer:
    return renderer(load_template(template), tokenizer, family, mask, "<unk>")
