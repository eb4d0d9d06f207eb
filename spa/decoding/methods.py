"""The score of each token as a line in omega, by any method (`spa.method`).

Letters: L lanes, V vocabulary.
"""

import math

import torch
from torch import Tensor

from spa.method import SPA, Method


def lines(method: Method, original: Tensor, second: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Intercepts and slopes of the scores, float64, [L, V]; a token that is not plausible scores -inf.

    original, second: logits, [L, V]; steps: how many tokens each lane has chosen, [L].
    """
    intercept = original.float().double()
    slope = intercept - second.float().double()
    if method == SPA:
        return intercept, slope
    behind = intercept - intercept.amax(dim=-1, keepdim=True)
    ratio = behind.exp()  # p_v / max p
    if method.modulation == "probability":
        slope = slope * ratio
    if method.schedule != "constant":
        slope = slope * _strength(method, ratio, steps)[:, None]
    if method.plausibility is not None:
        excluded = behind < math.log(method.plausibility)
        intercept, slope = intercept.masked_fill(excluded, -torch.inf), slope.masked_fill(excluded, 0)
    return intercept, slope


def _strength(method: Method, ratio: Tensor, steps: Tensor) -> Tensor:
    """s_t of each lane, [L]; ratio: p_v / max p."""
    total = ratio.sum(dim=-1)  # 1 / max p
    if method.schedule == "uncertainty":
        return 1 - 1 / total
    if method.schedule == "entropy":
        entropy = total.log() - torch.xlogy(ratio, ratio).sum(dim=-1) / total
        return entropy / math.log(ratio.shape[-1])
    assert method.schedule_tokens
    share = (steps.double() / method.schedule_tokens).clamp(max=1)
    return share if method.schedule == "rise" else 1 - share
