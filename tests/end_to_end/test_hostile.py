"""Every attack of the pack fails or is found out, leaves nothing behind, and harms no other solution."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hostile_pack import CLOSED_PORT, FOLDER, TASK, Hostile, pack

from spa.records import Score, solution_sha
from spa.scoring.expected import LIMITS
from spa.scoring.score import score
from spa.tasks.benchmarks import Benchmark

pytestmark = pytest.mark.slow
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))
BYSTANDERS = ("HumanEval/31", "HumanEval/34", "HumanEval/35", "HumanEval/36")


@dataclass(frozen=True)
class Outcome:
    """The pack and some right solutions, scored together, and the world afterwards."""

    pack: dict[str, Hostile]
    verdicts: dict[tuple[str, str], Score]
    right: list[tuple[str, str]]
    outside: Path
    connections: int
    cache: Path


@pytest.fixture(scope="module")
def outcome(humaneval: Benchmark, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    outside, cache = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("cache")
    (outside / "scores.jsonl").write_text("kept")
    right = [(p.task_id, p.prompt + p.canonical_solution) for p in humaneval.problems if p.task_id in BYSTANDERS]
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as server:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        patch.setitem(LIMITS, "min_time_limit", 0.4)  # what never ends need not be waited for so long
        solutions = pack(outside, server.getsockname()[1])
        requests = [*right, *((TASK, hostile.solution) for hostile in solutions), (TASK, right[2][1] + "\n# again\n")]
        found = {(s.task_id, s.solution_sha): s for s in score(requests, humaneval, sandbox="bubblewrap", workers=2)}
        server.setblocking(False)
        connections = 0
        with suppress(BlockingIOError):
            server.accept()
            connections = 1
        again = [*right, requests[-1]]
        yield Outcome({h.name: h for h in solutions}, found, again, outside, connections, cache)


def test_the_pack_is_large() -> None:
    assert len(NAMES) >= 20


@pytest.mark.parametrize("name", NAMES)
def test_an_attack_does_not_count_as_passed(outcome: Outcome, name: str) -> None:
    hostile = outcome.pack[name]
    verdict = outcome.verdicts[TASK, solution_sha(hostile.solution)]
    assert not verdict.passed("base")
    assert verdict.reason != "passed"
    assert verdict.seconds < 60


def test_other_verdicts_are_unchanged(outcome: Outcome) -> None:
    for task_id, solution in outcome.right:
        verdict = outcome.verdicts[task_id, solution_sha(solution)]
        assert (verdict.base_status, verdict.reason) == ("pass", "passed")


def test_no_file_is_left(outcome: Outcome) -> None:
    assert [path.name for path in outcome.outside.iterdir()] == ["scores.jsonl"]
    assert (outcome.outside / "scores.jsonl").read_text() == "kept"
    places = ["/", "/usr/lib", "/var/tmp", "/tmp", "/dev/shm", "/run", "/etc", Path.home(), Path.cwd()]
    assert not [path for place in places for path in Path(place).glob("*spa-hostile*")]
    assert not [path for place in places for path in Path(place).glob("stash-*")]
    assert not [path for path in outcome.cache.rglob("*.outputs") if b"bomb" in path.read_bytes()]


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
