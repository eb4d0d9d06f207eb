"""Runs a solution, once, where no answer has ever been, and tells what came back.

It is started for one solution, in a sandbox that is thrown away afterwards. As with evalplus, the base tests and the
plus tests have a process each, which executes the program once and then calls it with input after input, until one ends
badly. They run in turn; where nothing else runs beside this sandbox ("again"), both at once. A first attempt, which is
repeated where it runs out of time, stops there. What is told are outputs; they are compared elsewhere.

The process of the tests writes into memory that nobody reads before it has ended. This one waits for that, for as long
as all tests may take: as the first process of its sandbox it cannot be killed or stopped from inside. For each set of
tests it answers a line of JSON, how that ended and how many bytes follow, and the bytes: a line when the program was
executed, a line for each output, at last "!" and the reason where a call did not return. A library for the channel
would double the time that this takes to start.
"""

from __future__ import annotations

import ctypes
import gc
import json
import marshal
import os
import resource
import signal
import time
import zlib
from collections.abc import Callable
from contextlib import suppress

from spa.scoring.inside import channel, clock, guard, syscalls, values

TYPE_CHECKING = False  # as in `typing`, which takes long to import
if TYPE_CHECKING:
    from typing import Any

FIRST_PROCESS = 1
FILE_BYTES = 256 * 2**20  # of one file, and of what is told
PR_SET_DUMPABLE = 4
TIMEOUT = b"!timeout\n"
EXTRA_SECONDS = 2.0  # for the tests of one set to end, as with evalplus
PASSWD = "user:x:1000:1000::/tmp:/bin/sh\n"


def main() -> None:
    """Answer one message: a line of JSON, then the tests, marshalled and compressed."""
    gc.disable()  # what is loaded here stays
    syscalls.forbid()
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # no solution may look into this process, or change it
    guard.limit(FILE_BYTES, [resource.RLIMIT_FSIZE])
    with suppress(ValueError):  # the limit is 0, which does not hold where the machine hands dumps to a program
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))  # no dump
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # which the first process of a sandbox never gets from inside
    furnish()
    answers = channel.attach()
    header, _, inputs = channel.receive(answers).partition(b"\n")
    request, tests = json.loads(header), marshal.loads(zlib.decompress(inputs))
    guard.bring(request["solution"])
    gc.freeze()
    names = [name for name in ("base", "plus", "shown") if name in tests]
    for together in [names] if request["attempt"] == "again" else [[name] for name in names]:
        in_time = run(answers, together, request, tests)
        if request["attempt"] == "first" and not in_time:
            break
    os._exit(0)  # with nothing to tidy up


def furnish() -> None:
    """Plain files where programs look for a device and for a user, if the sandbox has none."""
    for path, text in ((os.devnull, ""), ("/etc/passwd", PASSWD)):
        with suppress(OSError):
            file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            os.write(file, text.encode())
            os.close(file)


def run(answers: int, names: list[str], request: dict[str, Any], tests: dict[str, Any]) -> bool:
    """Run these sets of tests at once, each in a process of its own, and answer what they told.

    Returns whether all were in time.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    children = [Child(answers, request, tests[name]) for name in names]
    wait(children)
    end(children)
    in_time = [child.answer(answers, name) for name, child in zip(names, children, strict=True)]
    return all(in_time)


class Child:
    """A process that executes the solution and runs a set of tests."""

    def __init__(self, answers: int, request: dict[str, Any], tests: dict[str, Any]) -> None:
        self.told = os.memfd_create("told")
        self.folder = f"/tmp/solution-{os.urandom(8).hex()}"
        os.mkdir(self.folder, 0o700)  # noqa: PTH102 - pathlib takes longer to import than all else here
        self.late = False
        self.pid = os.fork()
        if self.pid == 0:
            leave = os._exit
            try:
                os.close(answers)
                tell(self.told, self.folder, request, tests)
            finally:
                leave(0)
        seconds = min(request["most_seconds"], sum(tests["limits"])) + EXTRA_SECONDS
        self.end: float = clock.now(self.pid) + seconds
        self.wall_end: float = time.monotonic() + request["wall_factor"] * seconds

    def left(self) -> float:
        """Seconds until it is late, at least."""
        return min(self.end - clock.now(self.pid), self.wall_end - time.monotonic())

    def kill(self) -> None:
        """And what it started, as far as it can be told."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def answer(self, answers: int, name: str) -> bool:
        """Answer what it told, when it is gone. Returns whether it was in time, by its own words too."""
        if os.getpid() != FIRST_PROCESS:
            import shutil  # takes long to import

            shutil.rmtree(self.folder, ignore_errors=True)
        size = min(os.fstat(self.told).st_size, FILE_BYTES)
        ended = "timeout" if self.late else None
        os.write(answers, json.dumps({"tests": name, "ended": ended, "bytes": size}).encode() + b"\n")
        offset = 0
        while offset < size and (sent := os.sendfile(answers, self.told, offset, size - offset)):
            offset += sent
        last = os.pread(self.told, len(TIMEOUT), max(0, size - len(TIMEOUT)))
        os.close(self.told)
        return not self.late and last != TIMEOUT


