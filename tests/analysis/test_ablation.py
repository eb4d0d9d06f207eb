import numpy as np
import pytest
from synthetic import curve, outcomes

from spa.analysis.ablation import anchor_rows


def test_the_ablation_compares_with_the_description() -> None:
    """On the tasks that both have; nothing to compare where there is one anchor."""
    described, other = curve(outcomes([0.3, 0.9], 40)), curve(outcomes([0.3, 0.6], 40), anchor="prompt")
    other = other.of(other.task_ids[:30])
    first, second = anchor_rows([described, other]).itertuples()
    assert (first.anchor, first.n_tasks, np.isnan(first.less_description)) == ("description", 30, True)
    assert second.less_description == pytest.approx(second.delta - first.delta)
    assert second.less_low <= second.less_description <= second.less_high < 0
    assert anchor_rows([described]).empty
