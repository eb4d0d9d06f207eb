"""The part of scoring that runs in the sandbox with evalplus at hand: expected outputs, first looks, comparisons.

Started by its path, `evalplus_worker.py expect|check|compare PID_NAMESPACE`; of this package it imports `clock`,
`syscalls` and `values`, and it answers messages in the manner of `spa.scoring.processes`. One process has one role: no
expected output is made, and no comparison, where a solution has run. Tests, tolerances, time and memory limits are
evalplus' own: its functions make the verdict. Only the clock is ours: time in which a process waits for a core does not
count.
"""

import ctypes
import json
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from evalplus import eval as evalplus_eval
from evalplus.eval._special_oracle import MBPP_OUTPUT_NOT_NONE_TASKS, MBPP_OUTPUT_SET_EQ_TASKS
from evalplus.eval.utils import TimeoutException
from evalplus.gen import util as evalplus_util

sys.path.append(str(Path(__file__).resolve().parents[3]))
from spa.scoring.inside import clock, syscalls, values

evalplus_execute = evalplus_eval.unsafe_execute

FILE_BYTES = 256 * 2**20
COMPARE_SECONDS = 60.0
PR_SET_DUMPABLE = 4
PASSED = {"status": "pass", "reason": "passed", "input": None}
TESTS = ("base", "plus")
# What the process that runs a solution notes for a diagnosis: how often it entered the solution, how that ended.
ENTERED, ENDING = range(2)
ENDINGS = (None, "exception", "timeout", "memory")
noted = RawArray("i", 2)
REPLAY = """
import __main__
def {entry_point}(*_):
    return next(__main__.outputs)
"""
outputs: Iterator[Any] = iter(())  # what the solution returned in the second look


def main() -> None:
    """Answer the messages on the given channel, in the given role, until it is closed."""
    role, outer_pids = sys.argv[1:]
    answer = {"expect": expect, "check": check, "compare": compare}[role]
    sandboxed = str(Path("/proc/self/ns/pid").readlink()) != outer_pids
    multiprocessing.set_start_method("fork")  # evalplus shares memory with the process that runs the solution
    channel = Connection(os.dup(0))
    _point_at_null(0, 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    syscalls.forbid()
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # no solution may look into this process, or change it
    evalplus_eval.unsafe_execute = partial(execute, channel)
    evalplus_eval.multiprocessing = SimpleNamespace(Process=Watched)
    evalplus_eval.time_limit = partial(clock.time_limit, overdue=TimeoutException)
    evalplus_util.time = SimpleNamespace(time=clock.now)  # of canonical solutions
    if role == "compare":  # no solution runs there: its process need not be crippled
        evalplus_eval.reliability_guard = lambda **_: None
    untouched = _traces()
    channel.send_bytes(b"")
    while True:
        try:
            header, _, payload = channel.recv_bytes().partition(b"\n")
        except EOFError:
            return
        answered = answer(json.loads(header), payload)
        if sandboxed:
            with suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)  # in a pid namespace of our own: what a solution left running
        channel.send_bytes(answered)
        if sandboxed and _traces() != untouched:
            return  # a fresh sandbox for the next solution


def expect(request: dict[str, Any], _: bytes) -> bytes:
    """Two compressed pickles, the first behind its size: a canonical solution's inputs and seconds, and its outputs."""
    as_set = request["family"] == "mbpp" and request["entry_point"] in MBPP_OUTPUT_SET_EQ_TASKS
    inputs: dict[str, Any] = {"as_set": as_set}  # evalplus takes any iterable then
    expected = {}
    for name in TESTS:
        arguments = request[f"{name}_input"]
        if arguments is None:
            continue
        if request["task_id"].startswith("Mbpp/"):  # JSON has no tuples, sets and complex numbers
            from evalplus.data.mbpp import mbpp_deserialize_inputs

            arguments = mbpp_deserialize_inputs(request["task_id"], arguments)
        expected[name], seconds = evalplus_util.trusted_exec(
            request["code"],
            arguments,
            request["entry_point"],
            record_time=True,
            output_not_none=request["family"] == "mbpp" and request["entry_point"] in MBPP_OUTPUT_NOT_NONE_TASKS,
        )
        inputs[name] = {"inputs": arguments, "ref_time": seconds}
    first, second = (zlib.compress(pickle.dumps(part, protocol=5), level=1) for part in (inputs, expected))
    return len(first).to_bytes(8, "big") + first + second


def check(request: dict[str, Any], _: bytes) -> bytes:
    """The first look: what evalplus says of a solution for "base" and "plus", or None; and the seconds taken."""
    start = time.monotonic()
    tests = _tests(request["inputs"], request["outputs"])
    judged = {name: run(request, tests[name]) if name in tests else None for name in TESTS}
    return json.dumps({**judged, "seconds": time.monotonic() - start}).encode()


