"""Anchors of one model and benchmark beside each other."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from spa.analysis.claims import ANCHOR
from spa.analysis.curves import Curve
from spa.analysis.readings import percentiles, tune
from spa.records import SETTINGS


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
