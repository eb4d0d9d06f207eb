"""What untrusted programs see and may do: in bubblewrap, in apptainer, or (`none`, with a warning) as plain processes.

An *enclosed* program sees the machine's files, read-only. Home, cache and /run look empty, but for the interpreter and
this package, which may lie there. An *isolated* one sees the interpreter, its standard library, the system's shared
libraries and named files, nothing else: no device, another user and group, and it is the first of its processes. Both
get /tmp and /dev/shm of their own, limited in size, no network, no process from outside, no capability, and an
environment of a few named variables. /proc is read-only too: to a sandbox that root starts, /proc/sys would be the
machine's own, writable. All of its processes die with it, and it dies with the process that started it.

In apptainer, an enclosed program sees the files of an image in the place of the machine's, and so does an isolated one.
"""

import importlib.util
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from spa.errors import SpaError
from spa.scoring import apptainer

logger = logging.getLogger(__name__)

MODES = ("auto", "bubblewrap", "apptainer:IMAGE", "none")
PROTECTING = ("bubblewrap", "apptainer")
NAMESPACES = ("user", "pid", "net", "ipc", "uts", "cgroup-try")
ENVIRONMENT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH")  # all that a sandboxed program sees of ours
RESET = ("LD_LIBRARY_PATH",)  # of these, what apptainer does not pass on
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # numpy's threads would take the others' cores
UNPROTECTED = "generated code runs WITHOUT a sandbox, with all rights of this user"
SCRATCH = (Path("/tmp"), Path("/dev/shm"))  # all that a sandboxed program can write to
SCRATCH_BYTES = 256 * 2**20
SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
# What answers may import, where it is installed, and what these need; none of them holds an answer.
PACKAGES = ("numpy", "scipy", "sympy", "mpmath", "typing_extensions", "tzdata")
BUNDLED = ("numpy.libs", "scipy.libs")  # shared libraries, beside the packages
USER = "1000"  # of an isolated program, whoever started it
ZONES = Path("/usr/share/zoneinfo")


def resolve(mode: str) -> str:
    """A mode that works here: for `auto` bubblewrap where it works, else "none", which warns in one line."""
    if mode not in MODES and _image(mode) is None:
        raise SpaError(f"sandbox={mode} is unknown; take one of: {', '.join(MODES)}")
    wanted = "bubblewrap" if mode == "auto" else mode
    fault = None if mode == "none" else _fault(wanted)
    if fault and mode != "auto":
        raise SpaError(f"sandbox={mode} is not possible: {fault}, or run generated code unprotected: sandbox=none")
    if fault or mode == "none":
        logger.warning("%s (%s)", UNPROTECTED, fault or "as asked")
        return "none"
    return wanted


def enclosed(
    argv: Sequence[str], mode: str, *, readonly: Iterable[Path] = (), hidden: Iterable[Path] = ()
) -> tuple[str, ...]:
    """`argv` in a sandbox. `hidden` folders look empty there; `readonly` paths are visible even inside those.

    Not in apptainer: it cannot show something inside what is hidden in something shown, and does not start then.
    """
    if mode == "none":
        return tuple(argv)
    if image := _image(mode):
        shown = {place: path for path in (*_own_folders(), *readonly) for place in (path.absolute(), path.resolve())}
        within = [path for path in map(Path.resolve, hidden) if any(path.is_relative_to(place) for place in shown)]
        return _apptainer(argv, image, dict.fromkeys(within, _empty_folder()) | shown)
    emptied = {path.resolve() for path in (*_private_folders(), *hidden) if path.is_dir()} - {Path("/"), *SCRATCH}
    covered = {*emptied, *SCRATCH}
    visible = set[Path]()
    for path in (*_own_folders(), *readonly):
        link = path.parent.resolve() / path.name  # where path is a symlink inside a hidden folder, that is gone as well
        visible |= {path.resolve()} | ({link} if any(link.is_relative_to(folder) for folder in covered) else set())
    mounts = [(path, ["--tmpfs", str(path)]) for path in emptied] + [(path, _scratch(path)) for path in SCRATCH]
    mounts += [(path, ["--ro-bind", str(path), str(path)]) for path in visible - {Path("/")}]
    mounts.sort(key=lambda mount: len(mount[0].parts))  # the inner one wins; where both are the same path, visible does
    inner = (argument for _, arguments in mounts for argument in arguments)
    outer = ("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc")
    return _bubblewrap(argv, (*outer, *inner), [Path("/dev"), *sorted(emptied - visible)])


