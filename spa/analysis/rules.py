"""The rules that decide the paper's claims: numbers in, True, False or None out; None decides nothing.

Where one of many cells could decide, their number is allowed for: by Holm's p-values, or by a share of the error for
each. `conf/claims.yaml` says the rules in words, and what each calls studies that were simulated.
"""

from collections.abc import Sequence

import pandas as pd

from spa.analysis.curves import Curve
from spa.analysis.readings import pool, seeded, task_weights, tune
from spa.statistics import (
    CONFIDENCE,
    best_omegas,
    common_slope,
    falls_after_rises,
    holm,
    interval_of_ratio,
    pooled_steps,
)

CONTROL = "random"  # the anchor that must be worse: any text of the prompt but the description
BETTER = 0.02  # another anchor is, by more than this
LARGEST_GAIN, MARGIN = 0.097, 0.03
NARROW = 0.2  # a set of omegas that may be the best
FEWEST_OMEGAS = 5  # fewer cannot rise and fall twice


def gains(curves: Sequence[Curve]) -> list[bool | None]:
    """C1: False where a cell loses after Holm; else True, where all together gain."""
    _, low, _ = pool(curves)
    lost = [p_value <= 1 - CONFIDENCE and tune(curve).delta < 0 for curve, p_value in adjusted(curves).items()]
    return [False if loses else True if low > 0 else None for loses in lost]


def reaches(delta: float, low: float, high: float) -> bool | None:
    """C2: a gain, and of the stated size."""
    if high < LARGEST_GAIN - MARGIN or low > LARGEST_GAIN + MARGIN:
        return False
    return True if low > 0 and abs(delta - LARGEST_GAIN) <= MARGIN else None


def rises_and_falls_once(curves: Sequence[Curve]) -> list[bool | None]:
    """C4: whether a cell has one change from rising to falling; None where it has none."""
    peaks = [falls_after_rises([rate for *_, rate in steps(curve, len(curves))]) for curve in curves]
    enough = (len(curve.grid) >= FEWEST_OMEGAS for curve in curves)
    return [n == 1 if n and is_enough else None for n, is_enough in zip(peaks, enough, strict=True)]


def share_an_optimum(curves: Sequence[Curve]) -> list[bool | None]:
    """C5: whether the optima that are known well meet, for each of these; None for the others."""
    optima = [optimum(curve, len(curves)) for curve in curves]
    narrow = [(lo, hi) for lo, hi in optima if hi - lo < NARROW]
    meet = max(lo for lo, _ in narrow) <= min(hi for _, hi in narrow) if len(narrow) > 1 else None
    return [meet if hi - lo < NARROW else None for lo, hi in optima]


def no_better(anchor: str, low: float, high: float) -> bool | None:
    """C6, of the interval of another anchor's gain less description's."""
    most = 0 if anchor == CONTROL else BETTER
    return False if low > BETTER else True if high < most else None


def dilution(shares: pd.DataFrame) -> tuple[float, float, float]:
    """C7: the slope over position, and its interval, of the prompt's share divided by that of even attention."""
    even = shares["prompt_tokens"] / (shares["prompt_tokens"] + shares["position"])
    return common_slope(shares["task_id"], shares["position"], shares["prompt_share"] / even, seeded())


def within(rounds: Sequence[float], most: float) -> bool | None:
    """C8: on which side of `most` the interval of the rounds' ratio lies."""
    low, high = interval_of_ratio(rounds)
    return True if high < most else False if low > most else None


def sign(low: float, high: float) -> bool | None:
    """Whether an interval lies above 0; None where it does not lie on one side."""
    return True if low > 0 else False if high < 0 else None


def adjusted(curves: Sequence[Curve]) -> dict[Curve, float]:
    """The p-value of each cell's tuned gain, adjusted over all."""
    return dict(zip(curves, holm([tune(curve).p_value for curve in curves]).tolist(), strict=True))


def steps(curve: Curve, n_cells: int) -> list[tuple[float, float, float]]:
    """First and last omega and pass rate of the steps that are left where so many cells are judged together."""
    kept = pooled_steps(curve.on_grid, 1 - (1 - CONFIDENCE) / n_cells)
    ends = [(curve.grid[first], curve.grid[stop - 1]) for first, stop in kept]
    rates = [curve.on_grid[:, first:stop].mean() for first, stop in kept]
    return [(float(lo), float(hi), float(rate)) for (lo, hi), rate in zip(ends, rates, strict=True)]


def optimum(curve: Curve, n_cells: int) -> tuple[float, float]:
    """The first and the last omega that may be the best, where so many cells are judged together."""
    kept = best_omegas(curve.passed, task_weights(curve.n_tasks), 1 - (1 - CONFIDENCE) / n_cells)
    return float(curve.lo[kept].min()), float(curve.hi[kept].max())
