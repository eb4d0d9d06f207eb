"""Each decision rule, with results on either side of it."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from synthetic import curve, outcomes

from spa.analysis import claims
from spa.analysis.claims import LARGER, MODELS, N_TASKS, SMALLER, Verdict
from spa.analysis.curves import Curve
from spa.analysis.evidence import Attention, Evidence, Speed
from spa.config import CONF

FEW = 40  # tasks of a whole benchmark, here
RISES = [0.3, 0.5, 0.7, 0.9, 0.7]  # far enough apart for intervals over 40 tasks
PEAKS = [0.1, 0.1, 0.3, 0.9, 0.3]
FALLS = [0.9, 0.7, 0.5, 0.4, 0.3]
FLAT = [0.5] * 5
TWO_PEAKS = [0.2, 0.8, 0.2, 0.8, 0.2]


@pytest.fixture(autouse=True)
def small_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "N_TASKS", dict.fromkeys(N_TASKS, FEW))


def cell(rates: Sequence[float], model: str = SMALLER, benchmark: str = "humaneval", **more: str) -> Curve:
    return curve(outcomes(rates, FEW), model=model, benchmark=benchmark, **more)


def paper(rates: Sequence[float], *other: Curve) -> list[Curve]:
    """All of the paper's cells with the same rates, but those of `other`, which stand in their places."""
    named = {(each.model, each.benchmark): each for each in other}
    return [named.get((model, benchmark)) or cell(rates, model, benchmark) for model in MODELS for benchmark in N_TASKS]


def judge(id_: str, evidence: Evidence | Sequence[Curve]) -> Verdict:
    found = claims.judge(evidence if isinstance(evidence, Evidence) else Evidence(evidence))
    return next(verdict for verdict in found if verdict.id == id_)


def ruled(id_: str, evidence: Evidence | Sequence[Curve]) -> tuple[str, str]:
    verdict = judge(id_, evidence)
    return verdict.verdict, verdict.evidence


def test_the_papers_models_are_those_of_the_configuration() -> None:
    names = {OmegaConf.load(path).get("name") for path in (CONF / "model").glob("*.yaml")}
    assert set(MODELS) <= names


def test_benchmarks_have_their_sizes() -> None:
    for name, n_tasks in N_TASKS.items():
        assert OmegaConf.load(CONF / "benchmark" / f"{name}.yaml").n_tasks == n_tasks


def test_without_results_nothing_is_decided() -> None:
    verdicts = claims.judge(Evidence([]))
    assert [verdict.id for verdict in verdicts] == list(claims.texts())
    assert {(verdict.verdict, verdict.evidence) for verdict in verdicts} == {("not enough data", "inconclusive")}


def test_c1_every_cell_gains() -> None:
    assert ruled("C1", paper(RISES)) == ("reproduced", "supports")


def test_c1_one_cell_that_loses_is_enough() -> None:
    """Omega 0 is not among its omegas, so that tuning cannot fall back to it."""
    loses = curve(outcomes([0.2, 0.2], FEW), [0.1, 0.2], plain=outcomes([0.9], FEW)[:, 0], model=SMALLER)
    assert ruled("C1", paper(RISES, loses)) == ("not reproduced", "contradicts")
    assert ruled("C1", [loses]) == ("not reproduced", "contradicts")


def test_c1_a_cell_without_a_change_decides_nothing() -> None:
    assert ruled("C1", paper(RISES, cell(FLAT))) == ("reproduced", "supports")
    assert ruled("C1", paper(FLAT)) == ("not enough data", "inconclusive")


def test_c1_a_loss_must_outlast_holm() -> None:
    """8 of 40 tasks are broken and 1 is fixed: a loss, alone; beside 20 cells that change nothing, none."""
    passed = np.zeros((FEW, 1), dtype=bool)
    passed[0], plain = True, np.arange(FEW) >= FEW - 8
    loses = curve(passed, [0.1], plain=plain, model="SmolLM2")
    assert ruled("C1", [loses]) == ("not enough data", "contradicts")
    assert ruled("C1", [loses, *paper(FLAT)]) == ("not enough data", "inconclusive")


def test_c1_says_what_would_show() -> None:
    *_, told = judge("C1", paper(RISES)).numbers
    gains = r"nan, nan, \d+\.\d points where 5%, 10%, 20% of them change"
    assert re.fullmatch(rf"with 80% power {FEW} tasks show a gain of {gains}", told)


def test_c1_a_missing_cell_is_named() -> None:
    verdict = judge("C1", paper(RISES)[:-1])
    assert (verdict.verdict, verdict.evidence) == ("not enough data", "supports")
    assert verdict.numbers[-1] == f"not there: {LARGER} on MBPP+"


