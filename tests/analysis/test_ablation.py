from dataclasses import replace

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


def test_the_control_is_compared_again_where_it_is_as_long_as_the_description() -> None:
    described, control = curve(outcomes([0.3, 0.9], 40)), curve(outcomes([0.3, 0.6], 40), anchor="random")
    assert [row.n_tasks for row in anchor_rows([described, control]).itertuples()] == [40, 40]
    as_long = np.arange(40) % 4 != 0
    rows = anchor_rows([described, curve(outcomes([0.3, 0.8], 40), anchor="prompt"), replace(control, as_long=as_long)])
    assert list(rows["anchor"]) == [
        *["description", "prompt", "random"],
        *["description, where as long", "random, where as long"],
    ]
    assert list(rows["n_tasks"]) == [40, 40, 40, 30, 30]
    alone = anchor_rows([each.of(each.task_ids[as_long]) for each in (described, control)])
    again = rows[3:].drop(columns="anchor").reset_index(drop=True)
    assert again.equals(alone.drop(columns="anchor"))