def wait(children: list[Child]) -> None:
    """Until each has ended, or was killed because it is late. Reaps others that end."""
    running = {child.pid: child for child in children}
    while running:
        while ended := os.waitpid(-1, os.WNOHANG)[0]:
            running.pop(ended, None)
            if not running:
                return
        for child in [each for each in running.values() if each.left() <= 0]:
            child.late = True
            child.kill()
            del running[child.pid]
        if running:
            signal.sigtimedwait({signal.SIGCHLD}, max(0.0, min(child.left() for child in running.values())))


def end(children: list[Child]) -> None:
    """Kill what is left of them and of what they started."""
    if os.getpid() == FIRST_PROCESS:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
    else:
        for child in children:
            child.kill()
    with suppress(ChildProcessError):
        while os.waitpid(-1, 0):
            pass


def tell(told: int, folder: str, request: dict[str, Any], tests: dict[str, Any]) -> None:
    """In the child: execute the solution, run the tests, and write what it returns."""

    def write(value: Any) -> None:
        try:
            line = values.encode(value)
        except MemoryError:  # of the solution's limit, which does not hold for writing down
            guard.limit(guard.TELLING_BYTES)
            line = values.encode(value)
            guard.limit(guard.MEMORY_BYTES)
        os.write(told, line)
        os.write(told, b"\n")

    os.setsid()
    os.chdir(folder)
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    guard.take_away()
    gc.enable()
    guard.limit(guard.MEMORY_BYTES)
    reason = b""
    try:
        guard.streams()
        program: dict[str, Any] = {}
        exec(request["solution"], program)
        function = program[request["entry_point"]]
        os.write(told, b"executed\n")
        if "sources" in tests:
            show(program, request["entry_point"], tests, write)
        else:
            call(function, tests, write)
    except clock.OutOfTimeError:
        reason = TIMEOUT
    except MemoryError:
        reason = b"!memory\n"
    except BaseException:
        reason = b"!exception\n"
    guard.limit(guard.TELLING_BYTES)
    os.write(told, reason)


def call(function: Callable[..., Any], tests: dict[str, Any], write: Callable[[Any], None]) -> None:
    """Call the solution with input after input. Where evalplus compares sets, it takes any iterable."""
    for arguments, seconds in zip(tests["inputs"], tests["limits"], strict=True):
        guard.streams()
        with clock.time_limit(seconds):
            value = function(*arguments)
        write(list(value) if tests["as_set"] else value)


def show(program: dict[str, Any], name: str, tests: dict[str, Any], write: Callable[[Any], None]) -> None:
    """Execute the tests that a prompt shows; what their calls of the solution return is told."""
    function = program[name]

    def told(*arguments: Any, **named: Any) -> Any:
        value = function(*arguments, **named)
        write(value)
        return value

    names = guard.NAMES_OF_TESTS | program | {name: told}
    for source, seconds in zip(tests["sources"], tests["limits"], strict=True):
        guard.streams()
        with clock.time_limit(seconds):
            exec(source, names)