@pytest.mark.parametrize("change", [{"model": "SmolLM2"}, {"mask": "collapsed"}, {"profile": "official_2024"}])
def test_c1_other_models_and_settings_decide_nothing(change: dict[str, str]) -> None:
    others = [replace(each, settings=each.settings | change) for each in paper(RISES)]
    evidence = "supports" if "model" in change else "inconclusive"
    assert ruled("C1", others) == ("not enough data", evidence)


def test_c1_a_part_of_a_benchmark_is_evidence_and_no_verdict() -> None:
    part = cell(RISES)
    part = part.of(part.task_ids[:-1])
    assert ruled("C1", paper(RISES, part)) == ("not enough data", "supports")


def test_c2_covers_or_not() -> None:
    """9.7 points of 40 tasks are about 4: an interval around them, and one far above."""
    gains = curve(outcomes([0.5, 0.6], 164), model=SMALLER)
    assert ruled("C2", [gains]) == ("reproduced", "supports")
    assert ruled("C2", [cell(RISES)]) == ("not reproduced", "contradicts")
    assert ruled("C2", [cell(FLAT)]) == ("not reproduced", "contradicts")
    assert ruled("C2", [cell([0.5, 0.7])]) == ("not enough data", "inconclusive"), "outside of the margin"
    assert ruled("C2", [cell([0.5, 0.6], model="SmolLM2")]) == ("not enough data", "inconclusive")
    assert ruled("C2", [cell(FLAT, model="SmolLM2")]) == ("not enough data", "inconclusive")
    assert ruled("C2", [cell([0.5, 0.6], benchmark="mbpp")]) == ("not enough data", "inconclusive")


def test_c3_beats_or_not() -> None:
    small = cell([0.3, 0.9])
    assert ruled("C3", [small, cell([0.5], LARGER)]) == ("reproduced", "supports")
    assert ruled("C3", [small, cell([1.0], LARGER, anchor="none")]) == ("not reproduced", "contradicts")
    assert ruled("C3", [small, cell([0.875], LARGER)]) == ("not enough data", "inconclusive")
    assert ruled("C3", [small]) == ("not enough data", "inconclusive")
    assert set(judge("C3", [small, cell([0.5], LARGER)]).keys) == {
        f"{SMALLER} humaneval description",
        f"{LARGER} humaneval description",
    }


def test_c4_one_peak_or_two() -> None:
    assert ruled("C4", paper(RISES)) == ("reproduced", "supports")
    assert ruled("C4", paper(RISES, cell(TWO_PEAKS))) == ("not reproduced", "contradicts")
    assert ruled("C4", paper(FLAT)) == ("not enough data", "inconclusive")
    assert ruled("C4", paper(FLAT, cell(TWO_PEAKS))) == ("not reproduced", "contradicts")
    assert ruled("C4", paper(RISES, cell(RISES[:4]))) == ("not enough data", "supports")


def test_c5_optima_meet_or_not() -> None:
    assert ruled("C5", paper(PEAKS)) == ("reproduced", "supports")
    assert ruled("C5", paper(PEAKS, cell(FALLS))) == ("not reproduced", "contradicts")
    assert ruled("C5", paper(FLAT)) == ("not enough data", "inconclusive")
    assert ruled("C5", paper(PEAKS, cell(FLAT))) == ("not enough data", "supports")
    assert ruled("C5", paper(PEAKS, cell([0.3, 0.5, 0.9, 0.9, 0.9]))) == ("not enough data", "supports"), "0.2 wide"
    assert ruled("C5", [cell(PEAKS)]) == ("not enough data", "inconclusive")


def rivals(rates: Sequence[float]) -> list[Curve]:
    """That is what the random text gains nothing by."""
    random = cell([rates[0], rates[0]], anchor="random")
    return [random, *(cell(rates, anchor=anchor) for anchor in claims.RIVALS["humaneval"])]


