"""A lock has one owner, whom the others can name; a dead process owns nothing."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spa.results import locking
from spa.results.locking import InUseError, Owner

HOLD = """
import sys, time
from pathlib import Path
from spa.results.locking import held
with held(Path(sys.argv[1]), 0):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def held_elsewhere(path: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.send_signal(signal.SIGKILL)


def test_a_second_process_learns_the_owner(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    assert locking.owner(path) is None
    with held_elsewhere(path) as holder:
        owner = locking.owner(path)
        assert owner is not None
        assert (owner.pid, owner.host) == (holder.pid, socket.gethostname())
        assert abs(owner.since - time.time()) < 60
        with (
            pytest.raises(InUseError, match=rf"process {holder.pid} on {owner.host}, for \d+ s now"),
            locking.held(path, 0),
        ):
            pytest.fail("two processes hold the lock")
    assert locking.owner(path) is None, "a killed process holds nothing"
    assert json.loads(path.read_text())["pid"] == holder.pid, "though its name is still there"
    with locking.held(path, 0):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_patience_outwaits_a_short_owner(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with held_elsewhere(path) as holder:
        os.kill(holder.pid, signal.SIGSTOP)  # stopped, it still holds
        with pytest.raises(InUseError), locking.held(path, 0.2):
            pytest.fail("two processes hold the lock")
        killer = threading.Timer(0.3, holder.kill)
        killer.start()
        with locking.held(path, 30):
            assert not killer.is_alive()
            assert locking.owner(path) is not None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": 1}', b"\xff"])
def test_an_owner_whose_name_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ".lock"
    with locking.held(path, 0):
        path.write_bytes(content)
        assert locking.owner(path) is not None
        with pytest.raises(InUseError, match="another process"), locking.held(path, 0):
            pytest.fail("the lock is held twice")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3 * 3600 + 120, "3 h 2 min"), (-5, "0 s")]
)
def test_the_age_of_an_owner(monkeypatch: pytest.MonkeyPatch, seconds: int, text: str) -> None:
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    assert str(Owner("node7", 12, 1000.0 - seconds)) == f"process 12 on node7, for {text} now"


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No marker file takes the lock's place."""

    def missing(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", missing)
    with pytest.raises(OSError, match="Function not implemented"), locking.held(tmp_path / ".lock", 0):
        pytest.fail("locked without flock")
