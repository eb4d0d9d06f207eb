"""No solution harms another, its checker or this machine."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import RIGHT, SOLUTIONS, canonical, only, processes_with, run_with, sample_of, verdicts_on

from spa.records import solution_sha
from spa.scoring import expected, judging
from spa.scoring.score import score_run
from spa.tasks.benchmarks import Benchmark

pytestmark = pytest.mark.usefixtures("scoring_cache")


def kill_parent(marker: Path) -> str:
    return "import os, ctypes\nctypes.CDLL(None).kill(os.getppid(), 9)\n"


def kill_everyone(marker: Path) -> str:
    return "import ctypes\nctypes.CDLL(None).kill(-1, 9)\n"


def write_outside(marker: Path) -> str:
    return f"import io\nio.open({str(marker)!r}, 'w').write('x')\n"


def answer_for_the_checker(marker: Path) -> str:
    answer = json.dumps({"base": "pass", "plus": "pass", "seconds": 1.0}).encode()
    frame = len(answer).to_bytes(4, "big") + answer
    return f"""
import os
for descriptor in range(64):
    try:
        os.write(descriptor, {frame!r})
    except OSError:
        pass
"""


def listen(marker: Path) -> str:
    return "import socket\nserver = socket.create_server(('127.0.0.1', 47831))\n"


def reach_out(marker: Path) -> str:
    return f"import socket, io\nsocket.create_connection(('127.0.0.1', 22), 1)\nio.open({str(marker)!r}, 'w')\n"


def leave_a_child(marker: Path) -> str:
    return "import os, posix, time\nif posix.fork() == 0:\n    os.closerange(0, 64)\n    time.sleep(600)\n"


@pytest.mark.parametrize(
    "attack", [kill_parent, kill_everyone, write_outside, answer_for_the_checker, listen, reach_out, leave_a_child]
)
def test_harm_is_kept_in(
    humaneval_plus: Benchmark, tmp_path: Path, own_cache: Path, attack: Callable[[Path], str]
) -> None:
    marker = tmp_path / "marker"
    harmful = attack(marker) + SOLUTIONS["wrong"]
    solutions = [
        ("HumanEval/0", SOLUTIONS["right"]),
        ("HumanEval/0", harmful),
        ("HumanEval/3", canonical(humaneval_plus)["HumanEval/3"]),
    ]
    first, middle, last = verdicts_on(humaneval_plus, *solutions)
    assert first.reason == last.reason == "passed"
    assert middle.base_status != "pass"
    assert not marker.exists()
    assert not processes_with(str(own_cache))


def test_what_a_solution_leaves_running_is_gone_before_its_other_tests(
    humaneval_plus: Benchmark, tmp_path: Path
) -> None:
    """A sandbox is the solution's own: its first process, the solution's, and none of its base tests."""
    lonely = "import os\nassert [pid for pid in os.listdir('/proc') if pid.isdigit()] == ['1', str(os.getpid())]\n"
    (verdict,) = verdicts_on(humaneval_plus, ("HumanEval/0", lonely + leave_a_child(tmp_path) + RIGHT))
    assert (verdict.base_status, verdict.plus_status) == ("pass", "pass")


def test_what_crosses_the_limits_from_outside_loses_its_own_verdict(humaneval: Benchmark) -> None:
    """It cannot stop or kill its sandbox's first process; that would be seen as well."""
    stop = "import ctypes, time\nctypes.CDLL(None).kill(1, 19)\nctypes.CDLL(None).kill(1, 9)\n" + RIGHT
    (verdict,) = verdicts_on(humaneval, ("HumanEval/0", stop))
    assert (verdict.base_status, verdict.reason) == ("pass", "passed")


def test_a_process_that_stays_silent_is_ended(
    humaneval: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watchdog: whatever holds a scoring up, it goes on, and the other verdicts are kept."""
    expected.tests(only(humaneval, "HumanEval/0").problems, humaneval, "bubblewrap", 1)
    monkeypatch.setattr(judging, "SOLVE_SECONDS", 4.0)  # less than evalplus allows all tests
    stubborn = SOLUTIONS["loops"].replace(
        "        pass", "        try:\n            while str(1): pass\n        except: pass"
    )
    solutions = [SOLUTIONS["wrong"], stubborn, RIGHT]
    run = run_with(tmp_path, *(sample_of("HumanEval/0", solution) for solution in solutions))
    score_run(run, humaneval, sandbox="bubblewrap", progress=False)
    found = {s.solution_sha: (s.base_status, s.reason) for s in run.scores()}
    outcomes = [("fail", "wrong_answer"), ("timeout", "timeout"), ("pass", "passed")]
    assert [found[solution_sha(solution)] for solution in solutions] == outcomes


def test_the_results_folder_is_out_of_sight(humaneval: Benchmark, tmp_path: Path) -> None:
    peek = f"import os\nassert not os.path.exists({str(tmp_path / 'runs')!r})\n{RIGHT}"
    run = run_with(tmp_path, sample_of("HumanEval/0", peek))
    score_run(run, humaneval, sandbox="bubblewrap", progress=False)
    assert [s.reason for s in run.scores()] == ["passed"]
