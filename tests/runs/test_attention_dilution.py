"""A cell's attention from config to files, with tiny models."""

import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest
import tiny
from cells import config

from spa.config import CONF
from spa.errors import SpaError
from spa.models import attention
from spa.records import Generation
from spa.report.figures import dilution
from spa.results.attention_files import Attention
from spa.results.store import Results
from spa.runs import attention_dilution


def shares(place: Attention) -> pd.DataFrame:
    return pd.read_csv(place.shares_path)


@pytest.fixture(scope="module")
def measured(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Attention:
    return attention_dilution.measure_cell(config(tiny_llama, tmp_path_factory.mktemp("whole"), "omega=1", "limit=2"))


def test_every_step_of_every_text_is_measured(measured: Attention) -> None:
    table = shares(measured)
    assert list(table.columns) == attention_dilution.SHARES
    (run,) = Results(measured.folder.parents[1]).runs()
    assert (run.key, {sample.omega_lo for sample in run.samples()}) == (measured.key, {0.0, 1.0})
    for sample in run.samples():
        branch = "spa" if sample.omega_lo else "plain"
        rows = table[(table["task_id"] == sample.task_id) & (table["branch"] == branch)]
        length = len(sample.completion_ids)
        for measure, steps in {"self_last": range(length), "self_all": range(length), "gradient": range(12)}.items():
            part = rows[rows["measure"] == measure]
            assert list(part["position"]) == list(steps), "texts have 12 tokens here"
            assert list(part["relative_position"]) == pytest.approx([step / length for step in steps])
        assert set(rows["prompt_tokens"]) == {len(sample.original_ids)}
        assert set(rows["anchor_tokens"]) == {len(sample.masked_positions)}
    assert (table[table["position"] == 0]["prompt_share"] == 1).all()
    assert (table["anchor_share"] < table["prompt_share"]).all()
    assert table["anchor_share"].gt(0).all()


def test_spa_is_compared_with_scaled_embeddings_along_the_plain_text(measured: Attention) -> None:
    table = pd.read_csv(measured.approximation_path)
    assert list(table.columns) == attention_dilution.APPROXIMATION
    for _, task in table.groupby("task_id"):
        assert sorted(set(task["omega"])) == list(attention_dilution.SCALES)
        assert list(task[task["omega"] == 1.0]["position"]) == list(range(12))
    assert table["logit_correlation"].between(-1, 1).all()


def test_the_manifest_names_the_conditions(measured: Attention) -> None:
    manifest = measured.manifest()
    assert (manifest.status, manifest.omega, manifest.n_tasks, manifest.n_without_anchor) == (
        "complete",
        1.0,
        2,
        0,
    )
    assert manifest.task_ids == ["HumanEval/0", "HumanEval/1"]
    assert "top 100 logits" in manifest.conditions["gradient"]


def test_an_interrupted_measurement_goes_on(
    measured: Attention, tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was finished is on disk and not measured again; in the end the files are those of one go."""
    cell = config(tiny_llama, tmp_path, "omega=1", "limit=2")
    scales = attention_dilution.scales

    def interrupted(*arguments: object) -> object:
        place = tmp_path / "attention" / measured.key / "tasks.jsonl"
        if place.exists():
            raise KeyboardInterrupt
        return scales(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(attention_dilution, "scales", interrupted)
    with pytest.raises(KeyboardInterrupt):
        attention_dilution.measure_cell(cell)
    place = Results(tmp_path).attention(measured.key)
    assert (place.manifest().status, set(shares(place)["task_id"])) == ("running", {"HumanEval/0"})
    with place.tasks_path.open("a") as file:
        file.write('{"task_id": "HumanEval/1", "sha')  # killed while it wrote
    counted = []
    monkeypatch.setattr(attention_dilution, "scales", lambda *arguments: counted.append(1) or scales(*arguments))
    attention_dilution.measure_cell(cell)
    assert len(counted) == 1
    for name in ("tasks.jsonl", "shares.csv", "approximation.csv"):
        assert (place.folder / name).read_bytes() == (measured.folder / name).read_bytes()
    place.shares_path.unlink()  # killed before the tables were written
    place.manifest_path.unlink()
    monkeypatch.setattr(attention_dilution, "shares", None)  # nothing is left to measure
    assert attention_dilution.measure_cell(cell).manifest().status == "complete"
    assert place.shares_path.read_bytes() == measured.shares_path.read_bytes()


def test_base_models_and_tasks_without_the_anchor(tiny_codegen: Path, tmp_path: Path) -> None:
    """HumanEval/0 to 2 have examples, 3 to 5 are without one in part; collapsed text has no embeddings in place."""
    overrides = ["model.kind=base", "model.template=completion", "anchor=examples", "mask=collapsed", "omega=0.5"]
    place = attention_dilution.measure_cell(
        config(tiny_codegen, tmp_path, *overrides, "limit=null", "task_ids=[HumanEval/0,HumanEval/41]")
    )
    assert set(shares(place)["task_id"]) == {"HumanEval/0"}
    assert place.manifest().n_without_anchor == 1
    assert pd.read_csv(place.approximation_path).empty
    assert [drawn.name.rpartition("_")[0] for drawn in dilution.draw(place)] == ["attention_dilution"]


def test_equal_texts_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.model("llama").requires_grad_(False)
    sample = Generation("T", "", 0, 0, "", "", "", [5, 6, 7, 8], [5, 1, 1, 8], [1, 2], [9, 10], "eos", [(0, 1)], 0, 2)
    read = attention.self_attention
    calls = []
    monkeypatch.setattr(attention, "self_attention", lambda *a, **k: calls.append(1) or read(*a, **k))
    rows = attention_dilution.shares(model, sample, sample)
    assert len(calls) == 1
    assert [row[1:] for row in rows if row[0] == "plain"] == [row[1:] for row in rows if row[0] == "spa"]
    empty = Generation.from_json(sample.to_json().replace('"completion_ids": [9, 10]', '"completion_ids": []'))
    assert attention_dilution.shares(model, empty, empty) == []
    assert attention_dilution.scales(model, empty, [0.5]) == []


@pytest.mark.parametrize(("n_steps", "steps"), [(1, [0]), (3, [0, 1, 2]), (23, list(range(0, 23, 2)))])
def test_gradient_steps_are_spaced_evenly(n_steps: int, steps: list[int]) -> None:
    assert attention_dilution.spaced(n_steps) == steps


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["omega=0"], "omega=0"),
        (["omega=[0,0.5]"], "at one omega"),
        (["omega=0..0.5"], "at one omega"),
        (["omega=0.5", "shard=1/2"], "shard=1/2 does not go with attention"),
        (["omega=0.5", "anchor=examples", "task_ids=[HumanEval/41]"], "anchor=examples fits no selected task"),
    ],
)
def test_what_cannot_be_measured(tiny_llama: Path, tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(SpaError, match=message.replace("[", r"\[")):
        attention_dilution.measure_cell(config(tiny_llama, tmp_path / "made", "limit=null", *overrides))
    assert not (tmp_path / "made").exists()


def test_other_conditions_are_not_mixed(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = config(tiny_llama, tmp_path, "omega=1", "limit=1")
    attention_dilution.measure_cell(cell)
    monkeypatch.setattr(attention_dilution, "GRADIENT_STEPS", 5)
    with pytest.raises(SpaError, match="was measured under other conditions; remove it"):
        attention_dilution.measure_cell(cell)


def test_the_command_draws_what_it_measured(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # restored afterwards; the command sets it
    overrides = ["model=hf", f"model.path={tiny_llama}", "omega=1", "limit=1", "max_new_tokens=6", "score=false"]
    monkeypatch.setattr(sys, "argv", ["attention.py", *overrides, "results_dir=made"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(CONF.parent / "scripts" / "attention.py"), run_name="__main__")
    assert ended.value.code == 0
    (place,) = Results(tmp_path / "made").attentions()
    figures = {path.name for path in (tmp_path / "made" / "figures").iterdir()}
    stems = (f"attention_dilution_{place.key}", f"approximation_{place.key}")
    assert figures == {f"{stem}.{suffix}" for stem in stems for suffix in ("png", "pdf", "csv")}
    assert "report: made/report.html" in capfd.readouterr().out
    assert f"figures/attention_dilution_{place.key}.csv" in (tmp_path / "made" / "report.html").read_text()
