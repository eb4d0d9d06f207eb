"""The formula and the three kinds of omega set, on hand-made logits and at random."""

import itertools

import pytest
import torch
from decoded import ends
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from spa.decoding.formula import choose
from spa.omega import Interval, Values


def logits(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def from_lines(intercepts: list[float], slopes: list[float]) -> tuple[Tensor, Tensor]:
    """Original and masked logits whose score lines are the given ones."""
    original = logits(*intercepts)
    return original, original - logits(*slopes)


def test_zero_is_the_original_and_minus_one_the_masked() -> None:
    original, masked = logits(1, 2, 3), logits(9, 8, 7)
    assert choose(original, masked, Values((0.0,))) == [(2, Values((0.0,)))]
    assert choose(original, masked, Values((-1.0,))) == [(0, Values((-1.0,)))]


def test_one_step_by_hand() -> None:
    # scores at omega 2: 1 + 2 * (1 - 0) = 3 against 2 + 2 * (2 - 2) = 2
    assert choose(logits(1, 2), logits(0, 2), Values((2.0,))) == [(0, Values((2.0,)))]


def test_grid_splits_by_token() -> None:
    original, masked = from_lines([1.0, 0.0], [0.0, 2.0])  # cross at 0.5
    parts = choose(original, masked, Values((0.0, 0.4, 0.6, 1.0)))
    assert parts == [(0, Values((0.0, 0.4))), (1, Values((0.6, 1.0)))]


def test_interval_splits_at_exact_crossings() -> None:
    original, masked = from_lines([1.0, 0.5, -1.0], [0.0, 1.0, 3.0])  # crossings at 0.5 and 0.75
    assert choose(original, masked, Interval(0.0, 1.0)) == [
        (0, Interval(0.0, 0.5, closed=False)),
        (1, Interval(0.5, 0.75, closed=False)),
        (2, Interval(0.75, 1.0, closed=True)),
    ]


def test_an_interval_of_a_millionth_is_found() -> None:
    width = 2.0**-20
    original, masked = from_lines([1.0, 0.0, -1.0 - 2 * width], [0.0, 2.0, 4.0])
    parts = choose(original, masked, Interval(0.0, 1.0))
    assert [token for token, _ in parts] == [0, 1, 2]
    assert parts[1][1].hi - parts[1][1].lo == pytest.approx(width, rel=1e-6)


def test_ties() -> None:
    equal = from_lines([1.0, 1.0], [0.5, 0.5])
    assert [token for token, _ in choose(*equal, Interval(0.0, 1.0))] == [0]
    meeting = from_lines([1.0, 0.0, 0.5], [0.0, 2.0, 1.0])  # all three meet at 0.5
    assert choose(*meeting, Interval(0.0, 1.0)) == [
        (0, Interval(0.0, 0.5, closed=False)),
        (1, Interval(0.5, 1.0, closed=True)),
    ]
    at_the_start = from_lines([1.5, 1.0], [0.0, 1.0])
    assert [token for token, _ in choose(*at_the_start, Interval(0.5, 1.0))] == [1]
    at_the_end = from_lines([1.0, 0.0], [0.0, 1.0])
    assert [token for token, _ in choose(*at_the_end, Interval(0.0, 1.0))] == [0]


@pytest.mark.parametrize("lo", [0.0, -1.0])
@pytest.mark.parametrize("ids", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_at_omega_0_an_interval_chooses_as_plain_decoding_does(lo: float, ids: list[int]) -> None:
    intercepts, slopes = logits(1.0, 1.0, 1.0)[ids].tolist(), logits(-1.0, 0.0, 1.0)[ids].tolist()
    original, masked = from_lines(intercepts, slopes)
    parts = choose(original, masked, Interval(lo, 1.0))
    (at_zero,) = [token for token, part in parts if part.lo <= 0 < part.hi]
    assert at_zero == 0 == choose(original, masked, Values((0.0,)))[0][0]
    assert parts[-1][0] == slopes.index(1.0)
    assert all(first[1].hi == second[1].lo for first, second in itertools.pairwise(parts))
    for token, part in parts:  # what is split off stays whole at the same tie
        if part.hi < 1e-300 and part.lo == 0:
            assert ends(torch.stack([original, masked]), [0], [1], [part]) == [(token, token, False, True)]


def test_ends_of_plain_and_anchored_lanes() -> None:
    rows = torch.stack([logits(1, 2, 0), logits(1, 2, 9), logits(5, 0, 0)])
    originals, maskeds = [2, 0], [2, 1]
    omegas = [Values((0.0,)), Values((-1.0, 0.0))]
    assert ends(rows, originals, maskeds, omegas) == [(0, 0, False, True), (2, 1, False, True)]


numbers = st.floats(-30, 30, width=32)
pairs = st.integers(2, 12).flatmap(lambda n: st.tuples(*[st.lists(numbers, min_size=n, max_size=n)] * 2))


@given(pairs, st.floats(-2, 2), st.floats(0.01, 2), st.floats(0, 1))
def test_interval_agrees_with_single_values(
    pair: tuple[list[float], list[float]], lo: float, width: float, where: float
) -> None:
    original, masked = logits(*pair[0]), logits(*pair[1])
    parts = choose(original, masked, Interval(lo, lo + width))
    assert parts[0][1].lo == lo
    assert parts[-1][1].hi == lo + width
    assert all(first[1].hi == second[1].lo for first, second in itertools.pairwise(parts))
    assert all(first[0] != second[0] for first, second in itertools.pairwise(parts))
    for token, part in parts:
        probe = part.lo + where * (part.hi - part.lo)
        scores = original.double() + probe * (original.double() - masked.double())
        assert scores[token] >= scores.max() - 1e-9


@given(pairs, st.lists(st.floats(-2, 2), min_size=1, max_size=6, unique=True))
def test_grid_agrees_with_single_values(pair: tuple[list[float], list[float]], values: list[float]) -> None:
    original, masked = logits(*pair[0]), logits(*pair[1])
    grid = Values(tuple(sorted(values)))
    chosen = {value: token for token, part in choose(original, masked, grid) for value in part.values}
    assert chosen == {value: choose(original, masked, Values((value,)))[0][0] for value in grid.values}


def test_a_score_that_is_infinite_at_one_end_alone_is_named() -> None:
    pair = torch.stack([logits(0, 1, 2), logits(0, 1, float("inf"))])  # at -0.5 the last token's score is infinite
    assert ends(pair, [0], [1], [Interval(0.1, 0.5)]) == [(1, 1, False, True)]
    ((*_, is_finite),) = ends(pair, [0], [1], [Interval(-0.5, 0.5)])
    assert not is_finite
