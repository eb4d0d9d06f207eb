"""Anchors of one model and benchmark beside each other."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from spa.analysis.curves import Curve, on_common_tasks
from spa.analysis.readings import Tuned, percentiles, tune
from spa.records import ANCHOR, CONTROL, SETTINGS

WHERE_AS_LONG = ", where as long"


def anchor_rows(curves: Iterable[Curve]) -> pd.DataFrame:
    """A row for each anchor of settings that have several; tuned, on the tasks that all have.

    The control and the description are there once more, on the tasks where as many tokens of both are anchored, if
    these are not all.
    """
    groups: dict[tuple[str, ...], list[Curve]] = {}
    for curve in curves:
        if curve.has_omegas:
            groups.setdefault(tuple(curve.settings[name] for name in SETTINGS if name != "anchor"), []).append(curve)
    rows: list[dict[str, float | int | str]] = []
    for group in map(on_common_tasks, groups.values()):
        rows += _compared(group)
        for as_long in [curve.as_long for curve in group if curve.anchor == CONTROL and not curve.as_long.all()]:
            alike = group[0].task_ids[as_long]
            again = _compared([curve.of(alike) for curve in group if curve.anchor in (ANCHOR, CONTROL)])
            rows += [row | {"anchor": f"{row['anchor']}{WHERE_AS_LONG}"} for row in again]
    return with_columns(rows, ["less_description", "less_low", "less_high"])


def _compared(group: Sequence[Curve]) -> list[dict[str, float | int | str]]:
    """A row for each of the curves, which are of the same tasks; none where there are not two to compare."""
    if len({curve.anchor for curve in group}) < 2 or group[0].n_tasks < 2:
        return []
    rows, tuned = [], {curve.anchor: tune(curve) for curve in group}
    for curve in group:
        row = curve.settings | tuned_columns(curve, tuned[curve.anchor], "spa")
        if curve.anchor != ANCHOR and ANCHOR in tuned:
            row |= less("description", tuned[curve.anchor], tuned[ANCHOR])
        rows.append(row | {"keys": " ".join(curve.keys)})
    return rows


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
