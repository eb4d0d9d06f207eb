"""A cell's key: it changes with each input that can change a text, and with no other."""

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic import generation

from spa.config import CONF, Cell, Shard, resolve
from spa.omega import Values
from spa.runs import prepare
from spa.runs.prepare import Prepared
from spa.schema import ProfileConfig, RunConfig, register

HUB = ["model.path=some/model", f"model.revision={'a' * 40}"]
BOS = ["profile.stop_at_bos=true", "model.eos_token_ids=[1]"]

# Each field of the config, what else must hold for it to matter, and a change of it.
COVERED: dict[str, tuple[list[str], str]] = {
    "omega": ([], "omega=0.1..0.2"),
    "template": ([], "template=completion"),
    "max_new_tokens": ([], "max_new_tokens=5"),
    "max_total_tokens": ([], "max_total_tokens=500"),
    "max_lanes_per_task": ([], "max_lanes_per_task=3"),
    "max_lane_steps": ([], "max_lane_steps=9"),
    "dtype": ([], "dtype=bfloat16"),
    "quantization": ([], "quantization=nf4"),
    "strict": ([], "strict=true"),
    "model.path": ([], "model.path={folder}/other_model"),
    "model.revision": (HUB, f"model.revision={'b' * 40}"),
    "model.package": (["model.path={folder}/tiny.gguf"], "model.package=spa"),
    "model.gguf_file": ([], "model.gguf_file=weights"),
    "model.kind": ([], "model.kind=base"),
    "model.template": ([], "model.template=completion"),
    "model.mask_token": ([], "model.mask_token='<pad>'"),
    "model.eos_token_ids": ([], "model.eos_token_ids=[7]"),
    "model.template_arguments": ([], "+model.template_arguments={thinking: false}"),
    "model.trust_remote_code": ([], "model.trust_remote_code=true"),
    "model.bos_token_id": (BOS, "model.bos_token_id=5"),
    "model.dtype": ([], "model.dtype=bfloat16"),
    "model.quantization": ([], "model.quantization=nf4"),
    "model.max_new_tokens": ([], "model.max_new_tokens=5"),
    "benchmark.path": ([], "benchmark.path={folder}/other_tasks.jsonl"),
    "benchmark.family": ([], "benchmark.family=mbpp"),
    "standin": (["model.shape.architecture=llama"], "standin=tiny"),
    "anchor.name": ([], "anchor.name=examples"),
    "mask.name": ([], "mask.name=collapsed"),
    "mask.token": ([], "mask.token='<pad>'"),
    "mask.text": (["mask=text", "mask.text='one'"], "mask.text='two'"),
    "method.modulation": ([], "method.modulation=probability"),
    "method.plausibility": ([], "method.plausibility=0.5"),
    "method.schedule": ([], "method.schedule=entropy"),
    "method.schedule_tokens": (["method=spa_decay"], "method.schedule_tokens=5"),
    "profile.name": ([], "profile.name=other"),
    **{
        f"profile.{switch.name}": ([], f"profile.{switch.name}={40 if switch.default is None else 'true'}")
        for switch in fields(ProfileConfig)[1:]
    },
}
# What the other fields name, select or ask for enters the key where it can change a text: the prompts by their content.
NOT_COVERED = {
    "experiment": "experiment=smollm2_humaneval",
    "limit": "limit=1",
    "task_ids": "task_ids=[Own/1]",
    "batch_size": "batch_size=3",
    "backend": "backend=compile",
    "drafts": "drafts=off",
    "parked_gib": "parked_gib=1",
    "seed": "seed=7",
    "shard": "shard=2/3",
    "reuse": "reuse=false",
    "score": "score=false",
    "extraction": "extraction=evalplus",
    "method.name": "method.name=other",
    "method.weights": "method.weights=[1,2]",
    "sandbox": "sandbox=none",
    "results_dir": "results_dir={folder}/elsewhere",
    "from_manifest": "from_manifest=manifest.json",
    "model.name": "model.name=Other",
    "model.weights": "model.weights=Q4_1",
    "model.parts": "model.parts=['one==1']",
    "model.sha256": "model.sha256=abc",
    "model.device_map": "model.device_map=auto",
    "model.shape.architecture": "model.shape.architecture=llama",
    **{
        f"model.shape.{name}": f"model.shape.{name}=3"
        for name in ("layers", "hidden", "intermediate", "heads", "key_value_heads", "vocabulary")
    },
    "model.shape.tied": "model.shape.tied=true",
    "device.name": "device=a100",
    "device.memory_gib": "device.memory_gib=3",
    "device.bandwidth": "device.bandwidth=3",
    "device.operations": "device.operations=3",
    "device.seconds_per_layer": "device.seconds_per_layer=3",
    "benchmark.name": "benchmark.name=own",
    "benchmark.plus": "benchmark.plus=true",
    "benchmark.split": "benchmark.split=train",
    "benchmark.version": "benchmark.version=v9",
    "benchmark.md5": "benchmark.md5={md5}",
    "benchmark.n_tasks": "benchmark.n_tasks=2",
}
# Beside a change of these, what begins so is not free.
BOUND_TO = {
    "benchmark.path": ("benchmark.md5",),  # is checked against the file
    "standin": ("model.shape.", "experiment"),  # imitates the shape, which a preset chooses with the model
    "model.max_new_tokens": ("experiment",),  # a preset sets the run's own limit
}