def isolated(argv: Sequence[str], mode: str, *, readonly: Iterable[Path]) -> tuple[str, ...]:
    """`argv`, made by `bare_python`, in a sandbox that holds the interpreter and `readonly`, and no other package."""
    if mode == "none":
        return tuple(argv)
    folders = [Path(sys.base_prefix) / name for name in ("lib", sys.platlibdir)]
    interpreter = [*folders, *(folder.resolve() for folder in folders), _base_executable()]
    readonly = [path for path in (*readonly, ZONES) if path.exists()]
    if image := _image(mode):
        shown = {path: path for path in (*interpreter, *readonly) if path.exists()}
        return _apptainer(argv, image, shown | dict.fromkeys(_packages(interpreter), _empty_folder()))
    system = [Path(path) for path in (*SYSTEM_LIBRARIES, *os.environ.get("LD_LIBRARY_PATH", "").split(":")) if path]
    mounts, emptied = ["--proc", "/proc", "--as-pid-1", "--uid", USER, "--gid", USER], list[Path]()
    for path in dict.fromkeys([*system, *interpreter]):
        if path.is_symlink():
            mounts += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            mounts += ["--ro-bind", str(path), str(path)]
            emptied += _packages([path])
    for path in (Path("/tmp"), Path("/dev"), Path("/etc")):
        mounts += _scratch(path)
    for path in emptied:
        mounts += ["--tmpfs", str(path)]
    for path in readonly:
        mounts += ["--ro-bind", str(path), str(path)]
    mounts += ["--dir", "/dev/shm"]
    return _bubblewrap(argv, mounts, [*emptied, Path("/")])


def libraries() -> list[Path]:
    """Where the packages lie that answers may import, as far as they are installed; numpy has to be."""
    found = []
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            origin = Path(spec.origin)
            found.append(origin.parent if origin.name == "__init__.py" else origin)
        elif name == "numpy":
            raise SpaError("numpy is not installed; run `make setup`")
    beside = (path.with_name(name) for path in found for name in BUNDLED)
    return [*found, *dict.fromkeys(path for path in beside if path.is_dir())]


def environment() -> dict[str, str]:
    """For a sandboxed program: a few named variables, so no tokens and no PYTHON* settings."""
    return {name: os.environ[name] for name in ENVIRONMENT if name in os.environ} | ONE_THREAD


def python(*arguments: str) -> list[str]:
    """This interpreter, isolated from the user's settings, by a path that holds where home is hidden."""
    executable = Path(sys.executable)
    return [str(executable.parent.resolve() / executable.name), "-I", "-B", *arguments]


def bare_python(*arguments: str) -> list[str]:
    """The interpreter behind any virtual environment, without the packages installed in it."""
    return [str(_base_executable()), "-I", "-S", "-B", *arguments]


# What `self_test` runs in the sandbox: write files, reach a port of the machine, leave a child behind.
PROBE = """
import json, socket, subprocess, sys
request = json.loads(sys.argv[1])
for path in request["files"]:
    try:
        open(path, "w").close()
    except OSError:
        pass
try:
    socket.create_connection(("127.0.0.1", request["port"]), 5).close()
    reached = True
except OSError:
    reached = False
subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(600)"], start_new_session=True)
print(json.dumps({"reached": reached, "interfaces": [name for _, name in socket.if_nameindex()]}))
"""
PROBE_SECONDS = 60.0


