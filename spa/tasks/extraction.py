"""Raw model text -> a self-contained program.

Chat models: the code block that defines the entry point, as `markdown` finds it, with the prompt's imports and helpers
put back where it lacks them. Base models continue the prompt: prompt + completion.

Two keywords give what the authors' scripts do instead. sole_block: the code is the content of the one block marked
```` ```python ````, and the whole text where there is none or more than one. bare_code: nothing of the prompt is put
back, save all of it for base models on HumanEval.
"""

import ast
import re
import textwrap
import warnings
from dataclasses import dataclass, replace

from spa.records import Problem
from spa.tasks.markdown import Block, blocks, readable

FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})", re.MULTILINE)
# A mark of a block, which may stand behind text or code as well: then a line break in its place makes two lines.
ANY_FENCE = re.compile(r"(?:`{3,}|~{3,})[ \t]*(?:python3?|py)?")
MARKED_BLOCK = re.compile("```python(.*?)```", re.DOTALL)


def solution(problem: Problem, completion: str, kind: str, *, sole_block: bool = False, bare_code: bool = False) -> str:
    """What is scored. completion: the text up to the stop rule's cut; kind: "chat" or "base"."""
    if sole_block:
        code = sole_marked_block(completion)
    elif kind == "chat":
        code = program(problem, completion)
    else:
        code = completion
    if kind == "base":
        return code if bare_code and problem.family == "mbpp" else problem.prompt + code
    if bare_code:
        return code
    missing = missing_definitions(problem, code)
    head, body = split_future_imports(code)
    return "\n\n".join([*head, *missing, body]) if missing else code


def program(problem: Problem, answer: str) -> str:
    """The code of a chat model's answer.

    It is the first block that defines the entry point, behind the helpers that earlier blocks define; else a block that
    is the function's body alone, behind the prompt; else the longest stretch of lines that is a program with the entry
    point; else the first Python block, or the answer as it stands.
    """
    text = readable(answer)
    found = blocks(text)
    for number, block in enumerate(found):
        if defines(parsed(block.code), problem.entry_point):
            return "\n\n".join([*(each.code for each in found[:number] if _only_defines(each)), block.code])
    for block in found:
        body = problem.prompt + block.code
        if block.code[:1].isspace() and defines(parsed(body), problem.entry_point):
            return body
    stretches = (longest_stretch(each, problem.entry_point) for each in (text, ANY_FENCE.sub("\n", text)))
    if stretch := max(stretches, key=lambda code: len("".join(code.split()))):
        return stretch
    return next((block.code for block in found if block.is_python), text)


@dataclass(frozen=True)
class UntilProgram:
    """Stops behind the fence that closes the first block with the entry point; what a model thinks first is no answer.

    A stop rule of `decoding.stopping`. It reads the text so far where a line begins with three marks of a fence, and at
    each further mark: what follows them is not waited for.
    """

    entry_point: str
    text: str = ""

    def feed(self, piece: str) -> tuple["UntilProgram", int | None]:
        text = self.text + piece
        line = self.text.rfind("\n") + 1
        for fence in FENCE.finditer(text, line):
            for end in range(max(fence.start(1) + 3, len(self.text) + 1), fence.end(1) + 1):
                found = blocks(readable(text[:end]))
                if any(block.is_closed and defines(parsed(block.code), self.entry_point) for block in found):
                    return self, end
        return replace(self, text=text), None


def longest_stretch(text: str, entry_point: str) -> str:
    """The longest stretch of whole lines that parses and defines the entry point; empty if there is none."""
    if entry_point not in text:
        return ""
    lines = textwrap.dedent(text).split("\n")
    best: list[str] = []
    for start, line in enumerate(lines):
        if not line or line[0].isspace() or len(lines) - start <= len(best):
            continue
        end = len(lines)
        while end > start + len(best):
            stretch = lines[start:end]
            tree, fault = _parse("\n".join(stretch))
            if tree is not None:
                best = stretch if defines(tree, entry_point) else best
                break
            end = start + min(len(stretch), fault) - 1
    return "\n".join(best)


def _only_defines(block: Block) -> bool:
    """Whether a block is helpers: definitions and imports, and nothing that runs."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
    tree = parsed(block.code)
    return block.is_python and bool(tree) and all(isinstance(each, kinds) for each in tree)


def defines(tree: list[ast.stmt], entry_point: str) -> bool:
    """Whether statements bind the name."""
    return entry_point in _bound_names(tree)


def parsed(code: str) -> list[ast.stmt]:
    """The statements of a program, none where it is not one."""
    return _parse(code)[0] or []


def _parse(code: str) -> tuple[list[ast.stmt] | None, int]:
    """The statements, or none and the line of the error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in strings; as errors they would look like broken code
            return ast.parse(code).body, 0
    except SyntaxError as error:
        return None, error.lineno or 1
    except (ValueError, RecursionError, MemoryError):
        return None, 1


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
    statements, _ = _parse(code)
    if statements is None:
        return []
    bound, missing = _bound_names(statements), []
    for statement in parsed(problem.prompt):
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
