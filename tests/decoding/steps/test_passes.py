"""What a pass feeds to lanes, and what it makes of the answer."""

import torch

from spa import omega
from spa.decoding.drafts import Drafts
from spa.decoding.lanes import Lane, Request, Spent
from spa.decoding.sharing import ALL, Sharing
from spa.decoding.steps.passes import Answer, Pass, Places, prepare
from spa.decoding.steps.shapes import Shape, Shapes
from spa.decoding.stopping import NeverStop, TextStream
from spa.method import SPA
from spa.omega import Interval, OmegaSet


def lane(tokens: list[int], rows: list[int], omegas: OmegaSet, hidden: tuple[int, ...] = ()) -> Lane:
    """A lane with prompts of 5 and 3 tokens."""
    request = Request("0", range(5), range(3), omegas, NeverStop(), 20, hidden)
    stream = TextStream.after(range(5), lambda ids: "")
    return Lane(request, omegas, stream, NeverStop(), Spent(), Drafts(range(5)), tokens, rows)


FIRST = lane([7, 8], [2, 0], Interval(0.0, 0.5))
SECOND = lane([9], [1], omega.PLAIN)


def test_exact_sizes_feed_each_row_its_last_token_and_draft() -> None:
    shape, inputs, places = prepare([FIRST, SECOND], {SECOND: [3, 4]}, {}, Shapes(fixed=False), 25, ALL, "cpu")
    assert shape == Shape(((0, 3, 9),), 3, 4, plain=False, single=False, hidden=0)
    assert inputs.rows.tolist() == [[4, -1, 8, 0, 0], [5, -1, 9, 3, 4], [6, -1, 8, 0, 0]]
    assert places.first == {FIRST: 0, SECOND: 1}
    assert inputs.places.tolist() == [[6, 0, 2], [3, 3, 1], [4, 4, 2], [5, 5, 3]]
    assert inputs.omegas.tolist() == [[0.0, 0.5], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]


def test_fixed_sizes_are_filled_up_and_a_token_that_is_not_known_is_pointed_to() -> None:
    shape, inputs, _ = prepare([FIRST, SECOND], {}, {FIRST: 1}, Shapes(fixed=True), 64, ALL, "cuda")
    assert shape == Shape(((0, 4, 64),), 1, 2, plain=False, single=False, hidden=0)
    assert inputs.rows.tolist() == [[5, 1, 0], [5, -1, 9], [7, 1, 0], [0, -1, 0]]
    assert inputs.places.tolist() == [[2, 0, 3], [1, 1, 1]]


def test_hidden_slots_have_one_width_where_sizes_are_fixed() -> None:
    hiding = lane([7], [0, 1], Interval(0.0, 0.5), hidden=(1,))
    shape, inputs, _ = prepare([hiding], {}, {}, Shapes(fixed=True), 64, ALL, "cuda")
    assert shape.hidden == 64
    assert inputs.hidden.int().sum(dim=1).tolist() == [0, 1]
    assert prepare([hiding], {}, {}, Shapes(fixed=False), 25, ALL, "cpu")[0].hidden == 2


def test_rows_that_share_nothing_have_runs_of_their_own() -> None:
    shape, *_ = prepare([FIRST, SECOND], {}, {}, Shapes(fixed=False), 25, Sharing(alone=True), "cpu")
    assert shape.runs == ((0, 1, 5), (1, 2, 6), (2, 3, 7))


def test_a_draft_stands_as_far_as_both_ends_choose_it() -> None:
    places = Places.of([SECOND], {SECOND: [3, 4]}, columns=3, first_row=1)
    answer = Answer(torch.tensor([[3, 3, 0, 1], [5, 5, 0, 1], [6, 6, 0, 0]]))  # behind what falls nothing is looked at
    now = Pass(SPA, {SECOND: [3, 4]}, places, answer, torch.zeros(3, 10), n_rows=1)
    assert now.choices(SECOND) == ([3], [(5, omega.PLAIN)])


def test_a_lane_that_split_since_is_asked_at_its_own_ends() -> None:
    """Of the lines 1, 2w and 4w - 2 the first wins below 0.5, the second from there to 1."""
    split = lane([7], [0, 1], Interval(0.0, 1.5))
    original = torch.tensor([1.0, 0.0, -2.0])
    logits = torch.stack([original, original - torch.tensor([0.0, 2.0, 4.0])])
    now = Pass(SPA, {}, Places.of([split]), Answer(torch.tensor([[0, 2, 0, 1]])), logits, n_rows=2)
    split.omegas = Interval(0.0, 0.25, closed=False)
    assert now.choices(split) == ([], [(0, split.omegas)])
    split.omegas = Interval(0.0, 0.75, closed=False)
    assert now.choices(split) == (
        [],
        [(0, Interval(0.0, 0.5, closed=False)), (1, Interval(0.5, 0.75, closed=False))],
    )
