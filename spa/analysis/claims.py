"""The paper's claims C1 to C8, each with a verdict on the paper's models and the evidence on whatever was run.

A verdict needs the paper's models, whole benchmarks (C7 and C8 apart), and the default anchor, mask and profile. The
evidence is what the same comparison says on the cells that are there, whatever their model and however many of the
tasks. Intervals are 95% paired bootstraps over tasks; the tuned reading is the one at `readings.SHARE`.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from omegaconf import OmegaConf

from spa.analysis.curves import Curve
from spa.analysis.evidence import Attention, Evidence, Speed
from spa.analysis.formats import benchmark_name, signed
from spa.analysis.readings import SHARE, percentiles, seeded, tune, tune_against
from spa.config import CONF
from spa.records import ANCHOR, DEFAULTS
from spa.statistics import best_omegas, common_slope, falls_after_rises, pooled_steps

Ruling = Literal["reproduced", "not reproduced", "not enough data"]
Finding = Literal["supports", "contradicts", "inconclusive"]

SMALLER, LARGER = "DeepSeek-Coder-Instruct 6.7B", "DeepSeek-Coder-Instruct 33B"
MODELS = ("CodeGen-Mono 350M", "CodeLlama 7B", "DeepSeek-Coder-Instruct 1.3B", SMALLER, LARGER)
N_TASKS = {"humaneval": 164, "humaneval_plus": 164, "mbpp": 378, "mbpp_plus": 378}
# Anchors that hold other or more text than the description; MBPP has no signature.
RIVALS = {
    "humaneval": ("description_and_tests", "examples", "prompt", "signature"),
    "mbpp": ("description_and_tests", "examples", "prompt"),
}
LARGEST_GAIN = 0.097
FEWEST_OMEGAS = 5  # fewer cannot rise and fall twice
MEASURES = {"self_last": "self-attention", "gradient": "gradient"}
RATIOS = {"C8a": 1.4, "C8b": 3.5}


@cache
def texts() -> dict[str, dict[str, str]]:
    """By id: the claim, the rule that decides it, and what other models than the paper's can say of it."""
    return OmegaConf.to_container(OmegaConf.load(CONF / "claims.yaml"))  # type: ignore[return-value]


@dataclass(frozen=True)
class Verdict:
    """What the results say of one claim."""

    id: str  # "C1"
    claim: str
    rule: str
    others: str  # what a model that is not one of the paper's can say of it
    verdict: Ruling  # by the rule, on the paper's models
    evidence: Finding  # on the models that were run
    numbers: tuple[str, ...]  # a line for each cell or comparison behind them
    keys: tuple[str, ...]  # of the runs behind them, sorted


@dataclass(frozen=True)
class Point:
    """One cell or comparison."""

    text: str
    keys: tuple[str, ...]
    of_the_paper: bool  # one of its models, on a whole benchmark
    holds: bool | None  # as the rule asks; None where these data cannot tell
    shows: bool | None  # the claim, or its opposite; None where it is compatible with both


def judge(evidence: Evidence) -> list[Verdict]:
    """Every claim, in order."""
    curves = [curve for curve in evidence.curves if curve.n_tasks > 1 and curve.settings.items() >= DEFAULTS.items()]
    described = [curve for curve in curves if curve.anchor == ANCHOR and curve.has_omegas]
    return [
        _improvement(described),
        _largest_gain(described),
        _smaller_beats_larger(described, curves),
        _unimodality(described),
        _common_optimum(described),
        _best_anchor(described, curves),
        _dilution(evidence.attention),
        *(_cost(id_, most, evidence.speed) for id_, most in RATIOS.items()),
    ]


def markdown(verdicts: Iterable[Verdict]) -> str:
    """claims.md: an overview, then each claim with its numbers and runs."""
    verdicts = list(verdicts)
    lines = ["# The paper's claims", "", "| | Claim | Verdict | On the models run |", "|:--|:--|:--|:--|"]
    lines += [f"| {v.id} | {v.claim} | {v.verdict} | {v.evidence} |" for v in verdicts]
    lines += ["", f"The verdicts need the paper's models: {', '.join(MODELS)}."]
    lines += ["Intervals are 95%, paired over tasks, and not corrected for their number."]
    lines += [f"In the tuned reading omega is chosen on {SHARE:.0%} of the tasks and measured on the others."]
    for v in verdicts:
        lines += ["", f"## {v.id}: {v.verdict}", "", f"{v.claim}.", "", f"Rule: {v.rule}.", ""]
        lines += [f"What models other than the paper's can say: {v.others}.", ""]
        lines += [f"On the models that were run: {v.evidence}.", "", *(f"- {number}" for number in v.numbers)]
        lines += ["", f"Runs: {', '.join(v.keys) or 'none'}."]
    return "\n".join(lines) + "\n"


def _improvement(described: Sequence[Curve]) -> Verdict:
    points = []
    for curve in described:
        tuned = tune(curve)
        low, high = tuned.interval
        sign = _sign(low, high)
        points.append(_point(curve, _gain(tuned.delta, low, high), sign, sign))
    return _verdict("C1", points, _finding(points), _missing(described))


