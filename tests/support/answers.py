"""Answers as models write them: right programs in many forms, for tasks of HumanEval and MBPP.

Each form is a way of writing, not a line.
"""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass

LARGEST = """def max_element(l: list):
    m = l[0]
    for e in l:
        if e > m:
            m = e
    return m"""
JOINED = """def concatenate(strings):
    \"\"\"Join them.\"\"\"
    result = ""
    for each in strings:
        result += each
    return result"""
DISTINCT = """def unique(l: list):
    seen = set(l)

    return sorted(seen)"""
PROGRAMS = {"HumanEval/35": LARGEST, "HumanEval/28": JOINED, "HumanEval/34": DISTINCT}
CALLS = {"HumanEval/35": "max_element([1, 2])", "HumanEval/28": 'concatenate(["a"])', "HumanEval/34": "unique([1, 1])"}

Form = Callable[[str, str], str]  # of the program and a call of it


def fenced(info: str = "python", mark: str = "```") -> Form:
    return lambda code, _: f"Here it is.\n\n{mark}{info}\n{code}\n{mark}\n\nIt works."


def indented(prefix: str, depth: int) -> Form:
    """Within an item of a list."""
    return lambda code, _: f"{prefix}\n\n" + textwrap.indent(f"```python\n{code}\n```\n", " " * depth)


def body(code: str) -> str:
    return code.split("\n", 1)[1]


FORMS: dict[str, Form] = {
    "python": fenced(),
    "Python in capitals": fenced("PYTHON"),
    "a version": fenced("python3.12"),
    "py": fenced("py"),
    "attributes": fenced('python title="solution.py"'),
    "line numbers": fenced("python linenums=1"),
    "braces": fenced("{.python}"),
    "no mark": fenced(""),
    "another name": fenced("code"),
    "tildes": fenced("python", "~~~"),
    "four backticks": fenced("python", "````"),
    "five tildes": fenced("", "~~~~~"),
    "an item of a list": indented("1. The function:", 3),
    "an item with two spaces": indented("1.  The function:", 4),
    "a bullet": indented("- The function:", 2),
    "only the fence is indented": lambda code, _: f"  ```python\n{code}\n  ```",
    "a quotation": lambda code, _: textwrap.indent(f"```python\n{code}\n```\n", "> ", lambda _: True),
    "wrapped in markdown": lambda code, _: f"```markdown\n# Solution\n```python\n{code}\n```\n```\n",
    "a byte order mark": lambda code, _: f"\ufeff```python\n{code}\n```",
    "a mark of no width in the code": lambda code, _: f"```python\n\u200b{code}\n```",
    "carriage returns": lambda code, _: f"Sure:\n```python\n{code}\n```\nDone.".replace("\n", "\r\n"),
    "carriage returns alone": lambda code, _: f"Sure:\n```python\n{code}\n```\n".replace("\n", "\r"),
    "usage first": lambda code, call: f"```python\nprint({call})\n```\nwhere\n```python\n{code}\n```",
    "output first": lambda code, _: f"It prints\n```\n2\n```\nby\n```python\n{code}\n```",
    "a shell first": lambda code, _: f"```bash\npip install numpy\n```\n```python\n{code}\n```",
    "usage behind": lambda code, call: f"```python\n{code}\n```\n```python\nassert {call}\n```",
    "an empty block first": lambda code, _: f"```python\n```\n```python\n{code}\n```",
    "thought first": lambda code, call: f"<think>\nPerhaps {call}?\n</think>\n\n```python\n{code}\n```",
    "a draft in its thought": lambda code, call: (
        f"<think>\n```python\n{code.split('(')[0]}(*_):\n    return None\n```\nNo.\n</think>\n```python\n{code}\n```"
    ),
    "the end of a thought": lambda code, _: f"So a loop.\n</think>\n\n```python\n{code}\n```",
    "thought, then bare code": lambda code, _: f"<think>\nEasy.\n</think>\n{code}\n",
    "bare code": lambda code, _: code,
    "prose before bare code": lambda code, _: f"Here is the code:\n\n{code}\n",
    "prose around bare code": lambda code, _: f"Here is the code:\n\n{code}\n\nThis returns what was asked for.",
    "a token at the end": lambda code, _: f"{code}\n<|im_end|>",
    "never closed": lambda code, _: f"Sure:\n```python\n{code}\n",
    "cut in the middle of a test": lambda code, call: f"Sure:\n```python\n{code}\n\n# Test\nprint({call}, [1,2,",
    "a fence behind text": lambda code, _: f"Solution: ```python\n{code}\n```\n",
    "the closing fence behind code": lambda code, _: f"```python\n{code}```\n",
    "a closing fence alone": lambda code, _: f"{code}\n```\n",
    "the body alone": lambda code, _: f"The completion is:\n```python\n{body(code)}\n```",
    "the body alone, bare": lambda code, _: f"```\n{body(code)}\n```",
    "a helper in a block of its own": lambda code, _: (
        "First\n```python\ndef same(x):\n    return x\n```\n"
        f"then\n```python\n{code.replace('return ', 'return same(')})\n```"
    ),
    "an import in a block of its own": lambda code, _: (
        f"```python\nimport copy\n```\n```python\n{code.replace('return ', 'return copy.copy(')})\n```"
    ),
    "a fence within a docstring": lambda code, call: (
        f'```python\n{code.split(chr(10))[0]}\n    """Example:\n\n```\n{call}\n```\n    """\n{body(code)}\n```\n'
    ),
    "a main guard": lambda code, call: f'```python\n{code}\n\nif __name__ == "__main__":\n    print({call})\n```',
    "decorated": lambda code, _: f"```python\ndef same(f):\n    return f\n\n@same\n{code}\n```",
    "an alias": lambda code, _: (
        f"```python\n{code.replace('def ', 'def _', 1)}\n{code[4:].split('(')[0]} = _{code[4:].split('(')[0]}\n```"
    ),
}


@dataclass(frozen=True)
class Answer:
    """A text that holds a right program."""

    form: str
    task_id: str
    text: str


CORPUS = [
    Answer(form, task_id, write(code, CALLS[task_id]))
    for form, write in FORMS.items()
    for task_id, code in PROGRAMS.items()
]
