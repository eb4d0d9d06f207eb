import numpy as np
import pandas as pd
import pytest
from synthetic import curve, outcomes

from spa.analysis import published
from spa.analysis.claims import MODELS, N_TASKS
from spa.statistics import wilson


def test_the_data_name_their_sources() -> None:
    raw = pd.read_csv(published.PUBLISHED, keep_default_na=False)
    assert (raw["source"] != "").all()
    assert set(raw["quantity"]) == {"plain", "spa", "delta"}
    assert set(raw["verified"]) == {"yes", "no"}
    assert (raw.loc[raw["value"] == "", "verified"] == "no").all()
    assert set(raw["benchmark"]) == set(N_TASKS)
    papers = raw[raw["setting"].str.startswith("SPA paper")]
    wanted = {(model, name, quantity) for model in MODELS for name in N_TASKS for quantity in ("plain", "spa")}
    assert wanted <= set(papers[["model", "benchmark", "quantity"]].itertuples(index=False, name=None))


def test_numbers_that_nobody_verified_stay_empty() -> None:
    table = published.read()
    unverified = table["note"].str.contains("not checked")
    assert unverified.sum() == 2
    assert table.loc[unverified, "published"].isna().all()
    gain = table[table["quantity"] == "delta"]
    assert list(gain["published"]) == pytest.approx([0.097])


def row(quantity: str, value: float) -> pd.DataFrame:
    return pd.DataFrame(
        {"model": ["Tiny 1M"], "benchmark": ["humaneval"], "quantity": [quantity], "published": [value]}
    )


def test_ours_beside_theirs() -> None:
    """Half of 100 tasks pass: 0.5, 0.404 to 0.596."""
    cell = curve(outcomes([0.5, 0.8], 100))
    (near,), (far,) = (published.compare(row("plain", value), [cell]).itertuples() for value in (0.45, 0.7))
    low, high = wilson([50], [100])
    assert (near.ours, near.ours_low, near.ours_high) == (0.5, pytest.approx(low[0]), pytest.approx(high[0]))
    assert (near.difference, far.difference) == (pytest.approx(0.05), pytest.approx(-0.2))
    (spa,), (delta,) = (published.compare(row(q, 0.3), [cell]).itertuples() for q in ("spa", "delta"))
    assert spa.ours == pytest.approx(0.5 + delta.ours)
    assert delta.ours == pytest.approx(0.3, abs=0.01)
    assert delta.ours_low < 0.3 < delta.ours_high
    assert np.isnan([near.less_leaderboard, spa.less_leaderboard, delta.less_leaderboard]).all()


def test_what_was_not_run_or_not_published_is_empty() -> None:
    cell = curve(outcomes([0.5], 100))
    (absent,) = published.compare(row("plain", 0.5), []).itertuples()
    assert np.isnan([absent.ours, absent.difference]).all()
    (unknown,) = published.compare(row("plain", np.nan), [cell]).itertuples()
    assert (unknown.ours, np.isnan(unknown.difference)) == (0.5, True)
    (no_spa,) = published.compare(row("spa", 0.5), [cell]).itertuples()
    assert np.isnan(no_spa.ours)


def test_plain_decoding_of_several_anchors_is_one_row() -> None:
    cells = [curve(outcomes([0.5, 0.6], 20), anchor=anchor) for anchor in ("description", "prompt")]
    assert len(published.compare(row("plain", 0.5), cells)) == 1
    assert len(published.compare(row("plain", 0.5), [*cells, curve(outcomes([0.4], 20), dtype="float16")])) == 2


def test_other_prompts_are_compared_with_evalplus_by_the_same_extraction() -> None:
    """On 100 tasks 50 pass, under another prompt 30 of them and 40 others: 20 points more."""
    mine = np.arange(100) >= 20
    mine[80:90] = False
    leaderboards = [
        curve(outcomes([rate], 100), template="evalplus", extraction=way)
        for way, rate in (("evalplus", 0.5), ("spa", 0))
    ]
    others = [
        curve(mine[:, None], template="qwen_coder", extraction="evalplus"),
        curve(mine[:, None], template="qwen_coder", extraction="evalplus", dtype="float16"),
        curve(mine[:, None], template="qwen_coder", benchmark="mbpp"),
    ]
    rows = published.compare(row("plain", 0.6), [*others, *leaderboards])
    (less,) = rows["less_leaderboard"].dropna()
    (compared,) = rows[rows["less_leaderboard"].notna()].itertuples()
    assert (compared.template, compared.extraction, compared.weights) == ("qwen_coder", "evalplus", "float32")
    assert less == pytest.approx(0.2)
    assert 0.04 < compared.less_low < 0.2 < compared.less_high < 0.36
