"""The part of scoring that runs in the sandbox: what canonical solutions return, and verdicts on other solutions.

Started by its path, `scoring_worker.py expect|check PID_NAMESPACE`; it imports nothing of this package and answers
messages in the manner of `spa.sandbox.exchange`. One process has one role, so that no expected output is made where
other code has run. Tests, tolerances, time and memory limits are evalplus' own: its functions make the verdict.
"""

import json
import multiprocessing
import os
import pickle
import signal
import sys
import time
import zlib
from contextlib import suppress
from functools import lru_cache, partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from evalplus import eval as evalplus_eval
from evalplus.eval._special_oracle import MBPP_OUTPUT_NOT_NONE_TASKS
from evalplus.gen.util import trusted_exec

evalplus_execute = evalplus_eval.unsafe_execute


def main() -> None:
    """Answer the messages on the given channel, in the given role, until it is closed."""
    role, outer_pids = sys.argv[1:]
    multiprocessing.set_start_method("fork")  # evalplus shares memory with the process that runs the solution
    channel = Connection(os.dup(0))
    _point_at_null(0, 1)
    evalplus_eval.unsafe_execute = partial(execute, channel)
    channel.send_bytes(b"")
    while True:
        try:
            request = json.loads(channel.recv_bytes())
        except EOFError:
            return
        if role == "expect":
            channel.send_bytes(expect(request))
        else:
            channel.send_bytes(json.dumps(check(request)).encode())
            _end_leftovers(outer_pids)


def expect(request: dict[str, Any]) -> bytes:
    """Inputs, outputs and seconds of a canonical solution, under "base" and "plus": a compressed pickle."""
    tests = {}
    for name in ("base", "plus"):
        inputs = request[f"{name}_input"]
        if inputs is None:
            continue
        if request["task_id"].startswith("Mbpp/"):  # JSON has no tuples, sets and complex numbers
            from evalplus.data.mbpp import mbpp_deserialize_inputs

            inputs = mbpp_deserialize_inputs(request["task_id"], inputs)
        outputs, seconds = trusted_exec(
            request["code"],
            inputs,
            request["entry_point"],
            record_time=True,
            output_not_none=request["family"] == "mbpp" and request["entry_point"] in MBPP_OUTPUT_NOT_NONE_TASKS,
        )
        tests[name] = {"inputs": inputs, "expected": outputs, "ref_time": seconds}
    return zlib.compress(pickle.dumps(tests, protocol=5), level=1)


def check(request: dict[str, Any]) -> dict[str, Any]:
    """evalplus' statuses of a solution under "base" and "plus" (None without plus tests), and the seconds taken."""
    tests = _tests(request["tests"])
    start = time.monotonic()
    statuses: dict[str, Any] = {"base": None, "plus": None}
    for name, arguments in tests.items():
        statuses[name], _ = evalplus_eval.untrusted_check(
            request["family"],
            request["solution"],
            entry_point=request["entry_point"],
            atol=request["atol"],
            fast_check=True,
            min_time_limit=request["min_time_limit"],
            gt_time_limit_factor=request["gt_time_limit_factor"],
            **arguments,
        )
    return statuses | {"seconds": time.monotonic() - start}


def execute(
    channel: Connection,
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
    """evalplus' `unsafe_execute`, in the forked process that runs the solution: without our socket, and corrected.

    The oracle of `find_zero` (HumanEval/32) goes on to the next input without recording that this one passed, and a
    success without a record counts as a failure: so no solution passes. Failures are recorded; a success without any
    record means that all inputs passed.
    """
    channel.close()
    _point_at_null(0, 1, 2)
    evalplus_execute(
        dataset, entry_point, code, inputs, expected, time_limits, atol, fast_check, stat, details, progress
    )
    if (dataset, entry_point) == ("humaneval", "find_zero") and stat.value == 0 and progress.value == 0:
        details[:] = [True] * len(inputs)
        progress.value = len(inputs)


@lru_cache(maxsize=1)  # solutions of one task come one after another
def _tests(path: str) -> dict[str, dict[str, Any]]:
    tests: dict[str, dict[str, Any]] = pickle.loads(zlib.decompress(Path(path).read_bytes()))
    return tests


def _point_at_null(*descriptors: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)


def _end_leftovers(outer_pids: str) -> None:
    """Kill what a solution left running. Only in a pid namespace of our own is every other process such a leftover."""
    if str(Path("/proc/self/ns/pid").readlink()) != outer_pids:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)


if __name__ == "__main__":
    main()
