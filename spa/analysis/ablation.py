"""Cells of one model and benchmark beside each other: its anchors, or SPA and other methods."""

from collections.abc import Iterable
from itertools import groupby

import numpy as np
import pandas as pd

from spa.analysis.claims import ANCHOR, DEFAULTS
from spa.analysis.curves import Curve
from spa.analysis.formats import benchmark_name
from spa.analysis.readings import SHARE, percentiles, seeded, tune
from spa.method import OWN_SCALES
from spa.records import SETTINGS
from spa.statistics import delta_interval

ALIKE = [name for name in SETTINGS if name not in ("anchor", "mask", "method")]


def anchor_rows(curves: Iterable[Curve]) -> pd.DataFrame:
    """A row for each anchor of settings that have several; tuned, on the tasks that all have."""
    groups: dict[tuple[str, ...], list[Curve]] = {}
    for curve in curves:
        if curve.has_omegas:
            groups.setdefault(tuple(curve.settings[name] for name in SETTINGS if name != "anchor"), []).append(curve)
    rows = []
    for group in groups.values():
        common = group[0].task_ids
        for curve in group[1:]:
            common = common.intersection(curve.task_ids)
        if len({curve.anchor for curve in group}) < 2 or len(common) < 2:
            continue
        tuned = {curve.anchor: tune(curve.of(common)) for curve in group}
        for curve in group:
            reading, reference = tuned[curve.anchor], tuned.get(ANCHOR)
            low, high = reading.interval
            row = {
                **curve.settings,
                "n_tasks": len(common),
                "plain_pass_at_1": curve.of(common).plain.mean(),
                "spa_pass_at_1": curve.of(common).plain.mean() + reading.delta,
                "delta": reading.delta,
                "delta_low": low,
                "delta_high": high,
            }
            if reference and curve.anchor != ANCHOR:
                row["less_description"] = reading.delta - reference.delta
                row["less_low"], row["less_high"] = percentiles(reading.resampled - reference.resampled)
            rows.append(row | {"keys": " ".join(curve.keys)})
    columns = {"less_description": np.nan, "less_low": np.nan, "less_high": np.nan}
    table = pd.DataFrame(rows)
    return table.assign(**{name: table.get(name, empty) for name, empty in columns.items()}) if rows else table


def compared(curves: Iterable[Curve]) -> list[Curve]:
    """The cells of models and benchmarks that have several methods, SPA's first of each; of SPA the usual one alone."""
    usual = {"anchor": ANCHOR, "mask": DEFAULTS["mask"]}

    def alike(curve: Curve) -> list[str]:
        return [curve.settings[name] for name in ALIKE]

    def in_order(curve: Curve) -> tuple[list[str], bool, str]:
        return alike(curve), curve.settings["method"] != DEFAULTS["method"], curve.settings["method"]

    candidates = [
        curve
        for curve in curves
        if curve.has_omegas
        and curve.n_tasks > 1
        and (curve.settings["method"] != DEFAULTS["method"] or curve.settings.items() >= usual.items())
    ]
    groups = [list(group) for _, group in groupby(sorted(candidates, key=in_order), alike)]
    return [curve for group in groups if len({each.settings["method"] for each in group}) > 1 for curve in group]


def method_rows(curves: Iterable[Curve]) -> pd.DataFrame:
    """A row for each of the `compared` cells: its weight tuned on a share of the tasks, and the gain on the others."""
    rows = []
    for curve in compared(curves):
        tuned, plain = tune(curve, SHARE), float(curve.plain.mean())
        low, high = tuned.interval
        omega = float(np.median(tuned.omegas))
        rows.append(
            {
                **curve.settings,
                "tried": f"{curve.lo[0]:.3g} to {curve.hi[-1]:.3g}"
                + ("" if _is_interval(curve) else f", {len(curve.lo)}"),
                "n_tasks": curve.n_tasks,
                "plain_pass_at_1": plain,
                "spa_pass_at_1": plain + tuned.delta,
                "delta": tuned.delta,
                "delta_low": low,
                "delta_high": high,
                "omega": omega,
                "own_weight": own_weight(curve.settings["method"], omega),
                "keys": " ".join(curve.keys),
            }
        )
    return pd.DataFrame(rows)


def difference_rows(curves: Iterable[Curve]) -> pd.DataFrame:
    """A row for each part of each of the `compared` cells: its gain over plain, with the paired 95% interval.

    `panel` names the model and benchmark to readers.
    """
    tables = []
    for curve in compared(curves):
        fixed = (curve.passed & ~curve.plain[:, None]).sum(axis=0)
        broken = (~curve.passed & curve.plain[:, None]).sum(axis=0)
        low, high = delta_interval(fixed, broken, np.full(len(fixed), curve.n_tasks), seeded())
        panel = f"{curve.model}, {benchmark_name(curve.benchmark)}"
        numbers = {"delta": (fixed - broken) / curve.n_tasks, "delta_low": low, "delta_high": high}
        tables.append(
            pd.DataFrame({**curve.settings, "panel": panel, "omega_lo": curve.lo, "omega_hi": curve.hi, **numbers})
        )
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def own_weight(method: str, omega: float) -> str:
    """The weight on the scale that the method was published with."""
    name, at_zero = OWN_SCALES.get(method, ("omega", 0))
    return f"{name} {omega + at_zero:.3g}"


def _is_interval(curve: Curve) -> bool:
    return bool((curve.lo < curve.hi).any())
