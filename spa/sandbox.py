"""Run untrusted programs: inside bubblewrap, or (`none`, with a warning) as plain processes.

In the sandbox the file system is read-only. Home, cache, /tmp and /run look empty, but for the interpreter and this
package, which may lie there. There is no network, no process from outside, no capability, and an environment of a few
named variables. /proc is read-only too: to a sandbox that root starts, /proc/sys would be the machine's own, writable.
All of its processes die with it, and it dies with the process that started it.

`exchange` is how work gets in and answers get out: messages to equal processes over one socket each.
"""

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path

from spa.errors import SpaError

logger = logging.getLogger(__name__)

MODES = ("auto", "bubblewrap", "none")
NAMESPACES = ("user", "pid", "net", "ipc", "uts", "cgroup-try")
ENVIRONMENT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH")  # all that a sandboxed program sees of ours
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # numpy's threads would take the others' cores
TRIES = 2  # processes that may end over one message before it is given up
START_SECONDS = 120.0  # for a new process to report that it is ready: imports from a network disk are slow


def resolve(mode: str) -> str:
    """ "bubblewrap" or "none". `auto` takes bubblewrap where it works; "none" warns, in one line."""
    if mode not in MODES:
        raise SpaError(f"sandbox={mode} is unknown; take one of: {', '.join(MODES)}")
    fault = None if mode == "none" else _fault()
    if fault and mode == "bubblewrap":
        raise SpaError(f"sandbox=bubblewrap is not possible: {fault}, or run generated code unprotected: sandbox=none")
    if fault or mode == "none":
        logger.warning("generated code runs WITHOUT a sandbox, with all rights of this user (%s)", fault or "as asked")
        return "none"
    return "bubblewrap"


