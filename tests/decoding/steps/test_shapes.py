"""Sizes are rounded up to few values, or not at all."""

import pytest

from spa.decoding.steps.shapes import Shapes

EXACT, FIXED = Shapes(fixed=False), Shapes(fixed=True)


def test_fixed_rows_are_powers_of_two_and_then_multiples_of_64() -> None:
    assert [FIXED.rows(n) for n in (1, 2, 3, 5, 9, 33, 64, 65, 128, 129, 192)] == [
        2, 2, 4, 8, 16, 64, 64, 128, 128, 192, 192,
    ]  # fmt: skip
    assert len({FIXED.rows(n) for n in range(1, 193)}) == 8


def test_fixed_widths_are_multiples_of_64() -> None:
    assert [FIXED.width(n) for n in (1, 64, 65, 700)] == [64, 64, 128, 704]


@pytest.mark.parametrize(("rows", "columns"), [(1, 9), (2, 9), (12, 8), (32, 4), (64, 2)])
def test_a_draft_pass_has_one_width_for_its_rows(rows: int, columns: int) -> None:
    assert FIXED.columns(rows, 0, "cuda") == 1
    assert {FIXED.columns(rows, draft, "cuda") for draft in range(1, columns)} == {columns}


def test_fixed_places_are_those_of_lanes_of_two_rows_or_of_one() -> None:
    assert {FIXED.places(31, 1, needed) for needed in range(1, 17)} == {16}
    assert {FIXED.places(31, 1, needed) for needed in range(17, 32)} == {32}
    assert FIXED.places(4, 9, 10) == 18


def test_exact_sizes_are_what_is_needed() -> None:
    assert (EXACT.rows(5), EXACT.width(71), EXACT.columns(3, 2, "cpu"), EXACT.places(5, 3, 4)) == (5, 71, 3, 4)
