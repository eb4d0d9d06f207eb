"""Methods of one model and benchmark beside each other, each with the second prompt of its preset.

A comparison is a list of curves over the same tasks, alike in all but method, anchor and mask; SPA's is the first.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from spa.analysis.ablation import less, tuned_columns, with_columns
from spa.analysis.curves import Curve, on_common_tasks
from spa.analysis.readings import against_plain, tune
from spa.method import scale_of
from spa.records import ANCHOR, DEFAULTS, SETTINGS

OF_A_METHOD = ("anchor", "mask", "method")
ALIKE = [name for name in SETTINGS if name not in OF_A_METHOD]
SPA = DEFAULTS["method"]

Comparison = Sequence[Curve]


def comparisons(curves: Iterable[Curve]) -> list[Comparison]:
    """One for each settings of which several methods have omegas and two tasks in common.

    Of SPA there is its default anchor and mask alone, where that was run: the others are its ablations. Runs whose
    plain decoding differs, as by their token limits, are not compared: of several such sets that of most methods is,
    and of these the first.
    """
    sets: dict[tuple[str, ...], dict[str, list[Curve]]] = {}
    for curve in curves:
        if curve.has_omegas:
            alike = sets.setdefault(tuple(curve.settings[name] for name in ALIKE), {})
            alike.setdefault(curve.plain_identity, []).append(curve)
    found = [on_common_tasks(_in_order(max(alike.values(), key=_n_methods))) for alike in sets.values()]
    return [comparison for comparison in found if _n_methods(comparison) > 1 and comparison[0].n_tasks > 1]


def method_rows(compared: Iterable[Comparison]) -> pd.DataFrame:
    """A row for each curve: omega tuned for itself, and its gain less SPA's where one curve is SPA's.

    `omega` is the lower median of those that the splits choose; `on_scale` is the same weight as the method's authors
    write it, and `fixed` and `broken` count all tasks at it. Pass rates and differences are fractions.
    """
    rows = []
    for curves in compared:
        spas = [curve for curve in curves if _method(curve) == SPA]
        for curve in curves:
            tuned, rates = tune(curve), curve.passed.mean(axis=0)
            row = curve.settings | {"omegas": _omegas(curve)} | tuned_columns(curve, tuned, "tuned")
            if len(spas) == 1 and curve is not spas[0]:
                row |= less(SPA, tuned, tune(spas[0]))
            omega, scale = float(np.quantile(tuned.omegas, 0.5, method="lower")), scale_of(_method(curve))
            outcome = against_plain(curve, curve.on_grid[:, int(np.argmax(curve.grid == omega))])
            row |= {"omega": omega, "scale": scale.name, "on_scale": scale.at_zero + omega}
            row |= {"fixed": outcome["fixed"], "broken": outcome["broken"]}
            row |= {"highest_pass_at_1": rates.max(), "best_lo": float(curve.lo[rates.argmax()])}
            rows.append(row | {"keys": outcome["keys"]})
    return with_columns(rows, ["less_spa", "less_low", "less_high"])


def method_curves(compared: Iterable[Comparison]) -> pd.DataFrame:
    """A row for each omega, or part of an interval, of each curve: its difference to plain decoding, as fractions."""
    rows = []
    for curve in (curve for curves in compared for curve in curves):
        scale = scale_of(_method(curve))
        row = curve.settings | {"scale": scale.name, "scale_at_zero": scale.at_zero}
        for column, (lo, hi) in enumerate(zip(curve.lo, curve.hi, strict=True)):
            outcome = against_plain(curve, curve.passed[:, column])
            del outcome["spa_pass_at_1"]
            rows.append(row | {"omega_lo": lo, "omega_hi": hi} | outcome)
    return pd.DataFrame(rows)


def _method(curve: Curve) -> str:
    return curve.settings["method"]


def _n_methods(curves: Comparison) -> int:
    return len(set(map(_method, curves)))


def _in_order(curves: Comparison) -> list[Curve]:
    """SPA first, without its ablations; then by name."""
    spas = [curve for curve in curves if _method(curve) == SPA]
    usual = [curve for curve in spas if (curve.anchor, curve.settings["mask"]) == (ANCHOR, DEFAULTS["mask"])]
    others = [curve for curve in curves if _method(curve) != SPA]
    return [*(usual or spas), *sorted(others, key=_method)]


def _omegas(curve: Curve) -> str:
    ends = f"{curve.lo[0]:g}..{curve.hi[-1]:g}"
    return ends if (curve.lo < curve.hi).any() else f"{ends}, {len(curve.lo)} values"
