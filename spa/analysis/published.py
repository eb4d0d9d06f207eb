"""Published numbers beside ours. The data and their sources lie in results/published/."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from spa.analysis.curves import Curve
from spa.analysis.readings import against_plain, tune
from spa.config import shipped
from spa.records import ANCHOR, DEFAULTS
from spa.statistics import wilson

PUBLISHED = shipped("results/published") / "pass_at_1.csv"
LEADERBOARD = "evalplus"  # the template with which others are compared
LESS = ["less_leaderboard", "less_low", "less_high"]
OURS = ["ours", "ours_low", "ours_high", *LESS]


def read(path: Path = PUBLISHED) -> pd.DataFrame:
    """The published numbers as fractions; NaN where nobody could verify one."""
    table = pd.read_csv(path, keep_default_na=False)
    value = pd.to_numeric(table["value"]) / 100
    return table.assign(published=value.where(table["verified"] == "yes")).drop(columns=["value", "verified"])


def compare(published: pd.DataFrame, curves: Iterable[Curve]) -> pd.DataFrame:
    """Each published number with ours of that model and benchmark: a row for each of our settings, or an empty one.

    Ours is plain Pass@1 or SPA's in the tuned reading, with Wilson's interval, or their difference with the paired
    bootstrap's. Plain Pass@1 under another prompt than EvalPlus' also has how much it is less that prompt's, of the
    same tasks, weights and extraction.
    """
    ours = pd.DataFrame(
        _ours(curves),
        columns=["model", "benchmark", "quantity", "template", "extraction", "weights", *OURS, "keys"],
    )
    ours = ours.astype(dict.fromkeys(OURS, float))
    table = published.merge(ours, how="left", on=["model", "benchmark", "quantity"])
    return table.assign(difference=table["ours"] - table["published"])


def _ours(curves: Iterable[Curve]) -> list[tuple[str | float, ...]]:
    rows: dict[tuple[str, ...], tuple[str | float, ...]] = {}
    curves = [curve for curve in curves if curve.settings["profile"] == DEFAULTS["profile"]]
    for curve in curves:
        settings = curve.settings
        weights = ", ".join(each for each in (settings["dtype"], settings["quantization"]) if each != "none")
        names = (settings["template"], settings["extraction"], weights)
        low, high = (float(end[0]) for end in wilson([curve.plain.sum()], [curve.n_tasks]))
        nothing = (float("nan"),) * len(LESS)
        less = next((_less(curve, other) for other in curves if _is_under_the_leaderboards(curve, other)), nothing)
        found = {"plain": (float(curve.plain.mean()), low, high, *less)}
        is_default = curve.anchor == ANCHOR and settings.items() >= DEFAULTS.items()
        if is_default and curve.has_omegas and curve.n_tasks > 1:
            tuned = tune(curve)
            rate = float(curve.plain.mean()) + tuned.delta
            low, high = (float(end[0]) for end in wilson([rate * curve.n_tasks], [curve.n_tasks]))
            found |= {"delta": (tuned.delta, *tuned.interval, *nothing), "spa": (rate, low, high, *nothing)}
        for quantity, numbers in found.items():
            cell = (curve.model, curve.benchmark, quantity, *names)
            rows.setdefault(cell, (*cell, *numbers, " ".join(curve.keys)))
    return list(rows.values())


def _is_under_the_leaderboards(curve: Curve, other: Curve) -> bool:
    """Whether `other` is the same plain decoding under EvalPlus' prompt."""
    alike = all(
        curve.settings[name] == other.settings[name]
        for name in ("model", "benchmark", "extraction", "dtype", "quantization")
    )
    return alike and other.settings["template"] == LEADERBOARD != curve.settings["template"]


def _less(curve: Curve, reference: Curve) -> tuple[float, ...]:
    """How much more plain decoding passes than the reference's, of the tasks of both, and the paired interval."""
    common = curve.task_ids.intersection(reference.task_ids)
    row = against_plain(reference.of(common), curve.of(common).plain)
    return float(row["delta"]), float(row["delta_low"]), float(row["delta_high"])