def _largest_gain(described: Sequence[Curve]) -> Verdict:
    points = []
    for curve in (curve for curve in described if curve.benchmark == "humaneval"):
        tuned = tune(curve)
        low, high = tuned.interval
        shows = None if curve.model != SMALLER else False if high < LARGEST_GAIN else True if low > 0 else None
        point = _point(curve, _gain(tuned.delta, low, high), low <= LARGEST_GAIN <= high, shows)
        points.append(replace(point, of_the_paper=point.of_the_paper and curve.model == SMALLER))
    return _verdict("C2", points, _finding(points, any), _missing(described, [SMALLER], ["humaneval"]))


def _smaller_beats_larger(described: Sequence[Curve], curves: Sequence[Curve]) -> Verdict:
    points = []
    large = [curve for curve in curves if (curve.model, curve.benchmark) == (LARGER, "humaneval")]
    for small in described:
        if (small.model, small.benchmark) == (SMALLER, "humaneval") and large:
            other = max(large, key=lambda curve: curve.n_tasks)
            common = small.task_ids.intersection(other.task_ids)
            if len(common) > 1:
                plain = other.of(common).plain
                tuned = tune_against(small.of(common), plain)
                low, high = tuned.interval
                text = f"with SPA, less plain {LARGER}: {_gain(tuned.delta, low, high)}"
                points.append(_point(small.of(common), text, low > 0, _sign(low, high), other))
    missing = _missing(described, [SMALLER], ["humaneval"]) + _missing(curves, [LARGER], ["humaneval"])
    return _verdict("C3", points, _finding(points), missing)


def _unimodality(described: Sequence[Curve]) -> Verdict:
    points = []
    for curve in described:
        steps = pooled_steps(curve.on_grid, seeded())
        rates = [curve.on_grid[:, first:stop].mean() for first, stop in steps]
        peaks = falls_after_rises(rates)
        ends = zip(((curve.grid[first], curve.grid[stop - 1]) for first, stop in steps), rates, strict=True)
        text = ", ".join(f"{rate:.1%} at {_range(*omegas)}" for omegas, rate in ends)
        enough = len(curve.grid) >= FEWEST_OMEGAS
        text = f"{peaks} changes from rising to falling: {text}" if enough else f"{len(curve.grid)} omegas are too few"
        one_peak = None if not enough or not peaks else peaks == 1
        points.append(_point(curve, text, one_peak, one_peak))
    return _verdict("C4", points, _finding(points, any), _missing(described))


def _common_optimum(described: Sequence[Curve]) -> Verdict:
    points, optima, of_the_paper = [], [], []
    for curve in (curve for curve in described if len(curve.grid) >= FEWEST_OMEGAS):
        kept = best_omegas(curve.passed, seeded())
        lo, hi = float(curve.lo[kept].min()), float(curve.hi[kept].max())
        everything = (lo, hi) == (curve.lo[0], curve.hi[-1])
        peak = float(curve.passed.mean(axis=0).max())
        told = f"the best omega lies in {_range(lo, hi)}" + (", which is all that was tried" if everything else "")
        point = _point(curve, f"{told}; highest Pass@1 {peak:.1%}", None if everything else True, None)
        points.append(point)
        optima += [] if everything else [(lo, hi)]
        of_the_paper += [(lo, hi)] if point.of_the_paper and not everything else []
    points = [replace(point, holds=point.holds and _meet(of_the_paper)) for point in points]
    told_apart: Finding = "inconclusive" if len(optima) < 2 else "supports" if _meet(optima) else "contradicts"
    return _verdict("C5", points, told_apart, _missing(described))


def _best_anchor(described: Sequence[Curve], curves: Sequence[Curve]) -> Verdict:
    points, complete = [], False
    for curve in described:
        rivals = {other.anchor: other for other in curves if other.has_omegas and _differs_in_anchor(curve, other)}
        for anchor, other in sorted(rivals.items()):
            common = curve.task_ids.intersection(other.task_ids)
            if len(common) > 1:
                ours, theirs = tune(curve.of(common)), tune(other.of(common))
                low, high = percentiles(theirs.resampled - ours.resampled)
                text = f"{anchor} less {ANCHOR}: {_gain(theirs.delta - ours.delta, low, high)}"
                points.append(_point(curve.of(common), text, low <= 0, _sign(-high, -low), other))
        complete |= _of_the_paper(curve) and set(RIVALS[curve.family]) <= {
            anchor for anchor, other in rivals.items() if _of_the_paper(other)
        }
    missing = [] if complete else ["the other anchors beside description, on a model and whole benchmark of the paper"]
    return _verdict("C6", points, _finding(points, any), missing)


