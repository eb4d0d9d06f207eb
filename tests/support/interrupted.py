"""One run that is killed at one moment after another: `python interrupted.py MODEL RESULTS MOMENTS`, for test_resume.

A process that has imported everything forks a child for each moment. The child runs the cell, resuming what the ones
before it left, stops at its moment, says so and waits for its end. Prints a JSON line for each child.
"""

import json
import mmap
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir

from spa.config import CONF, Cell, resolve
from spa.decoding import forward
from spa.decoding.lanes import Lane
from spa.models import checkpoints
from spa.results import store
from spa.runs import run_cell
from spa.runs.prepare import prepare
from spa.schema import register

Stop = Callable[[], None]

# What a phase's moment is: the call of this function, before anything happens.
BEFORE = {
    "load": (checkpoints, "load"),
    "prefill": (forward, "prefill"),
    "decode": (forward, "step"),
    "append": (store.Run, "append_samples"),
    "score": (store.Run, "append_scores"),
    "rename": (Path, "replace"),
}


def configured(model: str, results: str) -> Cell:
    """Six tasks at three omegas, in batches that finish a few at a time; no other run's texts."""
    arguments = ["limit=6", "omega=[0,0.3,1]", "max_new_tokens=12", "batch_size=2", "reuse=false"]
    register()
    with initialize_config_dir(str(CONF), version_base=None):
        return resolve(compose("config", ["model=hf", f"model.path={model}", f"results_dir={results}", *arguments]))


def interpose(owner: Any, name: str, wrap: Callable[..., Any]) -> None:
    """Replace a function by wrap(original, *its arguments)."""
    original = getattr(owner, name)
    setattr(owner, name, lambda *arguments, **named: wrap(original, *arguments, **named))


def stop_at(phase: str, nth: int, stop: Stop) -> None:
    """Let the n-th event of a phase be this process's last.

    Besides `BEFORE`: "torn" leaves half of what an append writes, "appended" and "renamed" stop when it is done.
    """
    calls = 0

    def reached() -> bool:
        nonlocal calls
        calls += 1
        return calls == nth

    def before(original: Any, *arguments: Any, **named: Any) -> Any:
        if reached():
            stop()
        return original(*arguments, **named)

    def after(original: Any, *arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        if reached():
            stop()
        return result

    def torn(original: Any, path: Path, records: Any) -> Any:
        if not reached():
            return original(path, records)
        content = "".join(record.to_json() + "\n" for record in records).encode()
        with path.open("ab") as file:
            file.write(content[: len(content) // 2])
        return stop()

    if phase == "torn":
        interpose(store, "append_lines", torn)
    elif phase in ("appended", "renamed"):
        interpose(*BEFORE[{"appended": "append", "renamed": "rename"}[phase]], after)
    else:
        interpose(*BEFORE[phase], before)


def child(config: Cell, moment: tuple[str, int] | None, tokens: mmap.mmap, tell: int) -> None:
    def count(original: Any, *arguments: Any) -> Any:
        tokens[:8] = (int.from_bytes(tokens[:8], "big") + 1).to_bytes(8, "big")
        return original(*arguments)

    def stop() -> None:
        os.write(tell, b"!")
        while True:
            signal.pause()

    interpose(Lane, "push", count)
    if moment:
        stop_at(*moment, stop)
    run_cell.run_cell(config)


def one(config: Cell, moment: tuple[str, int] | None) -> dict[str, Any]:
    """Fork, wait for the moment or the end, kill; what was seen."""
    lines = len(prepare(config).run.samples())
    tokens = mmap.mmap(-1, 8)
    listen, tell = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(listen)
        child(config, moment, tokens, tell)
        sys.exit(0)
    os.close(tell)
    reached = os.read(listen, 1) == b"!"
    os.close(listen)
    alive = reached and os.waitpid(pid, os.WNOHANG) == (0, 0)
    if alive:
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    return {
        "moment": moment,
        "alive": alive,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "lines_before": lines,
        "tokens": int.from_bytes(tokens[:8], "big"),
    }


if __name__ == "__main__":
    model, results, moments = sys.argv[1:]
    cell = configured(model, results)
    for moment in [*json.loads(moments), None]:
        sys.stdout.write(json.dumps(one(cell, moment)) + "\n")
        sys.stdout.flush()
