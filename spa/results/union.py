"""Lines of several jobs -> each text once."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from spa import omega
from spa.omega import Interval, Values
from spa.records import Generation


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
