"""Raw model text -> a self-contained program.

Chat models: the first Python code block, with the prompt's imports and helpers put back where the block lacks them.
Base models continue the prompt: prompt + completion.

Two keywords give what the authors' scripts do instead. sole_block: the code is the content of the one block marked
```` ```python ````, and the whole text where there is none or more than one. bare_code: nothing of the prompt is put
back, save all of it for base models on HumanEval.
"""

import ast
import re
import warnings

from spa.decoding.stopping import FENCE, PYTHON_FENCE
from spa.records import Problem

MARKED_BLOCK = re.compile("```python(.*?)```", re.DOTALL)


def solution(problem: Problem, completion: str, kind: str, *, sole_block: bool = False, bare_code: bool = False) -> str:
    """What is scored. completion: the text up to the stop rule's cut; kind: "chat" or "base"."""
    if sole_block:
        code = sole_marked_block(completion)
    elif kind == "chat":
        code = first_block(completion)
    else:
        code = completion
    if kind == "base":
        return code if bare_code and problem.family == "mbpp" else problem.prompt + code
    if bare_code:
        return code
    missing = missing_definitions(problem, code)
    head, body = split_future_imports(code)
    return "\n\n".join([*head, *missing, body]) if missing else code


def first_block(text: str) -> str:
    """The content of the first fenced block that is marked as Python or not marked at all.

    An unclosed block goes to the end of the text; a text without any such block is code as it stands.
    """
    inside: str | None = None
    block: list[str] = []
    for line in text.split("\n"):
        fence = FENCE.match(line)
        if fence and inside == "python":
            break
        if fence and inside is None:
            inside = "python" if PYTHON_FENCE.fullmatch(line) else "other"
        elif fence:
            inside = None
        elif inside == "python":
            block.append(line)
    return "\n".join(block) if inside == "python" else text


def sole_marked_block(text: str) -> str:
    """The stripped content of the only block marked ```` ```python ````, or the text as it stands.

    Source: the authors' get_code_snippets_deepseek and the caller that catches its error.
    """
    blocks = MARKED_BLOCK.findall(text)
    return blocks[0].strip() if len(blocks) == 1 else text


def missing_definitions(problem: Problem, code: str) -> list[str]:
    """Source of the prompt's top-level statements in front of the entry point that bind names `code` does not bind.

    Code that does not parse gets nothing: it cannot run either way.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in strings; as errors they would look like broken code
            bound = _bound_names(ast.parse(code).body)
            prompt = ast.parse(problem.prompt)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    missing = []
    for statement in prompt.body:
        names = _bound_names([statement])
        if names and problem.entry_point not in names and not names <= bound:
            missing.append(ast.get_source_segment(problem.prompt, statement) or "")
    return missing


def split_future_imports(code: str) -> tuple[list[str], str]:
    """What has to stay in front: everything up to the last `from __future__` import, if there is one; and the rest."""
    lines = code.split("\n")
    last = max((number for number, line in enumerate(lines, 1) if line.startswith("from __future__ ")), default=0)
    return (["\n".join(lines[:last])] if last else []), "\n".join(lines[last:])


def _bound_names(statements: list[ast.stmt]) -> set[str]:
    names: set[str] = set()
    for statement in statements:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name.split(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.Assign):
            names.update(target.id for target in statement.targets if isinstance(target, ast.Name))
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names.add(statement.target.id)
    return names
