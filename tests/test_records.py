"""What records say of themselves."""

import hashlib

import pytest

from spa.records import Score, solution_sha


@pytest.mark.parametrize(
    ("base", "plus", "suspect", "passed_base", "passed_plus"),
    [
        ("pass", "pass", False, True, True),
        ("pass", "fail", False, True, False),
        ("pass", "timeout", False, True, False),
        ("fail", "pass", None, False, False),
        ("timeout", None, None, False, False),
        ("pass", None, False, True, True),  # where there are no plus tests, the base tests decide
        ("pass", "pass", True, False, False),
        ("pass", None, True, False, False),
    ],
)
def test_what_counts_as_passed(
    base: str, plus: str | None, suspect: bool | None, passed_base: bool, passed_plus: bool
) -> None:
    score = Score("T/1", "sha", base, plus, suspect, "", 0.1, "scorer")
    assert score.passed("base") is passed_base
    assert score.passed("plus") is score.passed() is passed_plus


def test_every_text_has_a_name_of_its_own() -> None:
    assert solution_sha("é = 1") == hashlib.sha256("é = 1".encode()).hexdigest()
    half = "x = '\ud800'"
    assert len({solution_sha(text) for text in (half, "x = '?'", "x = '\ud801'", "x = ''")}) == 4
