import pandas as pd
import pytest

from spa.analysis.headline import UNKNOWN, answer, headline, main_model


def tuned(*intervals: tuple[float, float, float], **columns: list[object]) -> pd.DataFrame:
    """A cell for each (low, delta, high), in points: of one model, on the two benchmarks in turn."""
    rows = [
        {
            "model": "M",
            "benchmark": ("humaneval", "mbpp_plus")[number % 2],
            "share": 0.2,
            "n_tasks": (164, 378)[number % 2],
            "plain_pass_at_1": 0.5,
            "delta_low": low / 100,
            "delta": delta / 100,
            "delta_high": high / 100,
        }
        for number, (low, delta, high) in enumerate(intervals)
    ]
    return pd.DataFrame(rows).assign(**columns)


GAIN, LOSS, NEITHER = (1.0, 2.0, 3.0), (-9.0, -5.0, -0.1), (-1.0, 0.5, 2.5)
BETWEEN = "between SPA's Pass@1 and plain greedy decoding's"


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        ([GAIN, (0.1, 4.0, 8.0)], f"Yes: M, all 2 differences {BETWEEN} are gains (+2.0 to +4.0 points)."),
        ([LOSS, LOSS], f"No: M, all 2 differences {BETWEEN} are losses (-5.0 points)."),
        (
            [GAIN, NEITHER],
            f"Partly: M, of 2 differences {BETWEEN} 1 is a gain (+2.0 points) and 1 cannot be told from 0 (+0.5 points)"
            "; the largest gain that its 95% interval allows is +2.5 points.",
        ),
        (
            [LOSS, (-2.0, -1.0, 0.0)],
            f"No: M, of 2 differences {BETWEEN} 1 is a loss (-5.0 points) and 1 cannot be told from 0 (-1.0 points).",
        ),
        (
            [NEITHER, (-3.0, -1.5, 0.5)],
            f"Not measurably: M, none of 2 differences {BETWEEN} can be told from 0 (-1.5 to +0.5 points); the largest "
            "gain that their 95% intervals allow is +2.5 points.",
        ),
    ],
)
def test_the_answer_follows_from_the_intervals(intervals: list[tuple[float, float, float]], expected: str) -> None:
    assert answer(tuned(*intervals)) == expected.replace("M,", "on 1 model and 2 benchmarks,")


def test_gains_and_losses_together_and_a_cell_alone() -> None:
    both = answer(tuned(GAIN, LOSS, NEITHER, NEITHER, model=["M", "M", "N", "N"]))
    assert both.startswith(
        f"It depends: on 2 models and 2 benchmarks, of 4 differences {BETWEEN} 1 is a gain (+2.0 points), 1 is a loss "
        "(-5.0 points) and 2 cannot be told from 0 (+0.5 points); "
    )
    assert answer(tuned(GAIN)) == (
        f"Yes: on 1 model and 1 benchmark, the difference {BETWEEN} is a gain (+2.0 points)."
    )
    assert f"the difference {BETWEEN} cannot be told from 0 (+0.5 points)" in answer(tuned(NEITHER))


def test_an_interval_that_touches_zero_decides_nothing() -> None:
    assert answer(tuned((0.0, 1.0, 2.0))).startswith("Not measurably: ")
    assert answer(tuned((-2.0, -1.0, 0.0))).startswith("Not measurably: ")


def test_the_main_model_has_most_tasks_and_then_the_highest_rate() -> None:
    cells = tuned(GAIN, GAIN, GAIN, GAIN, model=["A", "A", "B", "B"])
    assert main_model(cells.assign(plain_pass_at_1=[0.1, 0.2, 0.2, 0.2])) == "B"
    assert main_model(cells.assign(n_tasks=[164, 378, 164, 164])) == "A"


def test_what_was_run_is_said() -> None:
    found = headline(tuned(GAIN, NEITHER, model=["A", "B"]))
    assert found.scope.startswith("Run: A, B on HumanEval, MBPP+ (164 to 378 tasks each). ")
    assert "chosen on 20% of the tasks" in found.scope
    assert found.model == "B"
    nothing = headline(pd.DataFrame())
    assert (nothing.answer, nothing.scope, nothing.model) == (UNKNOWN, "", "")
