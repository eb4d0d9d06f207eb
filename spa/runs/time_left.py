"""How long decoding still takes, told from the texts that have ended and from the speed at each number of lanes.

Towards the end the batch empties: the last lanes take as many steps as their texts are long, however few they are. So
what is left is laid out lane by lane, instead of being counted at the rate of what is done.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

FIXED = 16  # lanes that cost as much as a pass without any: on two cores 16 lanes take twice the time of one


@dataclass
class TimeLeft:
    """What has been seen of one call of the engine."""

    longest: int  # tokens that a text may have
    lengths: list[int] = field(default_factory=list)  # of the texts that have ended, in tokens
    seconds: Counter[int] = field(default_factory=Counter)  # by the number of lanes
    tokens: Counter[int] = field(default_factory=Counter)

    def passed(self, n_lanes: int, tokens: int, seconds: float) -> None:
        """Count a forward pass with so many lanes in flight."""
        self.seconds[n_lanes] += seconds  # type: ignore[assignment]  # counts may be fractions
        self.tokens[n_lanes] += tokens

    def left(self, in_flight: Sequence[int], waiting: Sequence[int], n_unseen: int, places: int) -> float | None:
        """Seconds until all has ended; None before any text has.

        in_flight, waiting: how many tokens the lanes have so far; those that wait are taken up in this order.
        n_unseen: texts that lanes will probably split off. places: lanes that the batch holds.
        """
        if not self.lengths:
            return None
        mean = sum(self.tokens.values()) / len(self.lengths)  # that were decoded for a text: some shared a beginning
        queue = [*self._to_come(waiting), *[mean] * n_unseen]
        return sum(steps * self._pace(n_lanes) for n_lanes, steps in schedule(self._to_come(in_flight), queue, places))

    def _to_come(self, ages: Sequence[int]) -> list[float]:
        """Tokens that each lane still takes, spread as the longer ones of the ended texts are.

        A lane that is longer than all of them is taken to go half of the way to the limit.
        """
        ended = np.sort(self.lengths)
        found = []
        for number, age in enumerate(ages):
            longer = ended[np.searchsorted(ended, age, side="right") :]
            length = np.quantile(longer, (number + 0.5) / len(ages)) if len(longer) else (age + self.longest) / 2
            found.append(max(float(length) - age, 1.0))
        return found

    def _pace(self, n_lanes: int) -> float:
        """Seconds in which each of so many lanes takes a token.

        Numbers between those seen are interpolated; fewer lanes than were seen are quicker by a rule of thumb.
        """
        known = sorted(number for number, tokens in self.tokens.items() if tokens and number)
        if not known:
            return 0.0
        paces = [number * self.seconds[number] / self.tokens[number] for number in known]
        fewer = (FIXED + min(n_lanes, known[0])) / (FIXED + known[0])
        return float(np.interp(n_lanes, known, paces)) * fewer


def schedule(in_flight: Sequence[float], queue: Sequence[float], places: int) -> list[tuple[int, float]]:
    """(lanes in flight, steps), in turn, until all have ended; a free place takes the next of the queue."""
    free = max(places - len(in_flight), 0)
    ends, rest = [*in_flight, *queue[:free]], list(reversed(queue[free:]))
    heapq.heapify(ends)
    now, parts = 0.0, []
    while ends:
        parts.append((len(ends), ends[0] - now))
        now = heapq.heappop(ends)
        if rest:
            heapq.heappush(ends, now + rest.pop())
    return parts
