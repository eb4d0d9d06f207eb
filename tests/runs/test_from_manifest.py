"""`from_manifest=FILE` runs a manifest's cell again, or says what differs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cells import config, run, texts
from hydra import compose, initialize_config_dir
from omegaconf.errors import OmegaConfBaseException

from spa.cli.hydra_app import cells
from spa.config import CONF, Cell, Shard, resolve
from spa.errors import SpaError
from spa.results.store import Run
from spa.runs import from_manifest, prepare, run_cell
from spa.runs.from_manifest import recompose
from spa.schema import register

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def made(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    overrides = ["omega=[0,0.3]", "anchor=examples", "mask.token='<pad>'", "experiment=quickstart", "limit=2"]
    return run(config(tiny_llama, tmp_path_factory.mktemp("made"), *overrides))


def again(manifest: Path, *overrides: str) -> Cell:
    arguments = [f"from_manifest={manifest}", *overrides]
    register()
    with initialize_config_dir(str(CONF), version_base=None):
        return resolve(recompose(compose("config", arguments), arguments))


def edited(made: Run, tmp_path: Path, edit: Edit) -> Path:
    manifest = made.manifest().to_json()
    edit(manifest)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest))
    return path


def test_a_run_is_repeated(made: Run, tmp_path: Path) -> None:
    repeated = run_cell.run_cell(again(made.manifest_path, f"results_dir={tmp_path}", "batch_size=1"))
    assert repeated.key == made.key
    assert texts(repeated) == texts(made)
    assert all(sample.seconds for sample in repeated.samples()), "decoded anew"
    before, after = made.manifest(), repeated.manifest()
    for name in ("model", "anchor", "mask", "omega", "dtype", "task_ids", "identity", "data", "experiment"):
        assert getattr(after, name) == getattr(before, name)


def test_what_is_priced_and_fetched_is_the_manifests_cell(made: Run) -> None:
    (cell,) = cells([f"from_manifest={made.manifest_path}", "results_dir=elsewhere", "hydra/launcher=slurm"])
    assert cell == again(made.manifest_path, "results_dir=elsewhere")
    assert cell.model.path == made.manifest().config["model"]["path"]


def test_what_is_of_the_occasion_stays_there(made: Run) -> None:
    repeated = again(made.manifest_path)
    assert repeated.results_dir == Path("results/quickstart")
    assert (repeated.shard, repeated.reuse, repeated.limit) == (None, False, None)
    assert repeated.task_ids == ["HumanEval/0", "HumanEval/1"]
    assert again(made.manifest_path, "shard=1/2", "reuse=true", "score=false").shard == Shard(1, 2)


def test_the_profile_of_the_authors_is_repeated(tiny_llama: Path, tmp_path: Path) -> None:
    """It adds to eos_token_ids, once."""
    overrides = ["profile=official_2024", "model.bos_token_id=7", "model.eos_token_ids=[3]", "max_total_tokens=4000"]
    first = run(config(tiny_llama, tmp_path / "a", *overrides, "limit=1"))
    assert prepare.prepare(again(first.manifest_path)).run.key == first.key


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["omega=0.3"], r"omega was \[0.0, 0.3\] and is \[0.3\]"),
        (["dtype=bfloat16"], "dtype was float32 and is bfloat16"),
        (
            ["anchor.name=prompt", "max_new_tokens=3"],
            "anchor was examples and is prompt; max_new_tokens was 12 and is 3",
        ),
    ],
)
def test_another_key_is_refused(made: Run, tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(SpaError, match=f"manifest.json cannot be repeated here: {message}$"):
        run_cell.run_cell(again(made.manifest_path, f"results_dir={tmp_path}/made", *overrides))
    assert not (tmp_path / "made").exists()


def test_other_weights_and_other_code_are_refused(made: Run, tmp_path: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["identity"]["model"] = {"sha256": "0"}
        manifest["identity"]["method_version"] = 0

    path = edited(made, tmp_path, change)
    with pytest.raises(SpaError, match=r"model was {'sha256': '0'} and is .*; method_version was 0 and is \d"):
        from_manifest.check(str(path), made.manifest().identity)


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}"])
def test_what_is_no_manifest(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "m.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SpaError, match=r"from_manifest=.*m.json .*; name a run's manifest.json"):
        again(path)


def test_a_manifest_of_a_later_version(made: Run, tmp_path: Path) -> None:
    path = edited(made, tmp_path, lambda manifest: manifest["config"].update(new_switch=True))
    with pytest.raises(OmegaConfBaseException, match="new_switch"):
        again(path)


def test_without_a_manifest_nothing_changes(tiny_llama: Path, tmp_path: Path) -> None:
    register()
    with initialize_config_dir(str(CONF), version_base=None):
        composed = compose("config", [])
    assert recompose(composed, []) is composed
