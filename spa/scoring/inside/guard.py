"""What a solution finds in evalplus' process, beside its tests: names taken away, streams, limits of memory.

evalplus' `reliability_guard`, `swallow_io` and its 4 GiB of addresses (evalplus/eval/utils.py, 0.3.1), for a process
that has no evalplus. The guard protects nothing, the sandbox does; but a solution that calls what evalplus takes away
fails there, and so it must here.
"""

import importlib
import io
import math
import os
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Never

MEMORY_BYTES = 4 * 2**30  # of addresses, of data and of the stack, while a solution runs
TELLING_BYTES = 12 * 2**30  # of addresses while its outputs are written down
MEMORY_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_STACK)

FORBIDDEN = {
    "builtins": ("exit", "quit", "help", "open"),
    "os": (
        *("kill", "system", "putenv", "remove", "removedirs", "rmdir", "fchdir", "setuid", "fork", "forkpty", "killpg"),
        *("rename", "renames", "truncate", "replace", "unlink", "fchmod", "fchown", "chmod", "chown", "chroot"),
        *("lchflags", "lchmod", "lchown", "getcwd", "chdir"),
    ),
    "shutil": ("rmtree", "move", "chown"),
    "subprocess": ("Popen",),
}
NAMES_OF_TESTS: dict[str, Any] = {"math": math, "sys": sys}  # that tests in prompts use, beside the solution's
FORBIDDEN_MODULES = ("ipdb", "joblib", "resource", "psutil", "tkinter")


class Stream(io.StringIO):
    """In the place of stdin, stdout and stderr: takes what is written and refuses to be read."""

    def read(self, *_: object) -> Never:
        raise OSError("there is nothing to read")

    readline = readlines = read

    def readable(self) -> bool:
        return False


def streams() -> None:
    """Fresh ones, as for each call of a solution."""
    sys.stdin = sys.stdout = sys.stderr = Stream()


def limit(n_bytes: int, kinds: Sequence[int] = MEMORY_LIMITS) -> None:
    """Limit this process, as far as its hard limits let it; they stay, so that more can be had again."""
    for kind in kinds:
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (n_bytes if hard < 0 else min(n_bytes, hard), hard))


def take_away(solution: str) -> None:
    """Take away what evalplus does. What the solution imports of the standard library is there first, as in evalplus.

    `tempfile`, for one, needs some of it when it is imported, and when it looks for its folder.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in _imports(solution) & (sys.stdlib_module_names | {"numpy"}) - {"antigravity", "this"}:
        with suppress(Exception):
            importlib.import_module(name)
    if tempfile := sys.modules.get("tempfile"):
        tempfile.gettempdir()
    for module, names in FORBIDDEN.items():
        if module in sys.modules or module in solution:  # to import them all takes long
            for name in names:
                setattr(importlib.import_module(module), name, None)
    modules: dict[str, Any] = sys.modules
    modules.update(dict.fromkeys(FORBIDDEN_MODULES))  # None: it cannot be imported


def _imports(solution: str) -> set[str]:
    """The top-level names of the modules that a program imports anywhere."""
    if "import" not in solution:
        return set()
    import ast  # takes a while

    try:
        nodes: list[Any] = list(ast.walk(ast.parse(solution)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.partition(".")[0] for name in names}