def _dilution(measurements: Sequence[Attention]) -> Verdict:
    points, measured = [], set()
    for attention in measurements:
        plain = attention.shares[attention.shares["branch"] == "plain"]
        for measure, name in MEASURES.items():
            rows = plain[plain["measure"] == measure]
            slope, low, high = common_slope(rows["task_id"], rows["position"], rows["prompt_share"], seeded())
            if np.isnan(slope):
                continue
            of_the_paper = attention.model in MODELS
            per_hundred = f"{slope * 1e4:+.2f} points per 100 tokens ({low * 1e4:+.2f} to {high * 1e4:+.2f})"
            cell = f"{_cell(attention.model, attention.benchmark)}, {rows['task_id'].nunique()} tasks"
            points.append(
                Point(f"{cell}, {name}: {per_hundred}", (attention.key,), of_the_paper, high < 0, _sign(-high, -low))
            )
            measured |= {measure} if of_the_paper else set()
    missing = [f"{name} of a model of the paper" for measure, name in MEASURES.items() if measure not in measured]
    return _verdict("C7", points, _finding(points), missing)


def _cost(id_: str, most: float, speeds: Sequence[Speed]) -> Verdict:
    points = []
    for speed in speeds:
        rounds = f"rounds {min(speed.rounds):.2f} to {max(speed.rounds):.2f}"
        others = "".join(f", at batch {b}: {r:.2f}" for b, r in speed.by_batch.items() if r != speed.ratio)
        text = f"{speed.conditions}: {speed.ratio:.2f} at batch 16 ({rounds}){others}; bench/{speed.name}.json"
        within = {ratio <= most for ratio in speed.by_batch.values()}
        shows = within.pop() if len(within) == 1 else None
        points.append(Point(text, (), speed.of_the_paper, speed.ratio <= most, shows))
    measured = any(point.of_the_paper for point in points)
    return _verdict(
        id_, points, _finding(points), [] if measured else ["a benchmark in the shape of a model of the paper"]
    )


def _verdict(id_: str, points: Sequence[Point], evidence: Finding, missing: Sequence[str]) -> Verdict:
    """By the rule: one of the paper's points that fails decides; else all that the claim speaks of must be there."""
    holds = [point.holds for point in points if point.of_the_paper]
    ruling: Ruling = (
        "not reproduced" if False in holds else "reproduced" if all(holds) and not missing else "not enough data"
    )
    numbers = [point.text for point in points] + ([f"not there: {'; '.join(missing)}"] if missing else [])
    keys = tuple(sorted({key for point in points for key in point.keys}))
    return Verdict(id=id_, **texts()[id_], verdict=ruling, evidence=evidence, numbers=tuple(numbers), keys=keys)


def _finding(points: Sequence[Point], enough: Callable[[Iterable[object]], bool] = all) -> Finding:
    """`enough` is `any` for claims that a point may be too weak to tell of."""
    shown = [point.shows for point in points]
    return "contradicts" if False in shown else "supports" if shown and enough(shown) else "inconclusive"


def _missing(
    curves: Sequence[Curve], models: Sequence[str] = MODELS, benchmarks: Sequence[str] = tuple(N_TASKS)
) -> list[str]:
    """The paper's cells of which no whole benchmark is there, by model."""
    there = {(curve.model, curve.benchmark) for curve in curves if _of_the_paper(curve)}
    lacking = {model: [name for name in benchmarks if (model, name) not in there] for model in models}
    return [f"{model} on {', '.join(map(benchmark_name, names))}" for model, names in lacking.items() if names]


def _of_the_paper(curve: Curve) -> bool:
    return curve.model in MODELS and curve.n_tasks >= N_TASKS.get(curve.benchmark, np.inf)


def _differs_in_anchor(curve: Curve, other: Curve) -> bool:
    """Alone, and to an anchor that the claim speaks of."""
    same = all(value == other.settings[name] for name, value in curve.settings.items() if name != "anchor")
    return same and other.anchor in RIVALS[curve.family]


def _meet(intervals: Sequence[tuple[float, float]]) -> bool | None:
    return max(lo for lo, _ in intervals) <= min(hi for _, hi in intervals) if intervals else None


def _point(curve: Curve, text: str, holds: bool | None, shows: bool | None, *others: Curve) -> Point:
    name = f"{_cell(curve.model, curve.benchmark)}, {curve.n_tasks} tasks"
    keys = {key for each in (curve, *others) for key in each.keys}
    return Point(f"{name}: {text}", tuple(sorted(keys)), _of_the_paper(curve), holds, shows)


def _cell(model: str, benchmark: str) -> str:
    return f"{model} on {benchmark_name(benchmark)}"


def _sign(low: float, high: float) -> bool | None:
    """Whether an interval lies above 0; None where it does not lie on one side."""
    return True if low > 0 else False if high < 0 else None


def _gain(delta: float, low: float, high: float) -> str:
    return f"{signed(delta)} points ({signed(low)} to {signed(high)})"


def _range(lo: float, hi: float) -> str:
    return f"omega {lo:.3g}" if lo == hi else f"omega {lo:.3g} to {hi:.3g}"
