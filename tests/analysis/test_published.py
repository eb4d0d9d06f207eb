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
    assert (near.difference, near.covers) == (pytest.approx(0.05), "yes")
    assert (far.difference, far.covers) == (pytest.approx(-0.2), "no")
    (spa,), (delta,) = (published.compare(row(q, 0.3), [cell]).itertuples() for q in ("spa", "delta"))
    assert spa.ours == pytest.approx(0.5 + delta.ours)
    assert delta.ours == pytest.approx(0.3, abs=0.01)
    assert delta.covers == "yes"


def test_what_was_not_run_or_not_published_is_empty() -> None:
    cell = curve(outcomes([0.5], 100))
    (absent,) = published.compare(row("plain", 0.5), []).itertuples()
    assert (absent.covers, np.isnan(absent.ours)) == ("", True)
    (unknown,) = published.compare(row("plain", np.nan), [cell]).itertuples()
    assert (unknown.covers, unknown.ours, np.isnan(unknown.difference)) == ("", 0.5, True)
    (no_spa,) = published.compare(row("spa", 0.5), [cell]).itertuples()
    assert np.isnan(no_spa.ours)


def test_plain_decoding_of_several_anchors_is_one_row() -> None:
    cells = [curve(outcomes([0.5, 0.6], 20), anchor=anchor) for anchor in ("description", "prompt")]
    assert len(published.compare(row("plain", 0.5), cells)) == 1
    assert len(published.compare(row("plain", 0.5), [*cells, curve(outcomes([0.4], 20), dtype="float16")])) == 2
