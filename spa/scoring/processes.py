"""Work for sandboxed processes: jobs ask, processes answer, whatever happens to them.

A job is a generator that yields an `Ask` and is sent the answer, or a `Lost`; what it returns is its result. `converse`
runs many jobs, as many at once as there are workers, each with one process at a time. So the steps of a job stand below
each other, and a test can answer in the processes' place.

A process has a socket as stdin and stdout, in the form of `multiprocessing.connection`. It sends an empty message when
it is ready, then one answer to each message. It is not trusted: it can neither block its owner nor fill the memory.
"""

import os
import signal
import socket
import struct
import subprocess
import time
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Generic, TypeVar

from spa.errors import SpaError
from spa.scoring.sandbox import environment, last_line

START_SECONDS = 120.0  # for a new process to report that it is ready: imports from a network disk are slow
ANSWER_BYTES = 288 * 2**20
SANDBOX_PROCESSES = 64
SANDBOX_THREADS = 512  # of all its processes; they count for what a user may start, as processes do
SANDBOX_BYTES = 6 * 2**30  # resident, of all its processes; evalplus allows each of them 4 GiB of addresses
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
WATCH_SECONDS = 0.1  # between two looks at what the sandboxes use
# What starts a process: where memory runs out, the kernel is to end it first, not ours. Some memory is no process's.
FIRST_TO_GO = ("/bin/sh", "-c", 'echo 1000 2>/dev/null >/proc/self/oom_score_adj; exec "$@"', "sh")

T = TypeVar("T")


@dataclass(frozen=True)
class Service:
    """A kind of process."""

    argv: tuple[str, ...]
    lasting: bool = True  # answers message after message; else one message, with all that it writes until it ends
    tries: int = 2  # processes that may be lost over one message


@dataclass(frozen=True)
class Ask:
    """A message to a process of the service, which has `patience` seconds to answer."""

    service: Service
    message: bytes
    patience: float
    payload: bytes | bytearray = b""  # the rest of the message; may be large, and is not copied


@dataclass(frozen=True)
class Lost:
    """No answer: in every try the process ended or was stopped."""

    cause: str  # "ended"; "stopped"; "silent" for too long; or it used too much "memory", "processes" or "output"
    last_words: str = ""  # the last line that the process wrote to stderr
    received: bytes | bytearray = b""  # what it had answered by then


Answer = bytes | bytearray | Lost
Job = Generator[Ask, Answer, T]


def so_far(answer: Answer) -> bytes | bytearray:
    """What a process had answered, also where it was lost then."""
    return answer.received if isinstance(answer, Lost) else answer


def converse(jobs: Iterable[Job[T]], workers: int) -> Generator[T, None, None]:
    """Run the jobs, `workers` at once; yield their results as they come.

    `jobs` is asked for the next one whenever a worker is free, also where it had none before. A message whose process
    was lost goes to a fresh one, `tries` times in all: so this always ends. A process that ends before it is ready is a
    SpaError. When this is closed, no process is left.
    """
    waiting = iter(jobs)
    idle: dict[Service, list[_Process]] = defaultdict(list)
    turns: list[_Turn[T]] = []
    try:
        while True:
            while len(turns) < workers and (job := next(waiting, None)) is not None:
                turns.append(_Turn(job, next(job)))
            if not turns:
                return
            for turn in turns:
                if turn.process is None:
                    service, unused = turn.ask.service, idle[turn.ask.service]
                    turn.process = unused.pop(0) if unused and not turn.lost else _start(service)
                    turn.process.take(turn.ask)
                    while not service.lasting and len(unused) < workers:  # start while others work
                        unused.append(_start(service))
            for turn, answer in _answers(turns):
                settled = _settled(turn, answer, idle[turn.ask.service])
                if settled is not None:
                    try:
                        turn.ask, turn.lost = turn.job.send(settled), 0
                    except StopIteration as end:
                        turns.remove(turn)
                        yield end.value
    finally:
        for process in [*(turn.process for turn in turns), *(p for unused in idle.values() for p in unused)]:
            if process is not None:
                process.stop()


def exchange(
    service: Service, messages: Sequence[bytes], *, workers: int, patience: float
) -> Generator[tuple[int, Answer], None, None]:
    """Send each message to a process; yield (index of the message, answer) as answers arrive."""

    def job(index: int) -> Job[tuple[int, Answer]]:
        answer = yield Ask(service, messages[index], patience)
        return index, answer

    return converse(map(job, range(len(messages))), workers)


