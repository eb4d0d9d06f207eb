"""What canonical solutions return: made once in a sandbox, kept task by task, readable by any number of jobs.

A task has three files, named by a hash of what they were made from and written atomically: its inputs, with the seconds
that a solution may take for each; what is to be told of them; and the seconds that the canonical solution took. A
solution's sandbox gets the first alone.
"""

import hashlib
import json
import logging
import os
import platform
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from spa.errors import SpaError
from spa.records import Problem
from spa.results.files import write_atomically
from spa.scoring import sandbox
from spa.scoring.processes import Lost, Service, exchange
from spa.tasks.benchmarks import Benchmark

logger = logging.getLogger(__name__)

SECONDS = 600.0  # for a canonical solution; the slowest (Mbpp/599) takes 18 on a quiet machine
HEADER = struct.Struct("!Qd")  # as evalplus_worker.HEADER
FORMAT = 8  # raised when what evalplus_worker.expect writes changes
# evalplus' defaults. Seconds for one input: the larger of the minimum and the factor times the canonical solution's;
# for all base tests or all plus tests, evalplus allows the sum of these, at most 60, and some to end. These are seconds
# of `inside.clock`, in which waiting for a core does not count; on the wall clock all tests have `wall_factor` times
# that.
LIMITS = {"min_time_limit": 1.0, "gt_time_limit_factor": 4.0, "most_seconds": 60.0, "wall_factor": 4.0}


@dataclass(frozen=True)
class Files:
    """Where one task's inputs and expected outputs lie, as `evalplus_worker` writes and reads them."""

    inputs: Path
    outputs: Path

    @property
    def here(self) -> bool:
        return all(path.exists() for path in (self.inputs, self.outputs, self._time))

    @property
    def seconds(self) -> float:
        """What the canonical solution took for all inputs."""
        return float(self._time.read_text())

    @property
    def _time(self) -> Path:
        return self.inputs.with_suffix(".seconds")

    def write(self, answer: bytes) -> None:
        """Keep what `evalplus_worker` answered."""
        (size, seconds), start = HEADER.unpack_from(answer), HEADER.size
        write_atomically(self._time, f"{seconds}\n")
        write_atomically(self.inputs, answer[start : start + size])
        write_atomically(self.outputs, answer[start + size :])


def folder() -> Path:
    """Where the files of all tasks lie: by a path without symlinks, which may be gone in a sandbox."""
    return (Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spa" / "expected").resolve()


def tests(problems: Sequence[Problem], benchmark: Benchmark, mode: str, workers: int) -> dict[str, Files]:
    """The files of each task, by task_id. What is missing is made, by one job at a time."""
    requests = {problem.task_id: _request(problem, benchmark.plus) for problem in problems}
    made_by = f"{FORMAT} evalplus {version('evalplus')} python {platform.python_version()}".encode()
    names = {task_id: hashlib.sha256(made_by + request).hexdigest()[:32] for task_id, request in requests.items()}
    found = {
        task_id: Files(folder() / f"{name}.inputs", folder() / f"{name}.outputs") for task_id, name in names.items()
    }
    if all(files.here for files in found.values()):
        return found
    with _alone():
        missing = [task_id for task_id, files in found.items() if not files.here]
        logger.info("running %d canonical solutions for their outputs, which are kept in %s", len(missing), folder())
        service = Service(sandbox.enclosed(worker("expect"), mode))
        messages = [requests[task_id] for task_id in missing]
        for index, answer in exchange(service, messages, workers=workers, patience=SECONDS):
            task_id = missing[index]
            if isinstance(answer, Lost):
                raise SpaError(f"{task_id}: its canonical solution does not run: {answer.last_words or answer.cause}")
            found[task_id].write(bytes(answer))
    return found


@contextmanager
def _alone() -> Iterator[None]:
    """No other job makes outputs meanwhile. A file system that cannot lock is refused, as for runs (`locking`)."""
    lock = FileLock(folder() / ".lock", fallback_to_soft=False)
    try:
        folder().mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        reason = error.strerror or error
        raise SpaError(f"cannot use the cache {folder()} ({reason}); set XDG_CACHE_HOME to another folder") from None
    try:
        yield
    finally:
        lock.release()


def worker(role: str) -> list[str]:
    """How `evalplus_worker` is started in a role."""
    script = Path(__file__).resolve().parent / "inside" / "evalplus_worker.py"
    return sandbox.python(str(script), role)


def _request(problem: Problem, plus: bool) -> bytes:
    request = {
        "task_id": problem.task_id,
        "family": problem.family,
        "entry_point": problem.entry_point,
        "code": problem.prompt + problem.canonical_solution,
        "base_input": problem.base_input,
        "plus_input": problem.plus_input if plus else None,
        **LIMITS,
    }
    return json.dumps(request, sort_keys=True).encode()
