"""Runs a solution and the tests of its prompt in the sandbox, and says "passed" where all of them do.

Started by its path, `visible_tests_worker.py FOLDER...`, for one solution, in the manner of `isolated_worker`.
"""

import ast
import doctest
import json
import os
import signal
import sys
from contextlib import suppress
from typing import Any

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def main() -> None:
    """Answer one message: {"solution", "tests": [[source, want], ...], "seconds"}."""
    sys.path += sys.argv[1:]
    from spa.scoring.inside import syscalls
    from spa.scoring.inside.channel import attach, receive

    syscalls.forbid()
    channel = attach()
    request = json.loads(receive(channel))
    signal.signal(signal.SIGALRM, _out_of_time)
    program: dict[str, Any] = {"__name__": "solution"}
    with suppress(BaseException):
        signal.setitimer(signal.ITIMER_REAL, request["seconds"])
        exec(request["solution"], program)
        if all(passes(source, want, program, request["seconds"]) for source, want in request["tests"]):
            os.write(channel, b"passed")
    os._exit(0)


def passes(source: str, want: str, program: dict[str, Any], seconds: float) -> bool:
    """Whether a statement runs, or an expression has the value that is wanted, or shows it as doctest compares.

    Where nothing is wanted, the value is None, as in doctest, or a comparison that is true, as in six prompts.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)
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


def _out_of_time(*_: object) -> None:
    raise TimeoutError


if __name__ == "__main__":
    main()