class Own:
    """Arguments of a cell on two tasks of our own, with a folder in the place of a checkpoint."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, weights in (("model", "1"), ("other_model", "2")):
            (folder / name).mkdir()
            (folder / name / "weights").write_text(weights)
        (folder / "tiny.gguf").write_text("3")
        write_tasks(folder / "tasks.jsonl", "Return x.")
        write_tasks(folder / "other_tasks.jsonl", "Return y.")
        self.md5 = prepare.benchmarks.load(self.config().benchmark).md5

    def config(self, *changes: str) -> Cell:
        arguments = [
            "model=hf",
            "model.path={folder}/model",
            "benchmark=custom",
            "benchmark.path={folder}/tasks.jsonl",
            "omega=0.2",
            "results_dir={folder}/results",
        ]
        if "experiment=smollm2_humaneval" in changes:  # a preset chooses these two
            arguments += ["max_new_tokens=1024"]
        written = [
            argument.replace("{folder}", str(self.folder)).replace("{md5}", getattr(self, "md5", ""))
            for argument in [*arguments, *changes]
        ]
        register()
        with initialize_config_dir(str(CONF), version_base=None):
            return resolve(compose("config", written))

    def prepared(self, *changes: str) -> Prepared:
        return prepare.prepare(self.config(*changes))

    def key(self, *changes: str) -> str:
        """The name of the run that these changes lead to; nothing is written for it."""
        prepared = self.prepared(*changes)
        assert not prepared.run.folder.exists()
        return prepared.run.key


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Own:
    return Own(tmp_path_factory.mktemp("own"))


def write_tasks(path: Path, description: str) -> None:
    rows = [
        {
            "task_id": f"Own/{number}",
            "prompt": f'def f{number}(x):\n    """ {description}\n    >>> f(1)\n    1\n    """\n',
            "entry_point": f"f{number}",
            "canonical_solution": "    return x\n",
            "base_input": [[1]],
            "plus_input": [[2]],
        }
        for number in range(2)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def field_names(config: Any, prefix: str = "") -> list[str]:
    """Every field of a config and of the configs in it, as overrides name them."""
    names = []
    for field in fields(config):
        value = getattr(config, field.name)
        inner = is_dataclass(value)
        names += field_names(value, f"{prefix}{field.name}.") if inner else [prefix + field.name]
    return names


def test_every_field_is_classified(own: Own) -> None:
    assert sorted([*COVERED, *NOT_COVERED]) == sorted(field_names(RunConfig()))


@pytest.mark.parametrize("name", COVERED)
def test_the_key_covers(own: Own, name: str) -> None:
    needed, change = COVERED[name]
    assert own.key(*needed, change) != own.key(*needed)


@pytest.mark.parametrize("name", NOT_COVERED)
def test_the_key_does_not_cover(own: Own, name: str) -> None:
    assert own.key(NOT_COVERED[name]) == own.key()


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    free=st.lists(st.sampled_from(sorted(NOT_COVERED)), unique=True, max_size=5),
    covered=st.sampled_from(sorted(COVERED)),
)
def test_changes_together(own: Own, free: Sequence[str], covered: str) -> None:
    needed, change = COVERED[covered]
    around = [NOT_COVERED[name] for name in free if not name.startswith(BOUND_TO.get(covered, ()))]
    assert own.key(*needed, *around) == own.key(*needed)
    assert own.key(*needed, *around, change) == own.key(*needed, change) != own.key(*needed)


def test_the_key_covers_where_the_tags_are(tmp_path: Path) -> None:
    """The prompts without tags are the same, and another anchor than the tags does not depend on them."""
    own = Own(tmp_path)
    write_tasks(tmp_path / "tasks.jsonl", "<anchor>Return</anchor> x.")
    write_tasks(tmp_path / "other_tasks.jsonl", "Return <anchor>x</anchor>.")
    moved = "benchmark.path={folder}/other_tasks.jsonl"
    assert own.key("anchor=tagged") != own.key("anchor=tagged", moved)
    assert own.key("anchor=tagged", "omega=0") == own.key("anchor=tagged", "omega=0", moved)
    prepared = own.prepared("anchor=tagged")
    assert prepared.benchmark.problems == prepared.problems
    assert not any("anchor>" in problem.prompt for problem in prepared.problems)


def test_the_method_version_is_covered(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    before = own.key()
    monkeypatch.setattr(prepare, "METHOD_VERSION", prepare.METHOD_VERSION + 1)
    assert own.key() != before


def test_sets_of_omegas_are_compared_by_value(own: Own) -> None:
    assert own.key("omega=[0.2]") == own.key("omega=0.20") == own.key()
    assert own.key("omega=[0.3,0.2]") == own.key("omega=[0.2,0.3,0.3]") != own.key("omega=0.2..0.3")


def test_a_switch_that_is_off_leaves_the_key_alone(own: Own) -> None:
    identity = own.prepared().identity
    assert identity["profile"] == "paper"
    assert not identity.keys() & {switch.name for switch in fields(ProfileConfig)}
    assert own.key("profile=paper", "profile.keep_stop_token=false", "model.bos_token_id=5") == own.key()


def test_content_counts_and_no_place(own: Own, tmp_path: Path) -> None:
    write_tasks(tmp_path / "renamed.jsonl", "Return x.")
    (tmp_path / "moved").mkdir()
    (tmp_path / "moved" / "weights").write_text("1")
    moved = [f"benchmark.path={tmp_path}/renamed.jsonl", f"model.path={tmp_path}/moved"]
    assert own.key(*moved) == own.key()
    write_tasks(tmp_path / "renamed.jsonl", "Return x!")
    assert own.key(*moved) != own.key()


def test_anchor_and_mask_are_no_part_of_a_plain_run(own: Own) -> None:
    plain = own.key("omega=0")
    assert plain != own.key()
    for change in ("anchor=examples", "anchor=none", "mask=collapsed", "mask.token='<pad>'", "omega=-0.0"):
        assert own.key("omega=0", change) == plain


def test_what_is_left_of_a_cell(own: Own) -> None:
    prepared = own.prepared("omega=[0.2,0.3]", "shard=2/2", f"results_dir={own.folder}/left")
    assert prepared.cell.shard == Shard(2, 2)
    assert [problem.task_id for problem in prepared.own_problems] == ["Own/1"]
    assert prepared.unfinished() == {"Own/0": [Values((0.2, 0.3))], "Own/1": [Values((0.2, 0.3))]}
    with prepared.run.locked():
        prepared.run.append_samples([generation("Own/0", "x", 0.2, 0.2), generation("Own/1", "x", 0.3, 0.3)])
        prepared.run.append_samples([generation("Own/1", "x", 0.2, 0.2)], Shard(2, 3))
    assert prepared.unfinished() == {"Own/0": [Values((0.3,))]}
