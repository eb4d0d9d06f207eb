"""What lanes choose of the logits of a pass: how much of each draft stands, and where the omegas part behind it.

Letters: B rows, S tokens a row, V vocabulary.
"""

from collections.abc import Sequence

from torch import Tensor

from spa.decoding import formula
from spa.decoding.formula import Choice
from spa.decoding.lanes import Lane
from spa.method import Method


def choose(
    lanes: Sequence[Lane], drafts: Sequence[Sequence[int]], logits: Tensor, method: Method
) -> list[tuple[Sequence[int], list[Choice]]]:
    """For each lane what it keeps of its draft, which all its omegas choose, and what they choose next.

    logits: [B, S, V], the lanes' rows in order of their row numbers; a draft has at most S - 1 tokens.
    Raises SpaError where the score of a chosen token is not finite.
    """
    first_row, columns = min(row for lane in lanes for row in lane.rows), logits.shape[1]
    places = [(lane, step) for lane, draft in zip(lanes, drafts, strict=True) for step in range(len(draft) + 1)]
    originals = [(lane.rows[0] - first_row) * columns + step for lane, step in places]
    maskeds = [(lane.rows[-1] - first_row) * columns + step for lane, step in places]
    omegas, steps = [lane.omegas for lane, _ in places], [len(lane.tokens) + step for lane, step in places]
    logits = logits.flatten(0, 1)
    ends = formula.choose_ends(logits, originals, maskeds, omegas, method, steps)
    found: list[tuple[Sequence[int], list[Choice]]] = []
    start = 0
    for lane, draft in zip(lanes, drafts, strict=True):
        kept = next((n for n, token in enumerate(draft) if ends[start + n] != (token, token, False)), len(draft))
        place = start + kept
        low, high, bent = ends[place]
        if low == high and not bent:
            parts = [(low, lane.omegas)]
        else:
            branches = logits[originals[place]], logits[maskeds[place]]
            parts = formula.choose(*branches, lane.omegas, method, steps[place])
        found.append((draft[:kept], parts))
        start += len(draft) + 1
    return found
