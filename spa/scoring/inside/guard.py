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
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
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
    for name in _imports(solution):
        if name.partition(".")[0] in sys.stdlib_module_names | {"numpy"} - {"antigravity", "this"}:
            with suppress(Exception):
                importlib.import_module(name)
    if tempfile := sys.modules.get("tempfile"):
        tempfile.gettempdir()
    for name in FORBIDDEN.keys() & sys.modules.keys():
        _cripple(sys.modules[name])
    finder: Any = Crippling()
    sys.meta_path.insert(0, finder)
    modules: dict[str, Any] = sys.modules
    modules.update(dict.fromkeys(FORBIDDEN_MODULES))  # None: it cannot be imported


class Crippling:
    """Takes away the names of modules when they are imported at last: to import them before takes long."""

    def __init__(self) -> None:
        self.loaders: dict[str, Any] = {}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """How to load a module of which something is taken away; None for others."""
        spec = PathFinder.find_spec(name, path, target) if name in FORBIDDEN else None
        if spec:
            self.loaders[name] = spec.loader
            spec.loader = self  # type: ignore[assignment]
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self.loaders[spec.name].create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self.loaders[module.__name__].exec_module(module)
        _cripple(module)


def _cripple(module: ModuleType) -> None:
    for name in FORBIDDEN[module.__name__]:
        setattr(module, name, None)


def _imports(solution: str) -> set[str]:
    """The names of the modules that a program imports anywhere, and some that are none."""
    if "import" not in solution:
        return set()
    import ast  # takes a while

    try:
        nodes: list[Any] = list(ast.walk(ast.parse(solution)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names | ({"tempfile"} if "tempfile" in solution else set())
