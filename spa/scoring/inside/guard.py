"""What a solution finds in evalplus' process, beside its tests: names taken away, streams, limits of memory.

evalplus' `reliability_guard`, `swallow_io` and its 4 GiB of addresses (evalplus/eval/utils.py, 0.3.1), for a process
that has no evalplus. The guard protects nothing, the sandbox does; but a solution that calls what evalplus takes away
fails there, and so it must here.
"""

from __future__ import annotations

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

TYPE_CHECKING = False  # as in `typing`, which takes long to import
if TYPE_CHECKING:
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
LEFT_ALONE = {"antigravity", "this", "test", "idlelib", "__main__", "__phello__"}  # these do something when imported
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


def bring(solution: str) -> None:
    """Import what a solution imports of the standard library, and numpy: evalplus' process has these before the guard.

    `tempfile`, for one, needs some of what is taken away when it is imported, and when it looks for its folder.
    """
    for name in _imports(solution):
        parts = name.split(".")
        if parts[0] in sys.stdlib_module_names | {"numpy"} and not LEFT_ALONE.intersection(parts):
            with suppress(BaseException):
                importlib.import_module(name)
    if tempfile := sys.modules.get("tempfile"):
        tempfile.gettempdir()


def take_away() -> None:
    """Take away what evalplus does."""
    os.environ["OMP_NUM_THREADS"] = "1"
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
    """The names of the modules that a program may import, by its words: it is not parsed where it could do harm."""
    names = {"tempfile"} if "tempfile" in solution else set()
    for line in solution.replace(";", "\n").splitlines():
        words = line.replace(",", " ").replace("(", " ").split()
        if "import" in words:
            at = words.index("import")
            last = words[at + 1 :]
            package = words[at - 1] if at > 1 and words[at - 2] == "from" else ""
            names |= {package, *(f"{package}.{name}" for name in last)} if package else {*last}
    return names
