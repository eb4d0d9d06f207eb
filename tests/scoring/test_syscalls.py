"""What a process may do once it has forbidden itself the rest; each in a process of its own."""

import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from spa.scoring.inside import syscalls

TRIAL = """
import ctypes, errno, os, resource, subprocess, sys, threading
from spa.scoring.inside import syscalls
libc = ctypes.CDLL(None, use_errno=True)
ask = {
    "add a key": lambda: libc.syscall(NUMBERS["add_key"], b"user", b"trial", b"1", 1, -5),
    "request a key": lambda: libc.syscall(NUMBERS["request_key"], b"user", b"trial", 0, 0),
    "find a key": lambda: libc.syscall(NUMBERS["keyctl"], 10, -5, b"user", b"trial", 0),
    "a namespace": lambda: libc.unshare(0x10000000),
    "a child in a namespace": lambda: libc.syscall(NUMBERS["clone"], 0x10000011, 0, 0, 0, 0) or os._exit(0),
    "a namespace that is there": lambda: libc.setns(os.open("/proc/self/ns/user", os.O_RDONLY), 0),
    "a ring": lambda: libc.syscall(NUMBERS["io_uring_setup"], 1, bytes(120)),
    "a socket out of the machine": lambda: libc.socket(40, 1, 0),
    "another's limits": lambda: libc.prlimit(os.getppid(), resource.RLIMIT_CORE, None, None),
}[sys.argv[1]]
if sys.argv[2] == "forbidden":
    assert syscalls.forbid()
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, limits)  # its own stay its own
for family in (1, 2, 10, 16):
    assert libc.socket(family, 2, 0) >= 0
threading.Thread(target=int).start()
subprocess.run(["true"], check=True)
result = ask()
print("EPERM" if result == -1 and ctypes.get_errno() == errno.EPERM else "let through")
"""
NUMBERS = syscalls.NUMBERS.get(platform.machine(), (0, {}))[1]
FORBIDDEN = [
    *("add a key", "request a key", "find a key", "another's limits", "a namespace", "a child in a namespace"),
    *("a namespace that is there", "a ring", "a socket out of the machine"),
]


def tried(what: str, mode: str) -> str:
    script = TRIAL.replace("NUMBERS", repr(NUMBERS))
    done = subprocess.run([sys.executable, "-c", script, what, mode], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_is_forbidden(what: str) -> None:
    assert tried(what, "forbidden") == "EPERM"


def test_another_processs_limits_are_open_otherwise() -> None:
    assert tried("another's limits", "free") == "let through"


def test_a_machine_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="riscv64"))
    assert not syscalls.forbid()