def test_c6_another_anchor_is_better_or_not() -> None:
    described = cell([0.3, 0.6])
    assert ruled("C6", [described, *rivals([0.3, 0.3])]) == ("reproduced", "supports")
    assert ruled("C6", [described, *rivals([0.3, 0.6])]) == ("reproduced", "supports")
    assert ruled("C6", [described, *rivals([0.3, 0.65])]) == ("not enough data", "inconclusive"), "2 of 40 tasks"
    assert ruled("C6", [described, *rivals([0.3, 0.9])]) == ("not reproduced", "contradicts")
    assert ruled("C6", [described, *rivals([0.3, 0.3])[:-1]]) == ("not enough data", "supports")
    assert ruled("C6", [described, *rivals([0.3, 0.3])[1:]]) == ("not enough data", "inconclusive"), "no random text"
    same = [cell([0.3, 0.3]), *rivals([0.3, 0.3])]
    assert ruled("C6", same) == ("not enough data", "inconclusive"), "where SPA gains nothing no anchor is the best"
    assert ruled("C6", [described, cell([0.3, 0.9], anchor="keywords")])[0] == "not enough data"
    small = [replace(each, settings=each.settings | {"model": "SmolLM2"}) for each in [described, *rivals([0.3, 0.9])]]
    assert ruled("C6", small) == ("not enough data", "contradicts")


def attention(model: str, self_slope: float, gradient_slope: float) -> Attention:
    rows = []
    for measure, slope in (("self_last", self_slope), ("gradient", gradient_slope)):
        for task in range(8):
            for position in range(0, 100, 10):
                noise = 0.02 * np.sin(7 * task + position)
                rows += [
                    (str(task), branch, measure, position, 0.5 + slope * position + noise)
                    for branch in ("plain", "spa")
                ]
    shares = pd.DataFrame(rows, columns=["task_id", "branch", "measure", "position", "relative_share"])
    shares["prompt_tokens"] = 50
    shares["prompt_share"] = shares["relative_share"] * 50 / (50 + shares["position"])
    shares.loc[shares["branch"] == "spa", "prompt_share"] = 1 - shares["prompt_share"]  # which the claim is not about
    return Attention("key", model, "humaneval", shares)


def test_c7_the_share_falls_or_not() -> None:
    falls, rises = -0.003, 0.003
    assert ruled("C7", Evidence([], [attention(SMALLER, falls, falls)])) == ("reproduced", "supports")
    assert ruled("C7", Evidence([], [attention(SMALLER, falls, rises)])) == ("not reproduced", "contradicts")
    assert ruled("C7", Evidence([], [attention(SMALLER, 0, falls)])) == ("not enough data", "inconclusive")
    assert ruled("C7", Evidence([], [attention("SmolLM2", falls, falls)])) == ("not enough data", "supports")
    half = attention(SMALLER, falls, falls)
    half = replace(half, shares=half.shares[half.shares["measure"] == "gradient"])
    assert ruled("C7", Evidence([], [half])) == ("not enough data", "supports")


def test_c7_says_the_slope() -> None:
    (line, *_) = judge("C7", Evidence([], [attention(SMALLER, -0.003, -0.003)])).numbers
    assert re.match(rf"{SMALLER} on HumanEval, 8 tasks, self-attention: -0\.(30[0-4]|29[6-9]).* per 100 tokens", line)


def speed(ratio: float, of_the_paper: bool = True, at_four: float | None = None) -> Speed:
    rounds, by_batch = (ratio - 0.01, ratio, ratio + 0.01), {4: at_four or ratio, 16: ratio}
    return Speed("cuda-6.7b", "random weights of shape 6.7b", of_the_paper, ratio, rounds, by_batch, 100, 60)


@pytest.mark.parametrize(("id_", "most"), [("C8a", 1.4), ("C8b", 3.5)])
def test_c8_at_most(id_: str, most: float) -> None:
    less, more = most - 0.1, most + 0.1
    assert ruled(id_, Evidence([], speed=[speed(less)])) == ("reproduced", "supports")
    assert ruled(id_, Evidence([], speed=[speed(more)])) == ("not reproduced", "contradicts")
    assert ruled(id_, Evidence([], speed=[speed(most)])) == ("not enough data", "inconclusive")
    assert ruled(id_, Evidence([], speed=[speed(less, of_the_paper=False)])) == ("not enough data", "supports")
    mixed = speed(more, at_four=less)
    assert ruled(id_, Evidence([], speed=[mixed])) == ("not reproduced", "inconclusive")


def test_markdown_tells_all() -> None:
    text = claims.markdown(claims.judge(Evidence([cell(RISES)])))
    assert "| C1 | SPA improves Pass@1 on every model and benchmark | not enough data | supports |" in text
    assert text.count("\n## ") == len(claims.texts())
    assert f"Runs: {SMALLER} humaneval description." in text
    assert f"- {SMALLER} on HumanEval, 40 tasks: +" in text
    for told in claims.texts().values():
        assert f"Rule: {told['rule']}. Simulated studies that it calls reproduced, and not reproduced: " in text
        assert f"What models other than the paper's can say: {told['others']}." in text
    assert ": no effect: 0% and 95%; 9.7 points at every omega: 72% and 3%.\n" in text
