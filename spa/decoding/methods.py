"""The score of each token, by any method (`spa.method`): a line in omega, but for the authors' package.

Letters: L lanes, V vocabulary.
"""

import functools
import math
from collections.abc import Callable

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


def scores(method: Method, original: Tensor, second: Tensor, steps: Tensor) -> Callable[[Tensor], Tensor]:
    """A function from the lanes' omegas, float64 [L, 1], to what their tokens score, float64 [L, V]; see `lines`."""
    if not method.is_line:
        logits = original.float().double()
        return functools.partial(_by_the_package, logits, second.float().double(), _probabilities(logits))
    intercept, slope = lines(method, original, second, steps)
    return lambda omegas: intercept + omegas * slope


def bends(method: Method, original: Tensor, second: Tensor, omegas: Tensor) -> Tensor:
    """Whether each lane's scores are no lines between two omegas, bool [L]. omegas: float64 [L, 2]; else as in `lines`.

    Those of the package are lines for omegas from 0 on, as long as none of its bounds is reached.
    """
    if method.is_line:
        return torch.zeros(len(original), dtype=torch.bool, device=original.device)
    logits = original.float().double()
    adjustment = _weights(_probabilities(logits), omegas[:, 1:]) * (logits - second.float().double())
    within = (adjustment.abs().amax(dim=-1) < 1e2) & (logits.abs().amax(dim=-1) < 9e2)
    return (omegas[:, 0] != omegas[:, 1]) & ~(within & (omegas[:, 0] >= 0))


def _probabilities(original: Tensor) -> Tensor:
    """The package's p_v, [L, V]."""
    return original.softmax(dim=-1).clamp(min=1e-6)


def _weights(p: Tensor, omega: Tensor) -> Tensor:
    """What the package multiplies each token's difference by where it weights by probability, [L, V]."""
    return omega / p.amax(dim=-1, keepdim=True) * p


def _by_the_package(original: Tensor, second: Tensor, p: Tensor, omega: Tensor) -> Tensor:
    """The scores of `SPALogitsProcessor` of `anchoring` 0.1.0 with `modulated_by_prob`, its bounds included, [L, V].

    The difference is weighted by probability only for a strength, 1 + omega, above 1 or below -1.
    """
    difference = original - second
    weighted = (_weights(p, omega) * difference).clamp(-1e2, 1e2)
    plain = (omega * difference).clamp(-1e3, 1e3)
    found = (original + torch.where((omega > 0) | (omega < -2), weighted, plain)).clamp(-1e3, 1e3)
    found = torch.where((omega + 1).abs() < 1e-4, second, found)
    return torch.where(omega.abs() < 1e-4, original, found)


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