def run(request: dict[str, Any], tests: dict[str, Any]) -> dict[str, Any]:
    """evalplus' status of a solution; for people a reason, and the index of the first input that it does not pass."""
    limits = {name: request[name] for name in ("min_time_limit", "gt_time_limit_factor")}
    noted[:] = [0, 0]
    Watched.wall_factor = request["wall_factor"]
    try:
        status, _ = evalplus_eval.untrusted_check(
            request["family"],
            request["solution"],
            entry_point=request["entry_point"],
            atol=request["atol"],
            fast_check=True,
            **limits,
            **tests,
        )
    except Exception:  # of what the solution left in the memory that they share, or did to this process
        return {"status": "fail", "reason": "crashed", "input": None}
    if status == "pass":
        return PASSED
    reason = ENDINGS[noted[ENDING] % len(ENDINGS)]
    if reason is None and status == "timeout":  # as evalplus calls it when a process ends without a verdict, too
        reason = "timeout" if Watched.overdue else "crashed"
    index = noted[ENTERED] - 2  # entered once to execute the program, then once for each input
    reached = 0 <= index < len(tests["inputs"])
    return {"status": status, "reason": reason or "wrong_answer", "input": index if reached else None}


class Watched(multiprocessing.Process):
    """evalplus' process for a solution: how long it takes in all is seen from outside, where it cannot be hidden.

    On the wall clock that is at most `wall_factor` times as long, also where it has crowded the cores itself.
    """

    wall_factor = 1.0
    overdue = False  # the last one was, when evalplus stopped waiting for it

    def join(self, timeout: float | None = None) -> None:
        if timeout is None:
            super().join()
            return
        assert self.pid is not None  # it was started
        end, wall_end = clock.now(self.pid) + timeout, time.monotonic() + self.wall_factor * timeout
        while self.is_alive() and (left := min(end - clock.now(self.pid), wall_end - time.monotonic())) > 0:
            super().join(left)
        Watched.overdue = self.is_alive()


def compare(request: dict[str, Any], told: bytes) -> bytes:
    """The like of the outputs that the second look tells of, for the first of the tests named that it fails."""
    tests = _tests(request["inputs"], request["outputs"])
    judged: dict[str, Any] = {"status": "fail", "reason": "crashed", "input": None}
    try:
        runs = [(ended, returned) for *returned, ended in values.decode(told)]
    except (TypeError, ValueError):  # not what the process that looks tells by itself
        runs = []
    for name, (ended, returned) in zip(request["tests"], runs, strict=False):
        judged = replay(request, tests[name], returned)
        if judged["status"] != "pass":
            reason = ended if ended in ("crashed", *ENDINGS[1:]) else judged["reason"]
            return json.dumps({**judged, "reason": reason}).encode()
    return json.dumps(judged).encode()


def replay(request: dict[str, Any], tests: dict[str, Any], returned: list[Any]) -> dict[str, Any]:
    """evalplus' comparison of values that are there already, in this process: none of the solution's code runs."""
    global outputs
    outputs = iter(returned)
    n_inputs = len(tests["inputs"])
    stat, progress, passed = SimpleNamespace(value=None), SimpleNamespace(value=0), [False] * n_inputs
    corrected(
        request["family"],
        request["entry_point"],
        REPLAY.format(entry_point=request["entry_point"]),
        tests["inputs"],
        tests["expected"],
        [COMPARE_SECONDS] * n_inputs,
        request["atol"],
        True,
        stat,
        passed,
        progress,
    )
    if stat.value == 0 and all(passed):
        return PASSED
    return {"status": "fail", "reason": "wrong_answer", "input": progress.value - 1}


def execute(channel: Connection, *arguments: Any) -> None:
    """evalplus' `unsafe_execute`, in the forked process that runs the solution: without our socket, and corrected."""
    channel.close()
    _point_at_null(0, 1, 2)
    evalplus_eval.swallow_io = partial(noting, evalplus_eval.swallow_io)
    corrected(*arguments)


def corrected(
    dataset: str,
    entry_point: str,
    code: str,
    inputs: Any,
    expected: Any,
    time_limits: Any,
    atol: float,
    fast_check: bool,
    stat: Any,
    details: Any,
    progress: Any,
) -> None:
    """evalplus' `unsafe_execute`, but that find_zero can pass.

    The oracle of `find_zero` (HumanEval/32) goes on to the next input without recording that this one passed, and a
    success without a record counts as a failure: so no solution passes. Failures are recorded; a success without any
    record means that all inputs passed.
    """
    evalplus_execute(
        dataset, entry_point, code, inputs, expected, time_limits, atol, fast_check, stat, details, progress
    )
    if (dataset, entry_point) == ("humaneval", "find_zero") and stat.value == 0 and progress.value == 0:
        details[:] = [True] * len(inputs)
        progress.value = len(inputs)


@contextmanager
def noting(enter: Any) -> Iterator[None]:
    """evalplus enters this wherever it runs the solution's code."""
    noted[ENTERED] += 1
    try:
        with enter():
            yield
    except TimeoutException:
        noted[ENDING] = ENDINGS.index("timeout")
        raise
    except MemoryError:
        noted[ENDING] = ENDINGS.index("memory")
        raise
    except BaseException:
        noted[ENDING] = ENDINGS.index("exception")
        raise


@lru_cache(maxsize=1)  # solutions of one task come one after another
def _tests(inputs: str, expected: str) -> dict[str, dict[str, Any]]:
    given, returned = (pickle.loads(zlib.decompress(Path(path).read_bytes())) for path in (inputs, expected))
    return {name: {**given[name], "expected": returned[name]} for name in returned}


def _traces() -> tuple[Any, ...]:
    """Changes where a solution left a file in the sandbox, or other limits to this process."""
    limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
    files = os.statvfs(tempfile.gettempdir()).f_ffree, sorted(map(str, Path("/dev/shm").iterdir()))
    return *files, limits, os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)


def _point_at_null(*descriptors: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)


if __name__ == "__main__":
    main()
