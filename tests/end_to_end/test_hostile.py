"""Every attack of the pack fails, leaves nothing behind, and harms no other solution: as root, and as an ordinary user.

Where the tests run as root, the ordinary user is another one of the machine, who sees root's home empty but for what
the tests run with, and for whom the attacks that mostly wait are left out.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from data import ROOT
from hostile_pack import CLOSED_PORT, FOLDER

pytestmark = pytest.mark.slow
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
NOBODY = 65534  # a user without rights
SLOW = [
    *("answer_without_end", "crowd", "deaf", "gigabyte", "ignore_signals", "import_of_many_names"),
    *("loop_at_import", "loop_for_ever"),
]


def shown(path: Path) -> Iterator[str]:
    """How bubblewrap shows what lies in root's home, with folders on the way that others may enter."""
    for folder in reversed(path.parents):
        if folder.is_relative_to(Path.home()):
            yield from ("--perms", "0755", "--dir", str(folder))
    yield from ("--ro-bind", str(path), str(path))


SHOWN = [argument for path in sorted({Path(sys.base_prefix), Path(sys.prefix), ROOT}) for argument in shown(path)]
ORDINARY = (
    *("bwrap", "--dev-bind", "/", "/", "--tmpfs", str(Path.home()), *SHOWN),
    *("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--"),
    *("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"),
)
USERS = {"as it is": (), "as an ordinary user": ORDINARY} if os.geteuid() == 0 else {"as it is": ()}
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
MOST_BYTES = 700 * 2**20  # that the pack may add to the memory of the process that scores it


@dataclass(frozen=True)
class Outcome:
    """The pack between right solutions, scored together, and the world afterwards."""

    attacks: dict[str, dict[str, object]]  # name -> its verdict
    right: list[dict[str, object]]
    n_bytes: int
    outside: Path
    connections: int
    cache: Path
    devices: list[os.stat_result]


@pytest.fixture(scope="module", params=USERS)
def outcome(request: pytest.FixtureRequest) -> Iterator[Outcome]:
    with tempfile.TemporaryDirectory(prefix="spa-pack-") as folder:
        outside, cache = Path(folder, "results"), Path(folder, "cache")
        for path in (outside, cache):
            path.mkdir()
        (outside / "scores.jsonl").write_text("kept")
        if USERS[request.param]:
            for path in (Path(folder), outside, cache, outside / "scores.jsonl"):
                os.chown(path, NOBODY, NOBODY)
        yield scored(USERS[request.param], outside, cache)


def scored(user: tuple[str, ...], outside: Path, cache: Path) -> Outcome:
    """The pack, scored in a process of its own by this user."""
    devices = [Path(path).stat() for path in DEVICES]
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "tests/support/hostile_pack.py", str(outside), str(server.getsockname()[1])]
        command += SLOW if user else []
        environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
        done = subprocess.run([*user, *command], cwd=ROOT, env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()[-1000:]
        server.setblocking(False)
        connections = 0
        with suppress(BlockingIOError):
            server.accept()
            connections = 1
    found = json.loads(done.stdout.splitlines()[-1])
    return Outcome(found["attacks"], found["right"], found["bytes"], outside, connections, cache, devices)


def test_the_pack_is_large() -> None:
    assert len(NAMES) >= 110


def test_no_attack_passes(outcome: Outcome) -> None:
    assert sorted(outcome.attacks) in (NAMES, [name for name in NAMES if name not in SLOW])
    passed = [name for name, verdict in outcome.attacks.items() if verdict["base_status"] == "pass"]
    assert passed == []
    assert [name for name, verdict in outcome.attacks.items() if verdict["reason"] == "passed"] == []


def test_no_attack_takes_longer_than_it_may(outcome: Outcome) -> None:
    assert [name for name, verdict in outcome.attacks.items() if float(str(verdict["seconds"])) > 60] == []


def test_other_verdicts_are_unchanged(outcome: Outcome) -> None:
    assert len(outcome.right) > len(outcome.attacks)
    assert {(str(verdict["base_status"]), str(verdict["reason"])) for verdict in outcome.right} == {("pass", "passed")}


def test_the_memory_of_the_scorer_is_bounded(outcome: Outcome) -> None:
    assert outcome.n_bytes < MOST_BYTES


def test_no_file_is_left(outcome: Outcome) -> None:
    assert [path.name for path in outcome.outside.iterdir()] == ["scores.jsonl"]
    assert (outcome.outside / "scores.jsonl").read_text() == "kept"
    places = ["/", "/usr/lib", "/var/tmp", "/tmp", "/dev/shm", "/dev/mqueue", "/run", "/etc", Path.home(), Path.cwd()]
    for pattern in ("*spa-hostile*", "stash-*", "solution-*"):
        assert not [path for place in places for path in Path(place).glob(pattern)]
    assert not [path for path in outcome.cache.rglob("*.outputs") if b"bomb" in path.read_bytes()]


def test_nothing_of_system_v_is_left(outcome: Outcome) -> None:
    del outcome
    for kind in ("shm", "sem", "msg"):
        assert len(Path("/proc/sysvipc", kind).read_text().splitlines()) == 1  # the heading


def test_the_devices_are_as_they_were(outcome: Outcome) -> None:
    for path, before in zip(DEVICES, outcome.devices, strict=True):
        after = Path(path).stat()
        for fact in ("st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns"):
            assert getattr(after, fact) == getattr(before, fact), (path, fact)


def test_no_process_is_left(outcome: Outcome) -> None:
    deadline = time.monotonic() + 10
    while left := [line for line in command_lines() if str(outcome.cache).encode() in line]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def test_no_port_is_open(outcome: Outcome) -> None:
    assert outcome.connections == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", CLOSED_PORT), 5).close()


def command_lines() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes()
