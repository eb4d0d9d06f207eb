from pathlib import Path

import pytest
from synthetic import all_tables, grid_with_plus

from spa.analysis import aggregate
from spa.report.main_table import main_table
from spa.report.methods_table import _NAMES, _NUMBERS
from spa.report.terms import explanation
from spa.results.store import Results


def test_every_heading_is_explained(tmp_path: Path) -> None:
    grid_with_plus(tmp_path)
    summary = aggregate.summary(aggregate.tasks(aggregate.load([Results(tmp_path)])))
    headings = {name for table in [*all_tables().values(), main_table(summary)] for name in table.headings}
    assert [name for name in sorted(headings | {*_NAMES, *_NUMBERS}) if not explanation(name)] == []


@pytest.mark.parametrize(
    ("heading", "told"),
    [
        ("Split 50", "50th percentile of delta over the random splits of the tasks."),
        ("HumanEval+ Plain", "Pass@1 (%) of plain greedy decoding, omega 0."),
        ("At 0.1", "The same at this omega, on every task."),
        ("At 0.1 from", "Lower end of the 95% interval, by a paired bootstrap over tasks."),
        ("Something else", ""),
    ],
)
def test_an_explanation(heading: str, told: str) -> None:
    assert explanation(heading) == told