def self_test(mode: str) -> None:
    """Try in the sandbox what it must prevent, and judge from outside. A SpaError names what went wrong."""
    name = f".spa-probe-{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        targets = [place / name for place in (Path(folder), Path.home(), Path(__file__).resolve().parent.parent)]
        request = json.dumps({"files": [str(target) for target in targets], "port": server.getsockname()[1]})
        try:  # ends when nobody holds the probe's stdout any more: not before the child that it left is dead
            probe = subprocess.run(
                enclosed(python("-c", PROBE, request), mode),
                env=environment(),
                capture_output=True,
                timeout=PROBE_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise SpaError("sandbox self-test: a process outlived its sandbox; choose another machine") from None
        finally:
            written = [target for target in targets if target.exists()]
            for target in written:
                target.unlink()
    if probe.returncode:
        raise SpaError(f"sandbox self-test: {_fault(mode) or last_line(probe.stderr)}")
    seen = json.loads(probe.stdout)
    if written or seen["reached"] or seen["interfaces"] != ["lo"]:
        facts = f"files written outside: {len(written)}, local port reached: {seen['reached']}, {seen['interfaces']}"
        raise SpaError(f"sandbox self-test: code gets out ({facts}); choose another machine")


def _fault(mode: str) -> str | None:
    """Why the sandbox cannot be used here and what to do about it; None where it can."""
    image = _image(mode)
    if image and not shutil.which("apptainer"):
        return "apptainer is missing, load its module or ask for it"
    if image and not image.exists():
        return f"there is no image {image}, make one (apptainer build python.sif docker://python:3.11-slim)"
    if not image and not shutil.which("bwrap"):
        return "bubblewrap is missing, install it (apt-get install bubblewrap)"
    trial = subprocess.run(enclosed(python("-c", ""), mode), env=environment(), capture_output=True)
    if trial.returncode and image:
        return f"apptainer does not start ({last_line(trial.stderr)}), take an image of this machine's distribution"
    if trial.returncode:
        return f"bubblewrap does not start ({last_line(trial.stderr)}), ask for unprivileged user namespaces"
    return None


def _image(mode: str) -> Path | None:
    """Of the mode `apptainer:IMAGE`; None for the others."""
    kind, colon, path = mode.partition(":")
    return Path(path) if kind == "apptainer" and colon else None


def _apptainer(argv: Sequence[str], image: Path, shown: Mapping[Path, Path]) -> tuple[str, ...]:
    return apptainer.command(argv, image, shown, {k: v for k, v in environment().items() if k in RESET})


def _empty_folder() -> Path:
    """One that is empty and stays so: it is only ever shown read-only."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spa" / "empty"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _bubblewrap(argv: Sequence[str], mounts: Iterable[str], frozen: Iterable[Path]) -> tuple[str, ...]:
    """The `mounts` in their order; then the `frozen` folders are made read-only."""
    frozen = (Path("/proc"), *frozen)
    return (
        *("bwrap", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *(f"--unshare-{namespace}" for namespace in NAMESPACES),
        *mounts,
        *(argument for path in frozen for argument in ("--remount-ro", str(path))),
        *("--chdir", "/", "--", *argv),
    )


def _scratch(path: Path) -> list[str]:
    return ["--size", str(SCRATCH_BYTES), "--tmpfs", str(path)]


def _packages(folders: Iterable[Path]) -> list[Path]:
    return [path for folder in folders for name in ("site", "dist") for path in folder.glob(f"python*/{name}-packages")]


def _base_executable() -> Path:
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def _private_folders() -> list[Path]:
    """These look empty in a sandbox: writable or private, or with other programs' sockets (/run)."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return [Path("/var/tmp"), Path("/run"), Path.home(), *([Path(cache)] if cache else [])]


def _own_folders() -> list[Path]:
    """The interpreter, its packages and this package."""
    interpreter = Path(sys.executable).resolve().parent.parent
    return [Path(sys.prefix), Path(sys.base_prefix), interpreter, Path(__file__).resolve().parent.parent]


def last_line(output: bytes) -> str:
    """The last line of a program's output that says something, shortened."""
    lines = output.decode(errors="replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
