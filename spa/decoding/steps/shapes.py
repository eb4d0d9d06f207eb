"""The sizes that a pass may have: just what it needs, or a few fixed ones where steps are captured or compiled."""

from dataclasses import dataclass

from spa.decoding.drafts import longest

SLOTS = 64  # fixed widths are multiples of it, and so are fixed numbers of rows above it


@dataclass(frozen=True)
class Shape:
    """All that a step is captured or compiled for."""

    runs: tuple[tuple[int, int, int], ...]  # rows that share a forward pass: the first, their end, the slots they read
    columns: int  # tokens of each row
    places: int  # pairs of branches whose tokens are chosen
    plain: bool  # none of them has a masked branch
    single: bool  # none has more than one omega
    hidden: int  # slots of a row that may be hidden


@dataclass(frozen=True)
class Shapes:
    """How sizes are rounded up. fixed: to few values; otherwise not at all, since what is filled up costs time."""

    fixed: bool

    def rows(self, needed: int) -> int:
        """2, 4, 8, ..., 64, and multiples of 64."""
        if not self.fixed:
            return needed
        return max(2, 1 << (needed - 1).bit_length()) if needed <= SLOTS else -(-needed // SLOTS) * SLOTS

    def width(self, needed: int) -> int:
        """Slots of the cache."""
        return -(-needed // SLOTS) * SLOTS if self.fixed else needed

    def columns(self, rows: int, longest_draft: int, device: str) -> int:
        """Tokens of each row where the longest draft has so many."""
        return 1 + (longest(self.rows(rows), device) if self.fixed and longest_draft else longest_draft)

    def places(self, rows: int, columns: int, needed: int) -> int:
        """As many as all lanes of two rows have, or all of one."""
        most = self.rows(rows) * columns
        return needed if not self.fixed else most // 2 if needed <= most // 2 else most
