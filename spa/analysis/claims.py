"""The paper's claims C1 to C8, each with a verdict on the paper's models and the evidence on whatever was run.

A verdict needs the paper's models, whole benchmarks (C7 and C8 apart), and the default anchor, mask and profile. The
evidence is what the same comparison says on the cells that are there, whatever their model and however many of the
tasks. Intervals are 95% paired bootstraps over tasks; the tuned reading is the one at `readings.SHARE`. Where a rule
lets one of many cells decide, their number is allowed for: by Holm's p-values, or by a share of the error for each.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from omegaconf import OmegaConf

from spa.analysis import rules
from spa.analysis.curves import Curve
from spa.analysis.evidence import Attention, Evidence, Speed
from spa.analysis.formats import benchmark_name, p_text, signed
from spa.analysis.readings import SHARE, monte_carlo_error, percentiles, pool, tune, tune_against
from spa.config import CONF
from spa.records import ANCHOR, DEFAULTS
from spa.statistics import RESAMPLES, falls_after_rises, interval_of_ratio, smallest_gain

SMALLER, LARGER = "DeepSeek-Coder-Instruct 6.7B", "DeepSeek-Coder-Instruct 33B"
MODELS = ("CodeGen-Mono 350M", "CodeLlama 7B", "DeepSeek-Coder-Instruct 1.3B", SMALLER, LARGER)
N_TASKS = {"humaneval": 164, "humaneval_plus": 164, "mbpp": 378, "mbpp_plus": 378}
# Anchors that hold other or more text than the description; MBPP has no signature.
RIVALS = {
    "humaneval": ("description_and_tests", "examples", "prompt", "signature"),
    "mbpp": ("description_and_tests", "examples", "prompt"),
}
MEASURES = {"self_last": "self-attention", "gradient": "gradient"}
RATIOS = {"C8a": 1.4, "C8b": 3.5}
CHANGED = (0.05, 0.1, 0.2)  # shares of tasks that SPA may fix or break

Ruling = Literal["reproduced", "not reproduced", "not enough data"]
Finding = Literal["supports", "contradicts", "inconclusive"]
Rule = Callable[[Sequence[Curve]], list[bool | None]]  # of each curve, among all of them


@cache
def texts() -> dict[str, dict[str, Any]]:
    """By id: the claim, the rule that decides it, what other models than the paper's can say of it, and `rates`.

    `rates` has, for each scenario that was simulated, how many per cent of studies the rule calls reproduced, and not.
    """
    return OmegaConf.to_container(OmegaConf.load(CONF / "claims.yaml"))  # type: ignore[return-value]


@dataclass(frozen=True)
class Verdict:
    """What the results say of one claim."""

    id: str  # "C1"
    claim: str
    rule: str  # with its error rates
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
    holds: bool | None  # as the rule asks, among the paper's; None where these data cannot tell
    shows: bool | None  # the claim, or its opposite, among all; None where it is compatible with both


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
    lines += [
        f"Intervals are 95%, paired over tasks, of {RESAMPLES:,} resamples: with others an end moves by about 6% of "
        "the standard error. They are not corrected for their number; what decides a claim is, where one of many could."
    ]
    lines += [f"In the tuned reading omega is chosen on {SHARE:.0%} of the tasks and measured on the others."]
    for v in verdicts:
        lines += ["", f"## {v.id}: {v.verdict}", "", f"{v.claim}.", "", f"Rule: {v.rule}.", ""]
        lines += [f"What models other than the paper's can say: {v.others}.", ""]
        lines += [f"On the models that were run: {v.evidence}.", "", *(f"- {number}" for number in v.numbers)]
        lines += ["", f"Runs: {', '.join(v.keys) or 'none'}."]
    return "\n".join(lines) + "\n"


def _improvement(described: Sequence[Curve]) -> Verdict:
    holds, shows = _among(rules.gains, described)
    adjusted, points, errors = rules.adjusted(described), [], []
    for curve in described:
        tuned = tune(curve)
        errors.append(monte_carlo_error(tuned.resampled))
        text = f"{_gain(tuned.delta, *tuned.interval)}, p {p_text(tuned.p_value)}, Holm {p_text(adjusted[curve])}"
        points.append(_point(curve, text, holds.get(curve), shows[curve]))
    paper = [curve for curve in described if _of_the_paper(curve)]
    pools = {len(each): each for each in (described, paper) if each}
    further = [f"pooled over {n} cells: {_gain(*pool(each))}" for n, each in pools.items()]
    if errors:
        further += [f"Monte Carlo error of an end of these cells' intervals: at most {max(errors) * 100:.2f} points"]
    for n_tasks in sorted(set(N_TASKS.values())):
        smallest = ", ".join(f"{smallest_gain(n_tasks, changed) * 100:.1f}" for changed in CHANGED)
        shares = ", ".join(f"{changed:.0%}" for changed in CHANGED)
        further += [f"with 80% power {n_tasks} tasks show a gain of {smallest} points where {shares} of them change"]
    return _verdict("C1", points, _finding(points), _missing(described), further)


def _largest_gain(described: Sequence[Curve]) -> Verdict:
    points = []
    for curve in (curve for curve in described if curve.benchmark == "humaneval"):
        tuned = tune(curve)
        holds = rules.reaches(tuned.delta, *tuned.interval) if curve.model == SMALLER else None
        points.append(_point(curve, _gain(tuned.delta, *tuned.interval), holds, holds, decides=curve.model == SMALLER))
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
                sign = rules.sign(*tuned.interval)
                text = f"with SPA, less plain {LARGER}: {_gain(tuned.delta, *tuned.interval)}"
                points.append(_point(small.of(common), text, sign, sign, other))
    missing = _missing(described, [SMALLER], ["humaneval"]) + _missing(curves, [LARGER], ["humaneval"])
    return _verdict("C3", points, _finding(points), missing)


def _unimodality(described: Sequence[Curve]) -> Verdict:
    points = []
    holds, shows = _among(rules.rises_and_falls_once, described)
    for curve in described:
        steps = rules.steps(curve, len(described))
        told = ", ".join(f"{rate:.1%} at {_range(lo, hi)}" for lo, hi, rate in steps)
        text = f"{falls_after_rises([rate for *_, rate in steps])} changes from rising to falling: {told}"
        if len(curve.grid) < rules.FEWEST_OMEGAS:
            text = f"{len(curve.grid)} omegas are too few"
        points.append(_point(curve, text, holds.get(curve), shows[curve]))
    return _verdict("C4", points, _finding(points, any), _missing(described))


def _common_optimum(described: Sequence[Curve]) -> Verdict:
    points = []
    tried = [curve for curve in described if len(curve.grid) >= rules.FEWEST_OMEGAS]
    holds, shows = _among(rules.share_an_optimum, tried)
    for curve in tried:
        lo, hi = rules.optimum(curve, len(tried))
        told = ", which is all that was tried" if (lo, hi) == (curve.lo[0], curve.hi[-1]) else ""
        peak = float(curve.passed.mean(axis=0).max())
        text = f"the best omega lies in {_range(lo, hi)}{told}; highest Pass@1 {peak:.1%}"
        points.append(_point(curve, text, holds.get(curve), shows[curve]))
    return _verdict("C5", points, _finding(points, any), _missing(described))


def _best_anchor(described: Sequence[Curve], curves: Sequence[Curve]) -> Verdict:
    points, complete, controlled = [], False, False
    for curve in described:
        others = {other.anchor: other for other in curves if other.has_omegas and _differs_in_anchor(curve, other)}
        for anchor, other in sorted(others.items()):
            common = curve.task_ids.intersection(other.task_ids)
            if len(common) > 1:
                ours, theirs = tune(curve.of(common)), tune(other.of(common))
                low, high = percentiles(theirs.resampled - ours.resampled)
                text = f"{anchor} less {ANCHOR}: {_gain(theirs.delta - ours.delta, low, high)}"
                holds = rules.no_better(anchor, low, high)
                points.append(_point(curve.of(common), text, holds, holds, other))
        controlled |= rules.CONTROL in others
        complete |= _of_the_paper(curve) and {*RIVALS[curve.family], rules.CONTROL} <= {
            anchor for anchor, other in others.items() if _of_the_paper(other)
        }
    missing = [] if complete else ["the other anchors beside description, on a model and whole benchmark of the paper"]
    found = _finding(points)
    return _verdict("C6", points, found if controlled or found == "contradicts" else "inconclusive", missing)


def _dilution(measurements: Sequence[Attention]) -> Verdict:
    points, measured = [], set()
    for attention in measurements:
        plain = attention.shares[attention.shares["branch"] == "plain"]
        for measure, name in MEASURES.items():
            rows = plain[plain["measure"] == measure]
            slope, low, high = rules.dilution(rows)
            if np.isnan(slope):
                continue
            of_the_paper = attention.model in MODELS
            per_hundred = f"{slope * 100:+.3f} per 100 tokens ({low * 100:+.3f} to {high * 100:+.3f})"
            cell = f"{_cell(attention.model, attention.benchmark)}, {rows['task_id'].nunique()} tasks"
            falls = rules.sign(-high, -low)
            points.append(Point(f"{cell}, {name}: {per_hundred}", (attention.key,), of_the_paper, falls, falls))
            measured |= {measure} if of_the_paper else set()
    missing = [f"{name} of a model of the paper" for measure, name in MEASURES.items() if measure not in measured]
    return _verdict("C7", points, _finding(points), missing)


def _cost(id_: str, most: float, speeds: Sequence[Speed]) -> Verdict:
    points = []
    for speed in speeds:
        holds, (low, high) = rules.within(speed.rounds, most), interval_of_ratio(speed.rounds)
        others = "".join(f", at batch {b}: {r:.2f}" for b, r in speed.by_batch.items() if r != speed.ratio)
        interval = f"{low:.2f} to {high:.2f} over {len(speed.rounds)} rounds"
        text = f"{speed.conditions}: {speed.ratio:.2f} at batch 16 ({interval}){others}; bench/{speed.name}.json"
        agree = all((ratio <= most) == holds for ratio in speed.by_batch.values())
        points.append(Point(text, (), speed.of_the_paper, holds, holds if agree else None))
    missing = ["a benchmark in the shape of a model of the paper"]
    return _verdict(id_, points, _finding(points), [] if any(point.of_the_paper for point in points) else missing)


def _verdict(
    id_: str, points: Sequence[Point], evidence: Finding, missing: Sequence[str], further: Sequence[str] = ()
) -> Verdict:
    """By the rule: one of the paper's points that fails decides; else all that the claim speaks of must be there.

    further: lines of numbers that belong to no point.
    """
    holds = [point.holds for point in points if point.of_the_paper]
    ruling: Ruling = (
        "not reproduced" if False in holds else "reproduced" if all(holds) and not missing else "not enough data"
    )
    numbers = [*(point.text for point in points), *further] + ([f"not there: {'; '.join(missing)}"] if missing else [])
    keys = tuple(sorted({key for point in points for key in point.keys}))
    told = texts()[id_]
    return Verdict(
        id=id_,
        claim=told["claim"],
        rule=f"{told['rule']}. {_rates(told['rates'])}",
        others=told["others"],
        verdict=ruling,
        evidence=evidence,
        numbers=tuple(numbers),
        keys=keys,
    )


def _finding(points: Sequence[Point], enough: Callable[[Iterable[object]], bool] = all) -> Finding:
    """`enough` is `any` for claims that a point may be too weak to tell of."""
    shown = [point.shows for point in points]
    return "contradicts" if False in shown else "supports" if shown and enough(shown) else "inconclusive"


def _rates(rates: dict[str, dict[str, int]]) -> str:
    """As a sentence without its full stop."""
    told = (f"{scenario}: {each['reproduced']}% and {each['not reproduced']}%" for scenario, each in rates.items())
    return f"Simulated studies that it calls reproduced, and not reproduced: {'; '.join(told)}"


def _among(rule: Rule, curves: Sequence[Curve]) -> tuple[dict[Curve, bool | None], dict[Curve, bool | None]]:
    """What a rule says of each of the paper's cells among these, and of each cell among all."""
    paper = [curve for curve in curves if _of_the_paper(curve)]
    return dict(zip(paper, rule(paper), strict=True)), dict(zip(curves, rule(curves), strict=True))


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
    return same and other.anchor in (*RIVALS[curve.family], rules.CONTROL)


def _point(
    curve: Curve, text: str, holds: bool | None, shows: bool | None, *others: Curve, decides: bool = True
) -> Point:
    """decides: whether the claim is about this cell's model, if it is one of the paper's."""
    name = f"{_cell(curve.model, curve.benchmark)}, {curve.n_tasks} tasks"
    keys = {key for each in (curve, *others) for key in each.keys}
    return Point(f"{name}: {text}", tuple(sorted(keys)), decides and _of_the_paper(curve), holds, shows)


def _cell(model: str, benchmark: str) -> str:
    return f"{model} on {benchmark_name(benchmark)}"


def _gain(delta: float, low: float, high: float) -> str:
    return f"{signed(delta)} points ({signed(low)} to {signed(high)})"


def _range(lo: float, hi: float) -> str:
    return f"omega {lo:.3g}" if lo == hi else f"omega {lo:.3g} to {hi:.3g}"
