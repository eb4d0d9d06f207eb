"""What records say of themselves."""

import hashlib
import json

import pytest

from spa.records import Score, solution_sha


@pytest.mark.parametrize(
    ("base", "plus", "passed_base", "passed_plus"),
    [
        ("pass", "pass", True, True),
        ("pass", "fail", True, False),
        ("pass", "timeout", True, False),
        ("fail", "pass", False, False),
        ("timeout", None, False, False),
        ("pass", None, True, True),  # where there are no plus tests, the base tests decide
    ],
)
def test_what_counts_as_passed(base: str, plus: str | None, passed_base: bool, passed_plus: bool) -> None:
    score = Score("T/1", "sha", base, plus, "", 0.1, "scorer")
    assert score.passed("base") is passed_base
    assert score.passed("plus") is score.passed() is passed_plus


@pytest.mark.parametrize("suspect", [True, False, None])
def test_what_an_earlier_version_suspected_did_not_pass(suspect: bool | None) -> None:
    line = json.dumps(vars(Score("T/1", "sha", "pass", "pass", "passed", 0.1, "scorer")) | {"suspect": suspect})
    for form in (line, line.encode()):
        assert Score.from_json(form).passed() is (suspect is not True)


def test_every_text_has_a_name_of_its_own() -> None:
    assert solution_sha("é = 1") == hashlib.sha256("é = 1".encode()).hexdigest()
    half = "x = '\ud800'"
    assert len({solution_sha(text) for text in (half, "x = '?'", "x = '\ud801'", "x = ''")}) == 4
