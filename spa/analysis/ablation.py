"""Anchors of one model and benchmark beside each other."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from spa.analysis.curves import Curve, on_common_tasks
from spa.analysis.readings import Tuned, percentiles, tune
from spa.records import ANCHOR, SETTINGS


def anchor_rows(curves: Iterable[Curve]) -> pd.DataFrame:
    """A row for each anchor of settings that have several; tuned, on the tasks that all have."""
    groups: dict[tuple[str, ...], list[Curve]] = {}
    for curve in curves:
        if curve.has_omegas:
            groups.setdefault(tuple(curve.settings[name] for name in SETTINGS if name != "anchor"), []).append(curve)
    rows = []
    for group in map(on_common_tasks, groups.values()):
        if len({curve.anchor for curve in group}) < 2 or group[0].n_tasks < 2:
            continue
        tuned = {curve.anchor: tune(curve) for curve in group}
        for curve in group:
            row = curve.settings | tuned_columns(curve, tuned[curve.anchor], "spa")
            if curve.anchor != ANCHOR and ANCHOR in tuned:
                row |= less("description", tuned[curve.anchor], tuned[ANCHOR])
            rows.append(row | {"keys": " ".join(curve.keys)})
    return with_columns(rows, ["less_description", "less_low", "less_high"])


def tuned_columns(curve: Curve, tuned: Tuned, name: str) -> dict[str, float | int | str]:
    """The tuned reading of a curve beside plain decoding; `name` stands for what is tuned."""
    plain, (low, high) = curve.plain.mean(), tuned.interval
    return {
        "n_tasks": curve.n_tasks,
        "plain_pass_at_1": plain,
        f"{name}_pass_at_1": plain + tuned.delta,
        "delta": tuned.delta,
        "delta_low": low,
        "delta_high": high,
    }


def less(name: str, tuned: Tuned, reference: Tuned) -> dict[str, float]:
    """How much more one tuned reading gains than the reference, on the same splits and resamples of the same tasks."""
    low, high = percentiles(tuned.resampled - reference.resampled)
    return {f"less_{name}": tuned.delta - reference.delta, "less_low": low, "less_high": high}


def with_columns(rows: list[dict[str, float | int | str]], columns: Sequence[str]) -> pd.DataFrame:
    """The rows as a table; where there are any it has these columns, of NaN where no row has them."""
    table = pd.DataFrame(rows)
    return table.assign(**{name: table.get(name, np.nan) for name in columns}) if rows else table
