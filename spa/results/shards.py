"""One cell's tasks, split over several jobs: which are whose, and their samples put together."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from spa import omega
from spa.errors import SpaError
from spa.omega import Interval, Values
from spa.records import Generation

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Job `number`, from 1, of `count`."""

    number: int
    count: int

    def part(self, items: Sequence[T]) -> Sequence[T]:
        """Every `count`-th item: neighbours, which tend to be alike, go to different jobs."""
        return items[self.number - 1 :: self.count]

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"


def parse(text: str | None) -> Shard | None:
    """Read `i/n`. Raises SpaError for anything but 1 <= i <= n."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)/(\d+)", str(text))
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise SpaError(f"shard={text} is not one of several; write shard=1/4 to shard=4/4 for four jobs")
    return Shard(int(match[1]), int(match[2]))


def union(samples: Iterable[Generation]) -> Iterator[Generation]:
    """The samples in their order, without what an earlier one holds already.

    Jobs of different counts may decode one task twice, and a merge that was interrupted leaves lines in two files.
    """
    done: dict[str, list[tuple[float, float]]] = {}
    for sample in samples:
        lo, hi = sample.omega_lo, sample.omega_hi
        earlier = done.setdefault(sample.task_id, [])
        fresh = omega.remaining(Values((lo,)) if lo == hi else Interval(lo, hi), earlier)
        for part in fresh:
            yield from (replace(sample, omega_lo=start, omega_hi=end) for start, end in omega.bounds(part))
        earlier.append((lo, hi))
