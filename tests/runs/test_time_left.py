"""The time left accounts for lanes that run out: by hand, and on texts of known lengths."""

import heapq

import numpy as np
import pytest

from spa.runs.time_left import TimeLeft, schedule


def test_a_free_place_takes_the_next_of_the_queue() -> None:
    """Two places: 3 and 5 begin, 4 follows 3 and ends at 7."""
    assert schedule([3, 5], [4], 2) == [(2, 3), (2, 2), (1, 2)]
    assert schedule([], [4, 1], 3) == [(2, 1), (1, 3)]
    assert schedule([], [], 3) == []


def test_one_long_lane_takes_its_own_steps() -> None:
    """Texts of 5, 10 and 20 tokens have ended; the lane with 10 will have 20, and a token takes a lane 0.5 s alone."""
    seen = TimeLeft(longest=40, lengths=[5, 10, 20])
    seen.passed(1, 4, 2.0)
    assert seen.left([10], [], 0, 16) == pytest.approx(10 * 0.5)
    assert seen.left([30], [], 0, 16) == pytest.approx(5 * 0.5), "half of the way to 40"
    assert seen.left([], [], 0, 16) == 0


def test_the_speed_is_that_of_the_number_of_lanes() -> None:
    """A pass of four lanes takes 0.8 s, of two 0.6 s; so of three 0.7 s, and of one, by the rule, 17/18 of 0.6 s."""
    seen = TimeLeft(longest=40, lengths=[8])
    seen.passed(4, 4, 0.8)
    seen.passed(2, 2, 0.6)
    assert [seen._pace(number) for number in (1, 2, 3, 4, 9)] == pytest.approx([0.6 * 17 / 18, 0.6, 0.7, 0.8, 0.8])
    assert seen.left([0] * 4, [], 0, 4) == pytest.approx(8 * 0.8), "all four end together"


def test_texts_that_will_be_split_off_are_waited_for() -> None:
    seen = TimeLeft(longest=40, lengths=[10, 10])
    seen.passed(2, 12, 6.0)  # 6 tokens a text
    assert seen.left([], [], 3, 1) == pytest.approx(3 * 6 * seen._pace(1))


def test_before_any_text_has_ended_nothing_is_known() -> None:
    assert TimeLeft(longest=40).left([3], [], 0, 16) is None


def test_it_is_right_to_the_end_where_a_rate_is_not() -> None:
    """200 texts, mostly short, one in twenty up to the limit; 16 places, a pass of n lanes takes 1 + n/8."""
    rng = np.random.default_rng(0)
    lengths = np.where(rng.random(200) < 0.05, 400, rng.integers(20, 120, 200))
    seen = TimeLeft(longest=400)
    ends, queue = [(int(length), 0, int(length)) for length in lengths[:16]], list(lengths[16:][::-1])
    heapq.heapify(ends)
    step, clock, told, by_rate = 0, 0.0, [], []
    while ends:
        end, _, length = ends[0]
        cost = (end - step) * (1 + len(ends) / 8)
        seen.passed(len(ends), (end - step) * len(ends), cost)
        step, clock = end, clock + cost
        heapq.heappop(ends)
        seen.lengths.append(length)
        if queue:
            heapq.heappush(ends, (step + int(queue[-1]), step, int(queue.pop())))
        left = seen.left([step - begun for _, begun, _ in ends], [0] * len(queue), 0, 16)
        told.append((clock, left))
        by_rate.append((clock, clock * (200 - len(seen.lengths)) / len(seen.lengths)))
    late = [number for number, (when, _) in enumerate(told) if 0.8 * clock < when < clock]
    truth, ours, rates = (
        np.array([told_by(number) for number in late])
        for told_by in (lambda n: clock - told[n][0], lambda n: told[n][1], lambda n: by_rate[n][1])
    )
    assert 0.7 < np.median(ours / truth) < 1.4
    assert np.all(abs(ours[-4:] / truth[-4:] - 1) < 0.2), "the last lanes are known to be long"
    assert np.all(rates[-4:] / truth[-4:] < 0.25)
