"""What runs in the sandbox with evalplus at hand: expected outputs, comparisons with them, and its sanitizer.

Started by its path, `evalplus_worker.py expect|compare|show|sanitize`; of this package it imports `inside` alone. It
answers messages in the manner of `spa.scoring.processes`. No solution ever runs in this process, and what one told is
read as plain values. Oracles and tolerances are evalplus' own: its function makes the verdict, with a replay of what
was told in the solution's place.
"""

import json
import marshal
import os
import resource
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import lru_cache
from multiprocessing.connection import Connection
from operator import length_hint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from evalplus import eval as evalplus_eval
from evalplus.eval._special_oracle import MBPP_OUTPUT_NOT_NONE_TASKS, MBPP_OUTPUT_SET_EQ_TASKS
from evalplus.gen import util as evalplus_util

sys.path.append(str(Path(__file__).resolve().parents[3]))
from spa.scoring.inside import clock, guard, reading, shown, syscalls, texts, values

MEMORY_BYTES = 6 * 2**30  # of addresses: a value that was told may be large, and no larger
TESTS = ("base", "plus")
HEADER = struct.Struct("!Qd")  # of what is expected: the size of the inputs, and the seconds that all of them took
EXECUTED = b"executed\n"  # what a solution's process tells first, where its program ran
ENDINGS = (b"!exception", b"!memory", b"!timeout")
REPLAY = """
import __main__
def {entry_point}(*_):
    return next(__main__.outputs)
"""
outputs: Iterator[Any] = iter(())  # what the solution returned
Lines = list[bytes]


def main() -> None:
    """Answer the messages on the given channel, in the given role, until it is closed."""
    answer = {"expect": expect, "compare": compare, "show": show, "sanitize": sanitize}[sys.argv[1]]
    channel, null = Connection(os.dup(0)), os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    syscalls.forbid()
    evalplus_util.time = SimpleNamespace(time=clock.now)  # of canonical solutions
    evalplus_eval.reliability_guard = lambda **_: None  # nothing runs here that it could cripple
    for name in ("create_tempdir", "swallow_io", "time_limit"):
        setattr(evalplus_eval, name, lambda *_: nullcontext())
    channel.send_bytes(b"")
    while True:
        try:
            header, _, payload = channel.recv_bytes().partition(b"\n")
        except EOFError:
            return
        channel.send_bytes(answer(json.loads(header), payload))


def expect(request: dict[str, Any], _: bytes) -> bytes:
    """A task's inputs and what is to be told, marshalled and compressed; `HEADER` is ahead of both."""
    as_set = request["family"] == "mbpp" and request["entry_point"] in MBPP_OUTPUT_SET_EQ_TASKS
    inputs, expected, plain, total = {}, {}, {}, 0.0
    for name in TESTS:
        arguments = request[f"{name}_input"]
        if arguments is None:
            continue
        if request["task_id"].startswith("Mbpp/"):  # JSON has no tuples, sets and complex numbers
            from evalplus.data.mbpp import mbpp_deserialize_inputs

            arguments = mbpp_deserialize_inputs(request["task_id"], arguments)
        returned, seconds = evalplus_util.trusted_exec(
            request["code"],
            arguments,
            request["entry_point"],
            record_time=True,
            output_not_none=request["family"] == "mbpp" and request["entry_point"] in MBPP_OUTPUT_NOT_NONE_TASKS,
        )
        total += sum(seconds)
        least, factor = request["min_time_limit"], request["gt_time_limit_factor"]
        limits = [max(least, factor * each) for each in seconds]
        inputs[name] = {"inputs": arguments, "limits": limits, "as_set": as_set}
        lines = (values.encode(list(each) if as_set else each) + b"\n" for each in returned)
        expected[name] = told = b"".join((EXECUTED, *lines))
        plain[name] = reading.equals_itself(told)
    parts = (inputs, {"told": expected, "plain": plain})
    first, second = (zlib.compress(marshal.dumps(part), level=1) for part in parts)
    return HEADER.pack(len(first), total) + first + second


def compare(request: dict[str, Any], told: bytes) -> bytes:
    """For "base" and "plus" evalplus' status, a reason, and the first input not passed, or None. Or an "error".

    Asked of a solution's text instead: what is wrong with that.
    """
    guard.limit(MEMORY_BYTES, [resource.RLIMIT_AS])
    if "solution" in request:
        return texts.fault(**request).encode()
    try:
        expected = _unpacked(request["outputs"])
    except Exception as error:  # whatever a damaged file raises
        return json.dumps({"error": f"{type(error).__name__}: {error}"}).encode()
    runs = _runs(told)
    judged = {name: judge(request, name, expected, runs.get(name)) for name in expected["told"]}
    return json.dumps({name: judged.get(name) for name in TESTS}).encode()


