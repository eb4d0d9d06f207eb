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
from collections.abc import Sequence

import torch
from torch import Tensor

from spa.decoding.methods import bends, lines, scores
from spa.errors import SpaError
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
    logits: Tensor,
    originals: Sequence[int],
    maskeds: Sequence[int],
    omegas: Sequence[OmegaSet],
    method: Method = SPA,
    steps: Sequence[int] | None = None,
) -> list[tuple[int, int, bool]]:
    """For each of L lanes, the tokens chosen at both ends of its omegas, and whether scores bend between them.

    Where they do not they are lines, and a token that wins at both ends wins at all omegas.

    logits: [B, V]; originals, maskeds: row of each lane's branch, [L]. Where both are the same row, the lane is plain.
    steps: how many tokens each lane has chosen before, [L]; None: none.
    Raises SpaError where the score of a chosen token is not finite.
    """
    lanes = max(1, SCORES_AT_ONCE // logits.shape[1])
    parts = [slice(start, start + lanes) for start in range(0, len(omegas), lanes)]
    before = torch.tensor(steps or [0] * len(omegas), device=logits.device)
    ends = [_ends(logits, originals[part], maskeds[part], omegas[part], method, before[part]) for part in parts]
    table = torch.cat(ends).tolist()  # one transfer from the device
    if not all(finite for *_, finite in table):
        raise SpaError(
            "the model gives logits that are not finite (inf or nan); try dtype=float32 or dtype=bfloat16, without "
            "quantization"
        )
    return [(first, last, bool(bent)) for first, last, bent, _ in table]


def _ends(
    logits: Tensor,
    originals: Sequence[int],
    maskeds: Sequence[int],
    omegas: Sequence[OmegaSet],
    method: Method,
    steps: Tensor,
) -> Tensor:
    """Token at the lower end and at the upper end, whether scores bend between, and whether both are finite, [L, 4]."""
    ends = torch.tensor([[part.lo, part.hi] for part in omegas], dtype=torch.float64, device=logits.device)
    original, masked = logits[originals], logits[maskeds]
    at, bent = scores(method, original, masked, steps), bends(method, original, masked, ends)
    single = all(part.lo == part.hi for part in omegas)
    low = at(ends[:, :1]).max(dim=-1)
    high = low if single else at(ends[:, 1:]).max(dim=-1)
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