@dataclass(eq=False)
class _Process:
    popen: subprocess.Popen[bytes]
    channel: socket.socket
    deadline: float  # of time.monotonic()
    watched: float  # when it was last looked at what it uses, likewise
    lasting: bool
    ready: bool = False
    received: bytearray = field(default_factory=bytearray)

    def take(self, ask: Ask) -> None:
        """Send the message, as soon as the process is ready for it."""
        if self.ready:
            self.deadline = time.monotonic() + ask.patience
            size = len(ask.message) + len(ask.payload)
            header = struct.pack("!i", size) if size < 2**31 else struct.pack("!iQ", -1, size)
            with suppress(OSError):  # it has just ended: the next look at its channel finds that out
                self.channel.sendall(header)
                self.channel.sendall(ask.message)
                self.channel.sendall(ask.payload)

    def receive(self) -> Answer | None:
        """A whole answer; Lost where the process has ended or says too much; None where more is to come."""
        try:
            while part := self.channel.recv(2**20, socket.MSG_DONTWAIT):
                self.received += part
                answer = _unframed(self.received) if self.lasting or not self.ready else None
                if answer is not None:
                    self.received.clear()
                    return answer
                if len(self.received) > ANSWER_BYTES:
                    return Lost("output")
        except BlockingIOError:
            return None
        except OSError:
            return Lost("ended")
        return self.received if self.ready and not self.lasting else Lost("ended")

    def stop(self) -> str:
        """Kill the process, and with it its sandbox or else its process group; its last line on stderr."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.channel.close()
        _, errors = self.popen.communicate()  # returns when nothing that held stderr is left
        return last_line(errors)


@dataclass(eq=False)
class _Turn(Generic[T]):
    job: Job[T]
    ask: Ask
    process: _Process | None = None
    lost: int = 0  # processes, over this message


def _start(service: Service) -> _Process:
    ours, theirs = socket.socketpair()
    with theirs:
        popen = subprocess.Popen(
            (*FIRST_TO_GO, *service.argv),
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
            env=environment(),
            start_new_session=True,
        )
    now = time.monotonic()
    return _Process(popen, ours, now + START_SECONDS, now, service.lasting)


def _answers(turns: Sequence[_Turn[T]]) -> Iterator[tuple[_Turn[T], Answer]]:
    """What processes answered, once some did or had to be given up. Every turn has a process."""
    working = [(turn, turn.process) for turn in turns if turn.process]
    found: list[tuple[_Turn[T], Answer]] = []
    while not found:
        soonest = min(min(process.deadline, process.watched + WATCH_SECONDS) for _, process in working)
        readable = wait([process.channel for _, process in working], max(0.0, soonest - time.monotonic()))
        now = time.monotonic()
        for turn, process in working:
            answer = process.receive() if process.channel in readable else None
            if answer == b"" and not process.ready:
                process.ready, answer = True, None
                process.take(turn.ask)
            elif answer is None and process.deadline <= now:
                answer = Lost("silent")
            elif answer is None and now - process.watched >= WATCH_SECONDS:
                process.watched = now
                answer = _excess(process.popen.pid)
            if answer is not None:
                found.append((turn, answer))
    yield from found


def _settled(turn: _Turn[T], answer: Answer, idle: list[_Process]) -> Answer | None:
    """The answer to the turn's message, or None where a fresh process shall try again; frees the turn's process."""
    process, turn.process = turn.process, None
    assert process
    if not isinstance(answer, Lost):
        if turn.ask.service.lasting:
            idle.append(process)
        else:
            process.stop()
        return answer
    last_words = process.stop()
    if not process.ready:
        raise SpaError(f"a sandboxed process did not start ({last_words or answer.cause}); run `make doctor`")
    turn.lost += 1
    return None if turn.lost < turn.ask.service.tries else Lost(answer.cause, last_words, process.received)


def _excess(root: int) -> Lost | None:
    """Lost where a process and its descendants use too much, or one of them was stopped by a signal, as if for ever.

    Counted from outside, since for root no limit on processes holds, and one on memory only for each process alone.
    """
    found, n_bytes, n_threads = [root], 0, 0
    for pid in found:  # grows meanwhile
        with suppress(OSError, ValueError):  # it has just ended
            state, *fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            if state == b"T":
                return Lost("stopped")
            n_threads += int(fields[16])
            n_bytes += int(fields[20]) * PAGE_BYTES
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, children.read_bytes().split())
        if len(found) > SANDBOX_PROCESSES or n_threads > SANDBOX_THREADS:
            return Lost("processes")
        if n_bytes > SANDBOX_BYTES:
            return Lost("memory")
    return None


def _unframed(received: bytearray) -> bytes | None:
    """The message at the beginning, where it is whole."""
    if len(received) < 4:
        return None
    (size,) = struct.unpack_from("!i", received)
    start = 4
    if size == -1 and len(received) >= 12:
        (size,), start = struct.unpack_from("!Q", received, 4), 12
    return bytes(received[start : start + size]) if 0 <= size <= len(received) - start else None
