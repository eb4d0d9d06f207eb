"""Published numbers beside ours. The data and their sources lie in results/published/."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from spa.analysis.curves import Curve
from spa.analysis.readings import tune
from spa.config import shipped
from spa.records import ANCHOR, DEFAULTS
from spa.statistics import wilson

PUBLISHED = shipped("results/published") / "pass_at_1.csv"
OURS = ["ours", "ours_low", "ours_high", "difference", "covers"]


def read(path: Path = PUBLISHED) -> pd.DataFrame:
    """The published numbers as fractions; NaN where nobody could verify one."""
    table = pd.read_csv(path, keep_default_na=False)
    value = pd.to_numeric(table["value"]) / 100
    return table.assign(published=value.where(table["verified"] == "yes")).drop(columns=["value", "verified"])


def compare(published: pd.DataFrame, curves: Iterable[Curve]) -> pd.DataFrame:
    """Each published number with ours of that model and benchmark: a row for each of our settings, or an empty one.

    Ours is plain Pass@1 or SPA's in the tuned reading, with Wilson's interval, or their difference with the paired
    bootstrap's. `covers` says whether that interval holds the published number.
    """
    ours = pd.DataFrame(
        _ours(curves),
        columns=["model", "benchmark", "quantity", "template", "extraction", "weights", *OURS[:3], "keys"],
    )
    ours = ours.astype(dict.fromkeys(OURS[:3], float))
    table = published.merge(ours, how="left", on=["model", "benchmark", "quantity"])
    both = table["ours"].notna() & table["published"].notna()
    covers = table["published"].between(table["ours_low"], table["ours_high"])
    return table.assign(
        difference=table["ours"] - table["published"],
        covers=np.where(both, np.where(covers, "yes", "no"), ""),
    )


def _ours(curves: Iterable[Curve]) -> list[tuple[str | float, ...]]:
    rows: dict[tuple[str, ...], tuple[str | float, ...]] = {}
    for curve in (curve for curve in curves if curve.settings["profile"] == DEFAULTS["profile"]):
        settings = curve.settings
        weights = ", ".join(each for each in (settings["dtype"], settings["quantization"]) if each != "none")
        names = (settings["template"], settings["extraction"], weights)
        low, high = (float(end[0]) for end in wilson([curve.plain.sum()], [curve.n_tasks]))
        found = {"plain": (float(curve.plain.mean()), low, high)}
        is_default = curve.anchor == ANCHOR and settings.items() >= DEFAULTS.items()
        if is_default and curve.has_omegas and curve.n_tasks > 1:
            tuned = tune(curve)
            rate = float(curve.plain.mean()) + tuned.delta
            low, high = (float(end[0]) for end in wilson([rate * curve.n_tasks], [curve.n_tasks]))
            found |= {"delta": (tuned.delta, *tuned.interval), "spa": (rate, low, high)}
        for quantity, numbers in found.items():
            cell = (curve.model, curve.benchmark, quantity, *names)
            rows.setdefault(cell, (*cell, *numbers, " ".join(curve.keys)))
    return list(rows.values())
