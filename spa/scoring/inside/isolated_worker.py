"""The second look's process: runs a solution that it was given on inputs that it was given, and tells what came back.

Started by its path, `isolated_worker.py FOLDER...`, for one solution; numpy and this package lie in the folders. There
is nothing here that a right answer could be read from, and what is told is compared elsewhere. As with evalplus, the
base tests and the plus tests have a process each, which executes the program once and then calls it with input after
input. What it answers ends with the process. A library for the channel would double the time that this takes to start.
"""

import json
import os
import pickle
import resource
import sys
import zlib
from collections.abc import Iterator
from typing import Any, Never

FILE_BYTES = 256 * 2**20
PART_BYTES = 2**16


def main() -> None:
    """Answer one message: a line of JSON, then the inputs as a compressed pickle."""
    sys.path += sys.argv[1:]
    from spa.scoring.inside import syscalls
    from spa.scoring.inside.channel import attach, receive

    syscalls.forbid()
    channel = attach()
    header, _, inputs = receive(channel).partition(b"\n")
    request, tests = json.loads(header), pickle.loads(zlib.decompress(inputs))
    os.write(channel, b'["list"')
    for name in request["tests"]:
        os.write(channel, b',["list"')
        child = os.fork()
        if child == 0:
            tell(channel, request, tests[name], tests["as_set"])
        os.waitpid(child, 0)
        os.write(channel, b"]")
    os.write(channel, b"]")


def tell(channel: int, request: dict[str, Any], tests: dict[str, Any], as_set: bool) -> Never:
    """Write what each call of the solution returned, and at last why that ended early, or None."""
    for limit in (resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_STACK):  # as evalplus does
        resource.setrlimit(limit, (request["memory_bytes"], request["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    from spa.scoring.inside.values import encode

    with open(channel, "wb", PART_BYTES) as file:
        ended = None
        try:
            for output in run(request, tests, as_set):
                file.write(b"," + output)
        except TimeoutError:
            ended = "timeout"
        except MemoryError:
            ended = "memory"
        except BaseException:
            ended = "exception"
        file.write(b"," + encode(ended))
    os._exit(0)


def run(request: dict[str, Any], tests: dict[str, Any], as_set: bool) -> Iterator[bytes]:
    """What the solution returned, call by call, encoded; `as_set`: any iterable would do."""
    from spa.scoring.inside.clock import time_limit
    from spa.scoring.inside.values import encode

    program: dict[str, Any] = {}
    exec(request["solution"], program)
    function = program[request["entry_point"]]
    for arguments, seconds in zip(tests["inputs"], tests["ref_time"], strict=True):
        with time_limit(max(request["min_time_limit"], request["gt_time_limit_factor"] * seconds)):
            value = function(*arguments)
            value = list(value) if as_set else value
        yield encode(value)  # to write a large value down takes longer than to compute it


if __name__ == "__main__":
    main()
