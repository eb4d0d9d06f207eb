"""Which rows of the cache lanes have: those in flight 0..n-1, those parked none, but what their rows held."""

from collections.abc import Sequence

from spa.decoding.cache import Move, RowCache
from spa.decoding.lanes import Lane


class Parking:
    """Host memory for the rows of lanes that exceed the batch, up to so many bytes."""

    def __init__(self, most: float) -> None:
        self.most = most
        self.bytes = 0  # held now

    def take(self, cache: RowCache, lane: Lane) -> None:
        """Give up the rows of a lane, and keep what they hold where there is room for it."""
        branches = list(zip(lane.rows, lane.widths, strict=False))
        if self.bytes + cache.slot_bytes * sum(width for _, width in branches) <= self.most:
            lane.saved = [cache.save_row(row, width, "cpu") for row, width in branches]
            self.bytes += _saved_bytes(lane)
        lane.rows = []

    def give_back(self, cache: RowCache, lane: Lane, first_row: int) -> None:
        """Write what was kept of a lane, if anything, into rows from the first on."""
        lane.rows = [first_row + branch for branch in range(len(lane.saved))]
        for row, saved in zip(lane.rows, lane.saved, strict=True):
            cache.load_rows(row, row + 1, saved)
        self.bytes -= _saved_bytes(lane)
        lane.saved = []


def lay_out(lanes: Sequence[Lane]) -> list[Move]:
    """Give the lanes the rows 0..n-1, and say what has to be copied: children, and rows beyond the end.

    Most stay where they are. No row is copied to and from: a source stays, or lies beyond the end.
    """
    claims = [(lane, lane.rows[: len(lane.prompts)]) for lane in lanes]
    n_rows = sum(len(rows) for _, rows in claims)
    stays: set[int] = set()
    moving: list[tuple[Lane, int]] = []  # lane, branch
    for lane, rows in claims:
        lane.rows = list(rows)
        for branch, row in enumerate(rows):
            if row < n_rows and row not in stays:
                stays.add(row)
            else:
                moving.append((lane, branch))
    moves: list[Move] = []
    free = (row for row in range(n_rows) if row not in stays)
    for (lane, branch), target in zip(moving, free, strict=True):
        moves.append((lane.rows[branch], target, lane.widths[branch]))
        lane.rows[branch] = target
    return moves


def _saved_bytes(lane: Lane) -> int:
    return sum(states.nbytes for saved in lane.saved for layer in saved for states in layer)
