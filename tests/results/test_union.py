"""What jobs of one cell wrote counts once."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from synthetic import generation

from spa.results.union import union


def test_union_keeps_what_is_new() -> None:
    lines = [
        generation("A", "first", 0.0, 0.2),
        generation("B", "other task", 0.0, 0.2),
        generation("A", "first again", 0.0, 0.2),
        generation("A", "a value", 0.1, 0.1),
        generation("A", "rest", 0.15, 0.5),
        generation("A", "a value again", 0.1, 0.1),
    ]
    kept = [(line.task_id, line.solution, line.omega_lo, line.omega_hi) for line in union(lines)]
    assert kept == [
        ("A", "first", 0.0, 0.2),
        ("B", "other task", 0.0, 0.2),
        ("A", "a value", 0.1, 0.1),
        ("A", "rest", 0.2, 0.5),
    ]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=12))
def test_union_covers_the_same_and_overlaps_nowhere(parts: list[tuple[int, int]]) -> None:
    kept = list(union(generation("A", "x", lo, lo + length) for lo, length in parts))
    ordered = sorted((line.omega_lo, line.omega_hi) for line in kept)
    assert all(left[1] <= right[0] for left, right in pairwise(ordered))
    whole = {cell for lo, length in parts for cell in range(lo, lo + length)}
    assert {cell for lo, hi in ordered for cell in range(int(lo), int(hi))} == whole