def command(argv: Sequence[str], *, readonly: Iterable[Path] = (), hidden: Iterable[Path] = ()) -> list[str]:
    """`argv` inside bubblewrap. `hidden` folders look empty there; `readonly` paths are visible even inside those."""
    emptied = {path.resolve() for path in (*_private_folders(), *hidden) if path.is_dir()}
    visible = set[Path]()
    for path in (*_own_folders(), *readonly):
        link = path.parent.resolve() / path.name  # where path is a symlink inside a hidden folder, that is gone as well
        visible |= {path.resolve()} | ({link} if any(link.is_relative_to(folder) for folder in emptied) else set())
    mounts = [(path, ["--tmpfs", str(path)]) for path in emptied]
    mounts += [(path, ["--ro-bind", str(path), str(path)]) for path in visible]
    mounts.sort(key=lambda mount: len(mount[0].parts))  # the inner one wins; where both are the same path, visible does
    return [
        *("bwrap", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *(f"--unshare-{namespace}" for namespace in NAMESPACES),
        *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--remount-ro", "/proc"),
        *(argument for path, arguments in mounts if path != Path("/") for argument in arguments),
        *("--chdir", "/", "--", *argv),
    ]


def environment() -> dict[str, str]:
    """For a sandboxed program: a few named variables, so no tokens and no PYTHON* settings."""
    return {name: os.environ[name] for name in ENVIRONMENT if name in os.environ} | ONE_THREAD


def python(*arguments: str) -> list[str]:
    """This interpreter, isolated from the user's settings, by a path that holds where home is hidden."""
    executable = Path(sys.executable)
    return [str(executable.parent.resolve() / executable.name), "-I", "-B", *arguments]


@dataclass(frozen=True)
class Lost:
    """No answer to a message: processes ended over it, or were silent for too long, in every try."""

    silent: bool
    last_words: str  # the last line that the process wrote to stderr


def exchange(
    argv: Sequence[str],
    messages: Sequence[bytes],
    *,
    mode: str,
    workers: int,
    patience: float,
    readonly: Iterable[Path] = (),
    hidden: Iterable[Path] = (),
) -> Generator[tuple[int, bytes | Lost], None, None]:
    """Send each message to one of `workers` equal processes; yield (index of the message, answer) as answers arrive.

    A process has a socket as stdin and stdout, in the form of `multiprocessing.connection`. It sends an empty message
    when it is ready, then one answer to each message. One that needs more than `patience` seconds is killed. A message
    whose process ended or was killed goes once more to a fresh process, then counts as `Lost`: so this always ends.
    A process that ends before it is ready is a SpaError.
    """
    if mode == "bubblewrap":
        argv = command(argv, readonly=readonly, hidden=hidden)
    waiting, failures = deque(range(len(messages))), Counter[int]()
    running = {process.channel: process for process in (_start(argv) for _ in range(min(workers, len(messages))))}
    try:
        while running:
            patient_until = min(process.deadline for process in running.values())
            readable = wait(list(running), max(0.0, patient_until - time.monotonic()))
            now = time.monotonic()
            for process in [p for p in running.values() if p.channel in readable or p.deadline <= now]:
                index = process.index
                answer: bytes | Lost | None = _receive(process)
                if answer is not None and waiting:
                    _give(process, waiting.popleft(), messages, patience)
                else:
                    del running[process.channel]
                    last_words = _stop(process)
                if answer is None:
                    if index is None:
                        raise SpaError(
                            f"a sandboxed process did not start ({last_words or 'silent'}); run `make doctor`"
                        )
                    failures[index] += 1
                    if failures[index] < TRIES:
                        waiting.append(index)
                    else:
                        answer = Lost(process.channel not in readable, last_words)
                    if waiting:
                        fresh = _start(argv)
                        running[fresh.channel] = fresh
                if answer is not None and index is not None:
                    yield index, answer
    finally:
        for process in running.values():
            _stop(process)


@dataclass
class _Process:
    popen: subprocess.Popen[bytes]
    channel: Connection
    deadline: float  # of time.monotonic()
    index: int | None = None  # of the message that it works on; None while it starts


def _start(argv: Sequence[str]) -> _Process:
    ours, theirs = Pipe()
    with theirs:
        popen = subprocess.Popen(
            argv,
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
            env=environment(),
            start_new_session=True,
        )
    return _Process(popen, ours, time.monotonic() + START_SECONDS)


def _give(process: _Process, index: int, messages: Sequence[bytes], patience: float) -> None:
    process.index, process.deadline = index, time.monotonic() + patience
    with suppress(OSError):  # it has just ended: the next look at its channel finds that out
        process.channel.send_bytes(messages[index])


def _receive(process: _Process) -> bytes | None:
    """What the process sent; None where it sent nothing or ended."""
    try:
        return process.channel.recv_bytes() if process.channel.poll() else None
    except (EOFError, OSError):
        return None


def _stop(process: _Process) -> str:
    """Kill the process, and with it its sandbox or else its process group; the last line that it wrote to stderr."""
    with suppress(ProcessLookupError):
        os.killpg(process.popen.pid, signal.SIGKILL)
    process.channel.close()
    _, errors = process.popen.communicate()  # returns when nothing that held stderr is left
    return _last_line(errors)


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


def self_test() -> None:
    """Try in bubblewrap what it must prevent, and judge from outside. A SpaError names what went wrong."""
    name = f".spa-probe-{os.getpid()}"
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        targets = [place / name for place in (Path(folder), Path.home(), Path(__file__).resolve().parent)]
        request = json.dumps({"files": [str(target) for target in targets], "port": server.getsockname()[1]})
        try:  # ends when nobody holds the probe's stdout any more: not before the child that it left is dead
            probe = subprocess.run(
                command(python("-c", PROBE, request)), env=environment(), capture_output=True, timeout=PROBE_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise SpaError("sandbox self-test: a process outlived its sandbox; choose another machine") from None
        finally:
            written = [target for target in targets if target.exists()]
            for target in written:
                target.unlink()
    if probe.returncode:
        raise SpaError(f"sandbox self-test: {_fault() or _last_line(probe.stderr)}")
    seen = json.loads(probe.stdout)
    if written or seen["reached"] or seen["interfaces"] != ["lo"]:
        facts = f"files written outside: {len(written)}, local port reached: {seen['reached']}, {seen['interfaces']}"
        raise SpaError(f"sandbox self-test: code gets out ({facts}); choose another machine")


def _fault() -> str | None:
    """Why bubblewrap cannot be used here and what to do about it; None where it can."""
    if not shutil.which("bwrap"):
        return "bubblewrap is missing, install it (apt-get install bubblewrap)"
    trial = subprocess.run(command(python("-c", "")), env=environment(), capture_output=True)
    if trial.returncode:
        return f"bubblewrap does not start ({_last_line(trial.stderr)}), ask for unprivileged user namespaces"
    return None


def _private_folders() -> list[Path]:
    """Of these a sandbox gets empty ones of its own: writable or private, or with other programs' sockets (/run)."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return [Path("/tmp"), Path("/var/tmp"), Path("/run"), Path.home(), *([Path(cache)] if cache else [])]


def _own_folders() -> list[Path]:
    """The interpreter, its packages and this package."""
    interpreter = Path(sys.executable).resolve().parent.parent
    return [Path(sys.prefix), Path(sys.base_prefix), interpreter, Path(__file__).resolve().parent]


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")
