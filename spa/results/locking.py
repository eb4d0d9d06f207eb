"""One process at a time, known by name to the others.

A lock is `flock(2)`, taken through filelock: the kernel drops it with the process, however that dies, and Linux's NFS
and Lustre (mounted with `flock`) carry it from host to host. filelock's soft locks are files whose existence is the
lock; one that a killed job left behind can be told from a live one on the same host only, and a requeued job lands on
another. A file system without flock is therefore refused, and no marker takes its place.

The lock file's content names the owner for people. It decides nothing, so it may be torn or old.
"""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout


@dataclass(frozen=True)
class Owner:
    """A process that holds a lock."""

    host: str
    pid: int
    since: float  # seconds since the epoch, by its own clock

    def __str__(self) -> str:
        minutes, seconds = divmod(max(0, round(time.time() - self.since)), 60)
        hours, minutes = divmod(minutes, 60)
        age = f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
        return f"process {self.pid} on {self.host}, for {age} now"


class InUseError(Exception):
    """Another process holds the lock. Its text names the owner and for how long."""


@contextmanager
def held(path: Path, patience: float) -> Iterator[None]:
    """Hold the lock `path`, in an existing folder, waiting up to `patience` seconds for it.

    Raises InUseError, and OSError where the file system cannot lock.
    """
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise InUseError(str(_named(path) or "another process")) from None
    try:
        path.write_text(json.dumps(asdict(Owner(socket.gethostname(), os.getpid(), time.time()))))
        yield
    finally:
        lock.release()


def owner(path: Path) -> Owner | None:
    """Who holds the lock `path` now, if anyone.

    Asking takes a shared lock for an instant; `held` with any patience outwaits it.
    """
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _named(path) or Owner("unknown host", 0, time.time())
    except FileNotFoundError:
        pass
    return None


def _named(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):  # it has just taken the lock, or has just let it go
        return None
