"""This working tree against another checkout of the repository: decoding times on the embedded model, in turn.

Both decode the same prompts to the texts' natural ends, each in a process of its own that stays, and they take turns:
single tasks every few of them, batches as a whole. Who begins changes with every turn. So what else the machine does
hits both alike.
"""

import json
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate
from tqdm import tqdm

from spa.bench import against_worker, decoding
from spa.bench.decoding_worker import INTERVAL
from spa.config import MOST_LANES, PACKAGE
from spa.errors import SpaError

HERE, THERE = "this tree", "the other"
ALL_TASKS, SOME_TASKS = 164, 24
OMEGA = 0.2


@dataclass(frozen=True)
class Work:
    """What both do."""

    name: str
    batch: int
    omega: float | str
    tasks: int
    turn: int  # tasks until it is the other's turn


WORK = (
    Work("SPA at 1", 1, OMEGA, ALL_TASKS, turn=4),
    Work(f"interval {INTERVAL}", MOST_LANES, INTERVAL, SOME_TASKS, turn=SOME_TASKS),
    Work("plain at 16", 16, 0, SOME_TASKS, turn=SOME_TASKS),
    Work("SPA at 16", 16, OMEGA, SOME_TASKS, turn=SOME_TASKS),
)
Round = dict[str, dict[str, dict[str, float]]]  # by work and by side: seconds and tokens


def compare(
    other: Path, rounds: int, threads: int, limit: int | None = None, before: dict[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the result after each round, until there are so many.

    limit: so many tasks at most; before: an earlier result, which goes on where it was made by the same two commits,
    without changes, under the same conditions. Raises SpaError where the other is no checkout.
    """
    facts: dict[str, Any] = {
        "commits": {HERE: commit(PACKAGE.parent), THERE: commit(other)},
        "machine": decoding.machine().processor,
        "threads": threads,
        "limit": limit,
    }
    known = not any(name.endswith("-dirty") for name in facts["commits"].values())
    goes_on = known and before is not None and {name: before.get(name) for name in facts} == facts
    done: list[Round] = before["rounds"] if before and goes_on else []
    if len(done) >= rounds:
        return
    folders = {HERE: PACKAGE.parent, THERE: other.resolve()}
    with ExitStack() as stack:
        sides = {name: stack.enter_context(closing(_side(name, folders[name], threads))) for name in folders}
        pairs = sides[HERE].ask(f"prompts {min(limit or ALL_TASKS, ALL_TASKS)}")
        for side in sides.values():
            _decode(side, WORK[0], pairs[:1])  # warms up
        while len(done) < rounds:
            done = [*done, one_round(sides, pairs, len(done))]
            yield facts | {"rounds": done, "work": [summary(work, done) for work in WORK]}


def one_round(sides: dict[str, decoding.Process], pairs: Sequence[Any], number: int) -> Round:
    """All work of both sides; number: of the round, which says who begins."""
    took: Round = {work.name: {name: {"seconds": 0.0, "tokens": 0} for name in sides} for work in WORK}
    turns = [
        (work, pairs[start : min(start + work.turn, work.tasks)])
        for work in WORK
        for start in range(0, min(work.tasks, len(pairs)), work.turn)
    ]
    for turn, (work, some) in enumerate(tqdm(turns, desc=f"round {number + 1}"), start=number):
        for name in sorted(sides, reverse=turn % 2 == 0):
            for quantity, value in _decode(sides[name], work, some).items():
                took[work.name][name][quantity] += value
    return took


def summary(work: Work, rounds: Sequence[Round]) -> dict[str, Any]:
    """Medians of both sides' rounds, and of this tree's time over the other's, with its range."""
    seconds = {name: [each[work.name][name]["seconds"] for each in rounds] for name in (HERE, THERE)}
    quotients = [here / there for here, there in zip(seconds[HERE], seconds[THERE], strict=True)]
    return {
        **asdict(work),
        "seconds": {name: statistics.median(values) for name, values in seconds.items()},
        "tokens": {name: rounds[-1][work.name][name]["tokens"] for name in seconds},
        "time here / there": statistics.median(quotients),
        "range": [min(quotients), max(quotients)],
    }


def render(result: dict[str, Any]) -> str:
    """The result as text."""
    rows = [
        [work["name"], *work["seconds"].values(), *work["tokens"].values(), work["time here / there"], *work["range"]]
        for work in result["work"]
    ]
    headings = ["work", "s here", "s there", "tokens here", "there", "time here / there", "from", "to"]
    formats = ("", ".1f", ".1f", "d", "d", ".3f", ".3f", ".3f")
    commits = " against ".join(result["commits"].values())
    conditions = f"{commits}, {result['threads']} threads, medians of {len(result['rounds'])} rounds in turn"
    return f"{conditions}\n\n{tabulate(rows, headings, floatfmt=formats)}"


def commit(folder: Path) -> str:
    """Of a checkout, with a mark where its files differ from it. SpaError where there is none."""
    done = subprocess.run(
        ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        capture_output=True,
        text=True,
    )
    if done.returncode or not (folder / "spa").is_dir():
        raise SpaError(f"{folder} is no checkout of this repository; make one: git worktree add {folder} COMMIT")
    return done.stdout.strip()


def _side(name: str, folder: Path, threads: int) -> decoding.Process:
    process = decoding.Process(name, ["-P", against_worker.__file__, str(threads)], threads, folder)
    code = process.ask("ready")["code"]
    if not Path(code).is_relative_to(folder):
        process.close()
        raise SpaError(f"{name} runs the code of {code} instead of {folder}; unset what puts that first in sys.path")
    return process


def _decode(side: decoding.Process, work: Work, pairs: Sequence[Any]) -> dict[str, float]:
    asked = {"pairs": pairs, "batch": work.batch, "omega": work.omega}
    answer: dict[str, float] = side.ask(f"decode {json.dumps(asked)}")
    return answer
