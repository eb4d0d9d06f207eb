"""Wrong programs that look right: a canonical solution with one operator changed. A scorer has to catch them.

Some mutants are equivalent to the original or beyond the tests; what counts is that no scorer catches fewer.
"""

import ast
import random
import warnings
from collections.abc import Iterator

from spa.records import Problem, Submission

# Each operator's replacement. `**` is only ever replaced: in its place others may compute for ever.
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.USub: ast.UAdd,
}


def make(problem: Problem, count: int = 1, seed: int = 0) -> list[Submission]:
    """Up to `count` different programs, each the canonical solution with one operator changed, chosen by the seed.

    Fewer where it has fewer operators.
    """
    original = problem.prompt + problem.canonical_solution
    places = len(list(_operators(_parse(original))))
    chosen = random.Random(f"{seed} {problem.task_id}").sample(range(places), min(count, places))
    return [(problem.task_id, _mutant(original, place)) for place in sorted(chosen)]


def _mutant(original: str, place: int) -> str:
    tree = _parse(original)
    node, field, index = list(_operators(tree))[place]
    operators = getattr(node, field)
    if index is None:
        setattr(node, field, SWAPS[type(operators)]())
    else:
        operators[index] = SWAPS[type(operators[index])]()
    return ast.unparse(tree) + "\n"


def _parse(program: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the data's programs: invalid escapes
        return ast.parse(program)


def _operators(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Where the operators are: node, field, and position in the field where that is a list."""
    for node in ast.walk(tree):
        for field, value in ast.iter_fields(node):
            for index, operator in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if type(operator) in SWAPS:
                    yield node, field, index
