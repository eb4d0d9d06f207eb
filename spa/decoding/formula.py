"""Which token every omega of a set chooses, of scores that are lines in omega.

Letters: L lanes, V vocabulary. With a = original logits and m = masked logits, SPA's score of token v is the line

    a_v + omega * (a_v - m_v)          (paper, section 3; `--weight` of the authors' scripts)

and the greedy token is its argmax; `methods` has lines of other slopes. Over a set of omegas the winners are the upper
envelope of these lines, so an interval splits at exact crossings. Scores are float64 computed from float32 logits; the
z-score over the vocabulary that the authors' scripts apply never changes the argmax and is left out.

Ties: equal scores at a single omega, and equal lines, go to the lowest token id, as argmax does. In an interval a
crossing belongs to the part on its right, so of the lines that meet there the steepest wins; one at the interval's very
end splits nothing. Omega 0 is excepted, because its text is the baseline and logits of 16 bits tie often: where the
lowest of the tied ids is not the steepest, [0, smallest float64) is a part of its own.
"""

import math

import torch
from torch import Tensor

from spa.decoding.methods import bends, lines, scores
from spa.method import SPA, Method
from spa.omega import Interval, OmegaSet, Values

Choice = tuple[int, OmegaSet]

SCORES_AT_ONCE = 2**18  # larger temporaries leave a CPU's caches and cost several times as much


def choose(original: Tensor, masked: Tensor, omegas: OmegaSet, method: Method = SPA, step: int = 0) -> list[Choice]:
    """Split `omegas` by greedy token, ascending; neighbouring parts of an interval have different tokens.

    original, masked: logits [V]; step: how many tokens were chosen before.
    """
    steps = torch.tensor([step], device=original.device)
    if isinstance(omegas, Values):
        weights = torch.tensor(omegas.values, dtype=torch.float64, device=original.device)
        return _choose_values(scores(method, original[None], masked[None], steps)(weights[:, None]), omegas)
    (intercept,), (slope,) = lines(method, original[None], masked[None], steps)
    return _choose_interval(intercept, slope, omegas)


def choose_ends(
    logits: Tensor, places: Tensor, omegas: Tensor, method: Method = SPA, plain: bool = False, single: bool = False
) -> Tensor:
    """The tokens chosen at both ends of each lane's omegas, and two flags, all on the logits' device; int64, [L, 4].

    The flags: whether scores bend between the ends, and whether those of the two tokens are finite. Where scores do not
    bend they are lines, and a token that wins at both ends wins at all omegas.

    logits: [B, V]; places: int64 [L, 3], the rows of a lane's original and masked branch, the same for a plain lane,
    and how many tokens it has chosen before; omegas: the ends, float64 [L, 2].
    plain: all lanes are; single: both ends are the same in all.
    """
    if plain and method.is_line:  # the slopes are 0
        best = logits[places[:, 0]].max(dim=-1)
        return torch.stack([best.indices, best.indices, best.indices * 0, best.values.isfinite()], dim=1)
    if logits.device.type != "cpu":
        return _ends(logits, places, omegas, method, single)
    lanes = max(1, SCORES_AT_ONCE // logits.shape[1])
    parts = zip(torch.split(places, lanes), torch.split(omegas, lanes), strict=True)
    return torch.cat([_ends(logits, *part, method, single) for part in parts])


def _ends(logits: Tensor, places: Tensor, omegas: Tensor, method: Method, single: bool) -> Tensor:
    original, masked, steps = logits[places[:, 0]], logits[places[:, 1]], places[:, 2]
    at, bent = scores(method, original, masked, steps), bends(method, original, masked, omegas)
    low = at(omegas[:, :1]).max(dim=-1)
    high = low if single else at(omegas[:, 1:]).max(dim=-1)
    is_finite = low.values.isfinite() & high.values.isfinite()
    return torch.stack([low.indices, high.indices, bent, is_finite], dim=1)


def _choose_values(found: Tensor, omegas: Values) -> list[Choice]:
    """found: scores at each of the omegas, [omegas, V]."""
    tokens = found.argmax(dim=-1).tolist()
    parts: dict[int, list[float]] = {}
    for token, omega in zip(tokens, omegas.values, strict=True):
        parts.setdefault(token, []).append(omega)
    return [(token, Values(tuple(values))) for token, values in parts.items()]


def _choose_interval(intercept: Tensor, slope: Tensor, omegas: Interval) -> list[Choice]:
    # Walk the upper envelope: from the winner at the lower end to the steeper line that crosses it first.
    parts: list[Choice] = []
    start = omegas.lo
    scores = intercept + start * slope
    tied = scores == scores.max()
    while True:
        token, plain = _steepest(tied, slope), int(tied.int().argmax())
        if start == 0 and plain != token:
            left = parts.pop()[1].lo if parts and parts[-1][0] == plain else start
            start = math.nextafter(0, 1)
            parts.append((plain, Interval(left, start, closed=False)))
        rise = slope - slope[token]
        steeper = rise > 0
        crossings = torch.where(steeper, (intercept[token] - intercept) / rise, torch.inf)
        # A crossing left of the current start is rounding noise of a line that meets it there.
        crossings.clamp_(min=start)
        end = crossings.min().item()
        if end >= omegas.hi:
            return [*parts, (token, Interval(start, omegas.hi, omegas.closed))]
        if end > start:
            parts.append((token, Interval(start, end, closed=False)))
        start = end
        tied = crossings == end
        tied[token] = True


def _steepest(candidates: Tensor, slope: Tensor) -> int:
    """The candidate of greatest slope, the lowest id among equals. candidates: bool [V]."""
    return int(torch.where(candidates, slope, -torch.inf).argmax())
