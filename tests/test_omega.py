"""Omega sets: how they are written, what is refused, what is left of them."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spa import omega
from spa.errors import SpaError
from spa.omega import Interval, Values


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (0.2, Values((0.2,))),
        (0, Values((0.0,))),
        ("-1", Values((-1.0,))),
        ("1e-3", Values((0.001,))),
        ([0.2, 0, 0.1, 0.2], Values((0.0, 0.1, 0.2))),
        ("0..0.5", Interval(0.0, 0.5)),
        ("-0.5 .. 1", Interval(-0.5, 1.0)),
        ("-1.5..-.5", Interval(-1.5, -0.5)),
    ],
)
def test_forms(written: object, expected: omega.OmegaSet) -> None:
    assert omega.parse(written) == expected


def test_minus_zero_is_plain() -> None:
    assert omega.parse(-0.0) == omega.PLAIN
    assert str(omega.parse([-0.0]).lo) == "0.0"


@pytest.mark.parametrize(
    "written",
    ["nan", "inf", float("nan"), [0, "inf"], [], "0.5..0", "0..0", "0..", "..", "a", None, True, [None], {"lo": 0}],
)
def test_refused(written: object) -> None:
    with pytest.raises(SpaError, match="omega=") as error:
        omega.parse(written)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("strength", "expected"),
    [
        (1, omega.PLAIN),
        (1.4, 0.4),
        ("1.4", 0.4),
        ("1.40", 0.4),
        (0, -1),
        (0.9, -0.1),
        ([1, 1.1, "1.2"], [0, 0.1, 0.2]),
        ("1..1.5", "0..0.5"),
        (Interval(1.1, 1.3, closed=False), Interval(0.1, 0.3, closed=False)),
        (Values((1.0, 1.7)), [0, 0.7]),
    ],
)
def test_a_strength_is_one_more_than_omega_as_written(strength: object, expected: object) -> None:
    assert omega.parse_strength(strength) == omega.parse(expected)


@given(st.integers(-3000, 3000))
def test_strengths_of_three_decimals(thousandths: int) -> None:
    written = f"{thousandths / 1000 + 1:.3f}"
    assert omega.parse_strength(written) == omega.parse_strength(float(written)) == omega.parse(thousandths / 1000)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("abc", r"strength=abc is not a number, .* \(strength=0.2\), a list"),
        (None, "strength=None is not a number"),
        ("2..1", r"strength=2\.\.1 is an empty or reversed interval"),
        ("1e-30..2e-30", "is an empty or reversed interval"),
        (float("inf"), "strength=inf must be finite"),
    ],
)
def test_strengths_refused(written: object, complaint: str) -> None:
    with pytest.raises(SpaError, match=complaint):
        omega.parse_strength(written)


def test_a_single_omega() -> None:
    assert [omega.parse_one(value) for value in (0.5, "0.5", [0.5], Values((0.5,)))] == [0.5] * 4
    for several in ([0, 1], "0..1", Interval(0.0, 1.0)):
        with pytest.raises(SpaError, match=r"omega=(\[0, 1\]|0\.\.1) is more than one value; give a single number"):
            omega.parse_one(several)


def test_remaining_values() -> None:
    whole = Values((0.0, 0.1, 0.2))
    assert omega.remaining(whole, []) == [whole]
    assert omega.remaining(whole, [(0.1, 0.1)]) == [Values((0.0, 0.2))]
    assert omega.remaining(whole, [(0.0, 0.0), (0.1, 0.1), (0.2, 0.2)]) == []


def test_remaining_interval() -> None:
    whole = Interval(0.0, 1.0)
    assert omega.remaining(whole, []) == [whole]
    assert omega.remaining(whole, [(0.2, 0.4), (0.6, 1.0)]) == [Interval(0.0, 0.2, False), Interval(0.4, 0.6, False)]
    assert omega.remaining(whole, [(0.0, 0.7)]) == [Interval(0.7, 1.0, True)]
    assert omega.remaining(whole, [(0.0, 0.7), (0.7, 1.0)]) == []
    overlapping = [(-1.0, 0.2), (0.1, 0.3), (0.5, 0.5), (2.0, 3.0)]
    assert omega.remaining(whole, overlapping) == [Interval(0.3, 1.0, True)]


@pytest.mark.parametrize("omegas", [Values((0.1,)), Values((-1.0, 0.0)), Interval(-0.5, 0.5)])
def test_json(omegas: omega.OmegaSet) -> None:
    assert omega.from_json(json.loads(json.dumps(omega.to_json(omegas)))) == omegas


@given(st.lists(st.floats(0.01, 0.99), unique=True, max_size=6), st.data())
def test_finished_and_remaining_parts_tile_the_interval(cuts: list[float], data: st.DataObject) -> None:
    edges = [0.0, *sorted(cuts), 1.0]
    parts = list(itertools.pairwise(edges))
    done = data.draw(st.lists(st.sampled_from(parts), unique=True))
    left = [(part.lo, part.hi) for part in omega.remaining(Interval(0.0, 1.0), done)]
    tiles = sorted(done + left)
    assert tiles[0][0] == 0.0
    assert tiles[-1][1] == 1.0
    assert all(first[1] == second[0] for first, second in itertools.pairwise(tiles))


def test_shares_add_up() -> None:
    assert omega.share(Values((0.1,)), Values((0.0, 0.1))) == 0.5
    assert omega.share(Interval(0.1, 0.2, False), Interval(0.0, 0.4)) == pytest.approx(0.25)


def test_bounds() -> None:
    assert omega.bounds(Values((0.0, 0.5))) == [(0.0, 0.0), (0.5, 0.5)]
    assert omega.bounds(Interval(0.0, 0.5)) == [(0.0, 0.5)]


@pytest.mark.parametrize(
    ("written", "text"), [([0.0, 0.05, 1.0], "0, 0.05, 1"), ([0.2], "0.2"), ({"lo": 0.0, "hi": 0.5}, "0..0.5")]
)
def test_omega_set_text(written: list[float] | dict[str, float], text: str) -> None:
    assert omega.omega_set_text(written) == text


@pytest.mark.parametrize(
    ("lo", "hi", "end", "expected"),
    [
        (0.0, 0.0, 0.5, True),
        (0.1, 0.1, 0.5, False),
        (0.0, 0.1, 0.5, True),
        (-0.1, 0.1, 0.5, True),
        (-0.1, 0.0, 0.5, False),  # half-open
        (-0.1, 0.0, 0.0, True),  # the last part is closed
        (-0.2, -0.1, -0.1, False),
    ],
)
def test_which_parts_hold_zero(lo: float, hi: float, end: float, expected: bool) -> None:
    assert omega.holds(lo, hi, 0, end) is expected
    assert omega.holds(np.array([lo, 7.0]), np.array([hi, 7.0]), 0, np.array([end, 7.0])).tolist() == [expected, False]


def test_which_sets_have_zero() -> None:
    assert omega.has_zero(Values((-0.1, 0.0)))
    assert not omega.has_zero(Values((-0.1, 0.1)))
    assert omega.has_zero(Interval(-0.1, 0.0))
    assert not omega.has_zero(Interval(-0.1, 0.0, closed=False))
