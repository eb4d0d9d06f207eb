"""The program in a model's text, and what is put back from the prompt."""

import ast
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spa.records import Problem
from spa.tasks.benchmarks import Benchmark
from spa.tasks.extraction import UntilProgram, missing_definitions, program, solution

BODY = "def f(x):\n    return x + 1"
PLAIN = Problem("T/1", "humaneval", 'def f(x):\n    """ Add one. """\n', "f", "", [], None, "", 0.0)
HELPED = """import math
from typing import List, Tuple


LIMIT = 3
STEP: int = 1


def helper(s: str):
    ''' Help. '''
    return s


def f(x: List[int]):
    ''' Add one. '''
"""
WITH_LIST = replace(PLAIN, prompt=HELPED)
# Lines from which model texts are made.
FENCES = ["```python", "```", "```py", "```Python ", "```bash", "  ```", "    ```", "````", "```python x"]
OTHERS = [
    "ls",
    "",
    BODY,
    "import math",
    "from typing import List",
    "def f(:",
    "x = '\\d'",
    "Here it is:",
    "\ud800",
    "\0",
]
PIECES = st.sampled_from([*FENCES, *OTHERS])
TEXTS = st.one_of(st.text(), st.lists(PIECES).map("\n".join), st.lists(PIECES).map("\r\n".join))


def task(benchmark: Benchmark, number: int) -> Problem:
    return next(problem for problem in benchmark.problems if problem.task_id == f"HumanEval/{number}")


# The block


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{BODY}\n```",
        f"Here it is:\n\n```python\n{BODY}\n```\nIt adds one.\n```python\nf(1)\n```",
        f"```Python\n{BODY}\n```",
        f"```py\n{BODY}\n```",
        f"``` python3 \n{BODY}\n```",
        f"```\n{BODY}\n```\nand\n```python\nf(1)\n```",  # the first one, marked or not
        f"  ```python\n{BODY}\n  ```",
        f"```python\n{BODY}",  # never closed
        f"```bash\npip install x\n```\n```python\n{BODY}\n```",  # the first Python block
        f"```text\n```\n```\n{BODY}\n```",
    ],
)
def test_the_block_with_the_entry_point(text: str) -> None:
    assert program(PLAIN, text) == BODY
    assert solution(PLAIN, text, "chat") == BODY


@pytest.mark.parametrize(
    "text", [BODY, "", "I cannot do that.", "```bash\nls\n```", "`f(x)`", "    ```python\n    x\n"]
)
def test_a_text_without_a_python_block_is_code_as_it_stands(text: str) -> None:
    assert program(PLAIN, text) == text


def test_a_body_alone_stands_behind_the_prompt() -> None:
    body = "    return x\n\n    # end"
    assert program(PLAIN, f"```python\n{body}\n```") == PLAIN.prompt + body


# What is put back


def test_imports_and_helpers_are_put_back() -> None:
    found = solution(WITH_LIST, f"```python\n{BODY}\n```", "chat")
    assert found.endswith("\n\n" + BODY)
    assert missing_definitions(WITH_LIST, BODY) == [
        "import math",
        "from typing import List, Tuple",
        "LIMIT = 3",
        "STEP: int = 1",
        "def helper(s: str):\n    ''' Help. '''\n    return s",
    ]
    for expected in missing_definitions(WITH_LIST, BODY):
        assert expected in found


def test_what_is_there_is_not_put_back() -> None:
    assert solution(WITH_LIST, WITH_LIST.prompt + "    return x", "chat") == WITH_LIST.prompt + "    return x"
    written = f"import math\nfrom typing import List, Tuple\nLIMIT = STEP = 1\nclass helper:\n    pass\n{BODY}"
    assert missing_definitions(WITH_LIST, written) == []
    one_name_less = written.replace("List, Tuple", "List")
    assert missing_definitions(WITH_LIST, one_name_less) == ["from typing import List, Tuple"]


def test_a_name_bound_under_another_name_is_put_back() -> None:
    assert "import math" in missing_definitions(WITH_LIST, f"import math as m\n{BODY}")


def test_a_submodule_binds_its_package() -> None:
    prompt = replace(PLAIN, prompt="import os.path\n\n\n" + PLAIN.prompt)
    assert missing_definitions(prompt, f"import os\n{BODY}") == []
    assert missing_definitions(prompt, BODY) == ["import os.path"]


@pytest.mark.parametrize(
    "code", ["def f(x)\n    return x", "Sure! Here:", "    return x", "\0", "\ud800 = 1", "(" * 500]
)
def test_code_that_does_not_parse_gets_nothing(code: str) -> None:
    assert missing_definitions(WITH_LIST, code) == []
    assert solution(WITH_LIST, code, "chat") == code


def test_a_prompt_that_is_not_python_gives_nothing() -> None:
    prose = Problem("T/3", "mbpp", "Write a function that adds one.", "f", "", [], None, "", 0.0)
    assert solution(prose, BODY, "chat") == BODY


def test_doubtful_escapes_are_no_syntax_errors() -> None:
    assert "import math" in missing_definitions(WITH_LIST, "import re\ndef f(x):\n    return re.split('\\d', x)")