def show(request: dict[str, Any], told: bytes) -> bytes:
    """Whether the tests that a prompt shows pass: "passed", or nothing."""
    guard.limit(MEMORY_BYTES, [resource.RLIMIT_AS])
    run = _runs(told).get("shown")
    passed = run is not None and shown.all_pass(request["tests"], request["entry_point"], _lines(run["told"]))
    return b"passed" if passed else b""


def sanitize(request: dict[str, Any], _: bytes) -> bytes:
    """What EvalPlus' sanitizer makes of a text; the text where it cannot read one, and would end."""
    from evalplus.sanitize import sanitize as sanitized

    guard.limit(MEMORY_BYTES, [resource.RLIMIT_AS])
    try:
        found = sanitized(request["text"], entrypoint=request["entry_point"])
    except (ValueError, RecursionError):  # NUL, half a character, too deep
        found = request["text"]
    return json.dumps(found).encode()


def judge(request: dict[str, Any], name: str, known: dict[str, Any], run: dict[str, Any] | None) -> dict[str, Any]:
    """The verdict of one set of tests: that of the first input that is not right."""
    told, expected = run["told"] if run else b"", known["told"][name]
    if told == expected and known["plain"][name] and request["entry_point"] != "find_zero":
        return _verdict("pass", "passed", None)
    ended, n_inputs = b"", expected.count(b"\n") - 1
    lines = _lines(told, n_inputs + 2)  # with how it ended, and one that is too many
    if lines and lines[-1].startswith(b"!"):
        ended = lines.pop()
    right = _lines(expected, len(lines))
    if (wrong := first_wrong(request, name, right, lines)) is not None:
        own = wrong < len(lines) and values.OWN_EQUALITY in lines[wrong]
        return _verdict("fail", "not plain data" if own else "wrong_answer", wrong)
    if len(lines) >= n_inputs:
        return _verdict("pass", "passed", None) if len(lines) == n_inputs else _verdict("fail", "crashed", None)
    index = len(lines) if told.startswith(EXECUTED) else None
    if ended in ENDINGS:
        return _verdict("fail", ended[1:].decode(), index)
    if run is None:
        status, reason = request["lost"]
        return _verdict(status, reason, None)
    return _verdict("timeout", "timeout" if run["ended"] == "timeout" else "crashed", index)  # evalplus says so


def first_wrong(request: dict[str, Any], name: str, expected: Lines, told: Lines) -> int | None:
    """The index of the first line that evalplus' comparison does not pass, if there is one.

    Lines that are equal need none, up to the first that is not.
    """
    global outputs
    pairs = enumerate(zip(told, expected, strict=False))
    end = min(len(told), len(expected))
    start = next((at for at, (line, right) in pairs if line != right or not reading.equals_itself(line)), end)
    if request["entry_point"] == "find_zero":
        start = 0
    if start >= end:
        return None
    atol = request["atol"]
    if not atol and any(evalplus_eval.is_floats(reading.decode(line)) for line in expected[:start]):
        atol = 1e-6  # from the first floats on, evalplus keeps it
    left = iter(told[start:end])
    outputs = map(reading.decode, left)
    stat, progress, passed = SimpleNamespace(value=None), SimpleNamespace(value=0), [False] * (end - start)
    evalplus_eval.unsafe_execute(
        request["family"],
        request["entry_point"],
        REPLAY.format(entry_point=request["entry_point"]),
        _unpacked(request["inputs"])[name]["inputs"][start:end],
        Decoded(expected[start:end]),
        [0.0] * (end - start),
        atol,
        True,
        stat,
        passed,
        progress,
    )
    if stat.value == 0 and (all(passed) or request["entry_point"] == "find_zero"):
        return None  # the oracle of find_zero goes on without recording what passed: the error of evalplus corrected
    return end - length_hint(left) - 1


class Decoded(Sequence[Any]):
    """The values of lines, each made when it is asked for."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, index: Any) -> Any:
        return reading.decode(self.lines[index])


def _verdict(status: str, reason: str, index: int | None) -> dict[str, Any]:
    return {"status": status, "reason": reason, "input": index}


def _lines(told: bytes, most: int = -1) -> Lines:
    """Behind that of the program: the outputs, and how it ended; without a last one that is not whole."""
    start = len(EXECUTED) if told.startswith(EXECUTED) else 0
    return told[start:].split(b"\n", most)[:-1]


def _runs(told: bytes) -> dict[str, dict[str, Any]]:
    """What a solution's sandbox answered, as far as it got, by the name of the tests."""
    found, start = {}, 0
    while (end := told.find(b"\n", start)) >= 0:
        run = json.loads(told[start:end])
        start = end + 1 + run["bytes"]
        found[run["tests"]] = {"told": told[end + 1 : start], **run}
    return found


@lru_cache(maxsize=2)  # solutions of one task come one after another
def _unpacked(path: str) -> dict[str, Any]:
    found: dict[str, Any] = marshal.loads(zlib.decompress(Path(path).read_bytes()))
    return found


if __name__ == "__main__":
    main()
