"""How often each rule errs, by simulation; conf/claims.yaml quotes what is found here.

`python tests/analysis/test_error_rates.py` prints the rates of all claims.
"""

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import studies
from studies import PLAIN, along_omega, cell, difficulty, flat, peak, study

from spa.analysis import claims, readings, rules
from spa.analysis.claims import LARGER, MODELS, SMALLER
from spa.analysis.readings import percentiles, tune, tune_against
from spa.statistics import resamples

RNG = np.random.Generator
Ruled = Callable[[RNG], list[bool | None]]  # what a rule says of the points of one simulated study
N_STUDIES = {"C1": 100, "C6": 150}  # of each scenario
OTHERWISE = 200
RESAMPLES = 500  # a fourth of what reports draw: the interval's ends are noisier, its errors no fewer


def improvement(gain: studies.Floats) -> Ruled:
    return lambda rng: rules.gains(study(lambda _: gain, rng))


def largest_gain(gain: studies.Floats) -> Ruled:
    def ruled(rng: RNG) -> list[bool | None]:
        tuned = tune(cell(along_omega(rng.random(164), rng), gain, SMALLER))
        return [rules.reaches(tuned.delta, *tuned.interval)]

    return ruled


def smaller_beats_larger(by: float) -> Ruled:
    def ruled(rng: RNG) -> list[bool | None]:
        shared = rng.random(164)
        small = cell(along_omega(difficulty(shared, rng), rng), flat(PLAIN[LARGER] - PLAIN[SMALLER] + by), SMALLER)
        tuned = tune_against(small, difficulty(shared, rng) < PLAIN[LARGER])
        return [rules.sign(*tuned.interval)]

    return ruled


def unimodality(gain: studies.Floats) -> Ruled:
    return lambda rng: rules.rises_and_falls_once(study(lambda _: gain, rng))


def common_optimum(gain: studies.Gain) -> Ruled:
    return lambda rng: rules.share_an_optimum(study(gain, rng))


def best_anchor(described: studies.Floats, rival: studies.Floats) -> Ruled:
    """The random text gains nothing; of the other anchors, all but one gain nothing either."""

    def ruled(rng: RNG) -> list[bool | None]:
        first = difficulty(rng.random(164), rng)  # at omega 0 all anchors write the same
        ours, found = tune(cell(along_omega(first, rng), described, SMALLER)), []
        for anchor in (*claims.RIVALS["humaneval"], rules.CONTROL):
            gain = rival if anchor == "prompt" else flat()
            theirs = tune(cell(along_omega(first, rng), gain, SMALLER, anchor=anchor))
            found.append(rules.no_better(anchor, *percentiles(theirs.resampled - ours.resampled)))
        return found

    return ruled


def dilution(slope: float) -> Ruled:
    """Both measures."""

    def ruled(rng: RNG) -> list[bool | None]:
        slopes = [rules.dilution(studies.attention(slope, rng)) for _ in claims.MEASURES]
        return [rules.sign(-high, -low) for _, low, high in slopes]

    return ruled


def cost(ratio: float, most: float) -> Ruled:
    """Five rounds, each 5% off."""
    return lambda rng: [rules.within(ratio * np.exp(rng.normal(0, 0.05, 5)), most)]


# By claim: studies in which it is not true, and in which it is.
NULL: dict[str, dict[str, Ruled]] = {
    "C1": {"no effect in 20 cells": improvement(flat())},
    "C2": {"no effect": largest_gain(flat())},
    "C3": {"equal": smaller_beats_larger(0)},
    "C4": {"no effect in 20 cells": unimodality(flat())},
    "C5": {
        "no effect in 20 cells": common_optimum(lambda _: flat()),
        "peaks of 20 points, of two models at 0.1 and of three at 0.4": common_optimum(
            lambda model: peak(0.2, 0.1 if model in MODELS[:2] else 0.4)
        ),
    },
    "C6": {
        "no anchor has an effect": best_anchor(flat(), flat()),
        "another anchor alone gains 10 points": best_anchor(flat(), flat(0.1)),
    },
    "C7": {"even attention": dilution(0)},
    "C8a": {"a ratio of 1.4": cost(1.4, 1.4)},
    "C8b": {"a ratio of 3.5": cost(3.5, 3.5)},
}
CLAIMED: dict[str, dict[str, Ruled]] = {
    "C1": {"a peak of 5 points in each of 20 cells": improvement(peak(0.05))},
    "C2": {"9.7 points at every omega": largest_gain(flat(0.097))},
    "C3": {"5 points better": smaller_beats_larger(0.05), "10 points better": smaller_beats_larger(0.1)},
    "C4": {
        "a peak of 10 points in each of 20 cells": unimodality(peak(0.1)),
        "of 20 points": unimodality(peak(0.2)),
    },
    "C5": {
        "a peak of 10 points at 0.2 in each of 20 cells": common_optimum(lambda _: peak(0.1)),
        "of 20 points": common_optimum(lambda _: peak(0.2)),
    },
    "C6": {"description alone gains 10 points": best_anchor(flat(0.1), flat())},
    "C7": {"5% of even attention lost in 100 tokens": dilution(-0.05)},
    "C8a": {"a ratio of 1.25": cost(1.25, 1.4)},
    "C8b": {"a ratio of 2": cost(2, 3.5)},
}


def rates(id_: str, ruled: Ruled) -> dict[str, int]:
    """How many per cent of studies the rule calls reproduced, and not."""
    rng, n_studies = np.random.default_rng(1), N_STUDIES.get(id_, OTHERWISE)
    counts: Counter[str] = Counter()
    for _ in range(n_studies):
        said = ruled(rng)
        counts["not reproduced" if False in said else "reproduced" if all(said) else ""] += 1
        tune.cache_clear()
    return {name: round(100 * counts[name] / n_studies) for name in ("reproduced", "not reproduced")}


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    weights = {n_tasks: resamples(n_tasks, readings.seeded(), RESAMPLES) for n_tasks in claims.N_TASKS.values()}
    monkeypatch.setattr(readings, "task_weights", weights.__getitem__)
    readings._splits.cache_clear()
    yield
    readings._splits.cache_clear()
    tune.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("id_", claims.texts())
def test_noise_seldom_decides_a_claim(id_: str) -> None:
    """At most 5% are called what they are not, and the file of claims says what is found."""
    null, claimed = ({name: rates(id_, ruled) for name, ruled in each[id_].items()} for each in (NULL, CLAIMED))
    assert max(each["reproduced"] for each in null.values()) <= 5
    assert max(each["not reproduced"] for each in claimed.values()) <= 5
    told = claims.texts()[id_]["rates"]
    assert list(told) == [*null, *claimed]
    for scenario, found in (null | claimed).items():
        assert told[scenario] == pytest.approx(found, abs=1), (scenario, found)


def test_a_gain_of_five_points_in_every_cell_would_show() -> None:
    (told,) = (rate for scenario, rate in claims.texts()["C1"]["rates"].items() if "5 points" in scenario)
    assert told["reproduced"] >= 80
