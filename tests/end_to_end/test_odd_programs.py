"""What evalplus passes honestly, passes; what it fails, fails. What evalplus says was asked of it as it is released."""

import json

import odd_programs
import pytest
from data import ROOT
from odd_programs import Odd

pytestmark = pytest.mark.slow
CORPUS = odd_programs.corpus()


@pytest.fixture(scope="module")
def reasons() -> dict[Odd, str]:
    found = dict[Odd, str]()
    for family in odd_programs.DATA:
        programs = [odd for odd in CORPUS if odd.task_id.startswith(family)]
        found |= odd_programs.judged(programs, odd_programs.data(family))
    return found


def test_the_corpus_is_large() -> None:
    assert sum(odd.passes for odd in CORPUS) >= 60
    assert sum(not odd.passes for odd in CORPUS) >= 40
    assert len({(odd.task_id, odd.what) for odd in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("odd", CORPUS, ids=lambda odd: odd.what)
def test_the_verdict_is_that_of_evalplus(reasons: dict[Odd, str], odd: Odd) -> None:
    assert (reasons[odd] == "passed") is odd.passes, reasons[odd]


def test_evalplus_was_asked_for_each() -> None:
    asked = json.loads((ROOT / "results" / "bench" / "odd-programs.json").read_bytes())["programs"]
    assert {(row["task_id"], row["what"], row["evalplus"]) for row in asked} == {
        (odd.task_id, odd.what, odd.passes) for odd in CORPUS
    }