@pytest.mark.parametrize(
    ("number", "helper"), [(10, "is_palindrome"), (32, "poly"), (38, "encode_cyclic"), (50, "encode_shift")]
)
def test_humaneval_helpers(humaneval: Benchmark, number: int, helper: str) -> None:
    problem = task(humaneval, number)
    alone = f"def {problem.entry_point}(*args):\n    return {helper}(*args)"
    namespace: dict[str, object] = {}
    exec(solution(problem, f"```python\n{alone}\n```", "chat"), namespace)
    assert helper in namespace
    assert alone in solution(problem, alone, "chat")
    whole = problem.prompt + problem.canonical_solution
    assert solution(problem, f"```python\n{whole}\n```", "chat") == whole


def test_every_canonical_function_defines_its_entry_point(humaneval: Benchmark) -> None:
    """The last function alone, as chat models answer, becomes a program that runs."""
    n_put_back = 0
    for problem in humaneval.problems:
        whole = problem.prompt + problem.canonical_solution
        functions = [node for node in ast.parse(whole).body if getattr(node, "name", "") == problem.entry_point]
        alone = ast.get_source_segment(whole, functions[-1])
        made = solution(problem, f"```python\n{alone}\n```", "chat")
        namespace: dict[str, object] = {}
        exec(made, namespace)
        assert callable(namespace[problem.entry_point])
        n_put_back += made != alone
    assert n_put_back >= 20


def test_base_models_continue_the_prompt() -> None:
    completion = "    return x + 1  # ```python\n"
    assert solution(WITH_LIST, completion, "base") == WITH_LIST.prompt + completion


# The authors' extraction beside ours


ONE = f"Here:\n```python\n{BODY}\n```\nDone."
TWO = f"{ONE}\n```python\nf(1)\n```"
UNMARKED = f"```\n{BODY}\n```"


@pytest.mark.parametrize(
    ("text", "ours", "theirs"),
    [
        (ONE, BODY, BODY),
        (TWO, BODY, TWO),
        (UNMARKED, BODY, UNMARKED),
        (f"```python\n{BODY}", BODY, f"```python\n{BODY}"),  # never closed
        (f"  \n{BODY}\n", f"{BODY}\n", f"  \n{BODY}\n"),
    ],
)
def test_sole_block(text: str, ours: str, theirs: str) -> None:
    assert solution(PLAIN, text, "chat") == ours
    assert solution(PLAIN, text, "chat", sole_block=True) == theirs


def test_sole_block_applies_to_base_models_too() -> None:
    text = "    return x\n```python\nf(1)\n```"
    assert solution(PLAIN, text, "base") == PLAIN.prompt + text
    assert solution(PLAIN, text, "base", sole_block=True) == PLAIN.prompt + "f(1)"


def test_bare_code_puts_nothing_back() -> None:
    alone = f"```python\n{BODY}\n```"
    assert "from typing import List, Tuple" in solution(WITH_LIST, alone, "chat")
    assert solution(WITH_LIST, alone, "chat", bare_code=True) == BODY


def test_bare_code_leaves_the_prompt_to_base_models_on_humaneval() -> None:
    mbpp = replace(PLAIN, family="mbpp")
    assert solution(mbpp, BODY, "base") == PLAIN.prompt + BODY
    assert solution(mbpp, BODY, "base", bare_code=True) == BODY
    assert solution(PLAIN, "    return x", "base", bare_code=True) == PLAIN.prompt + "    return x"


# Any text


@given(TEXTS)
def test_any_text_gives_a_solution(text: str) -> None:
    for problem in (PLAIN, WITH_LIST):
        assert solution(problem, text, "base") == problem.prompt + text
        assert isinstance(solution(problem, text, "chat"), str)


@given(TEXTS.filter(lambda text: "```" not in text))
def test_extracting_twice_changes_nothing(code: str) -> None:
    once = solution(WITH_LIST, code, "chat")
    assert solution(WITH_LIST, once, "chat") == once


BLOCKS = st.builds(
    lambda mark, info, code: f"{mark}{info}\n{code}\n{mark}",
    st.sampled_from(["```", "````", "~~~"]),
    st.sampled_from(["python", "py", "", "bash", "python x"]),
    st.sampled_from(OTHERS),
)


@given(st.lists(st.one_of(BLOCKS, st.sampled_from(OTHERS))).map("\n".join), st.integers(1, 7))
def test_cut_text_gives_the_same_solution(text: str, step: int) -> None:
    """What the chat stop rule cuts off never belongs to the solution."""
    rule, keep = UntilProgram(WITH_LIST.entry_point), None
    for start in range(0, len(text), step):
        rule, keep = rule.feed(text[start : start + step])
        if keep is not None:
            break
    assert UntilProgram(WITH_LIST.entry_point).feed(text)[1] == keep, "pieces do not matter"
    assert solution(WITH_LIST, text[:keep], "chat") == solution(WITH_LIST, text, "chat")


def test_imports_are_put_behind_future_imports() -> None:
    code = "from __future__ import annotations\n\ndef f(xs: List[int]) -> int:\n    return 1"
    problem = Problem("t", "humaneval", "from typing import List\n\n\ndef f(xs):\n    pass\n", "f", "", [], None, "", 0)
    program = solution(problem, f"```python\n{code}\n```", "chat")
    assert program.startswith("from __future__ import annotations\n\nfrom typing import List\n\n")
    compile(program, "program", "exec")
