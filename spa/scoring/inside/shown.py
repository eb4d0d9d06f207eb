"""The tests that a prompt shows, on what a solution told: each runs again with a replay in the solution's place."""

import ast
import doctest
from contextlib import suppress
from typing import Any

from spa.scoring.inside import guard, reading

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def all_pass(tests: list[tuple[str, str]], entry_point: str, told: list[bytes]) -> bool:
    """Whether they pass; `told` are the lines of the solution's values, in the order in which the tests call it."""
    returned = map(reading.decode, told)
    program = guard.NAMES_OF_TESTS | {entry_point: lambda *_, **__: next(returned)}
    try:
        return all(passes(source, want, program) for source, want in tests)
    except Exception:  # of an assertion, or of what was told
        return False


def passes(source: str, want: str, program: dict[str, Any]) -> bool:
    """Whether a statement runs, or an expression has the value that is wanted, or shows it as doctest compares.

    Where nothing is wanted, the value is None, as in doctest, or a comparison that is true, as in six prompts.
    """
    try:
        expression = compile(source.strip(), "<test>", "eval")
    except SyntaxError:
        exec(source, program)
        return not want
    value = eval(expression, program)
    if not want:
        return value is None or value is True
    with suppress(SyntaxError, ValueError):
        if ast.literal_eval(want.strip()) == value:
            return True
    return doctest.OutputChecker().check_output(want, f"{value!r}\n", FLAGS)
