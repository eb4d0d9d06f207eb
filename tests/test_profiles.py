"""The authors' profile: what it switches on, and what goes before it."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from spa import config, schema
from spa.config import CONF, Cell
from spa.schema import ProfileConfig

V0110, V020, V010 = ("v0.1.10", 164), ("v0.2.0", 378), ("v0.1.0", 399)


def options(group: str) -> list[str]:
    return [f"{group}={path.stem}" for path in sorted((CONF / group).glob("*.yaml"))]


def resolved(*overrides: str) -> Cell:
    """As `run.py` composes it from these arguments."""
    schema.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base=None):
        return config.resolve(compose("config", list(overrides)))


def test_paper_is_the_profile_with_every_switch_off() -> None:
    assert resolved().profile == resolved("profile=paper").profile == ProfileConfig("paper")
    assert ProfileConfig("paper").departures() == {}


def test_official_2024_turns_every_switch_on() -> None:
    profile = resolved("profile=official_2024").profile
    assert profile.departures().keys() == {switch.name for switch in fields(profile)} - {"name"}


def test_every_switch_is_explained() -> None:
    text = (CONF.parent / "docs" / "deviations.md").read_text()
    for switch in fields(ProfileConfig):
        assert f"`profile.{switch.name}" in text or switch.name == "name"


@pytest.mark.parametrize(
    ("name", "benchmark", "paper", "official"),
    [
        ("codegen_350m_mono", "humaneval", V0110, V0110),
        ("codellama_7b", "humaneval_plus", V0110, V0110),
        ("deepseek_coder_1_3b", "mbpp", V020, V010),
        ("deepseek_coder_6_7b", "mbpp_plus", V020, V010),
        ("deepseek_coder_33b", "mbpp", V020, V010),
    ],
)
def test_what_a_profile_implies(name: str, benchmark: str, paper: Any, official: Any) -> None:
    arguments = [f"model={name}", f"benchmark={benchmark}"]
    ours, theirs = resolved(*arguments), resolved(*arguments, "profile=official_2024")
    assert (ours.mask.name, ours.max_total_tokens, ours.strict, ours.batch_size) == ("per_token", None, False, 16)
    assert (theirs.mask.name, theirs.max_total_tokens, theirs.strict, theirs.batch_size) == ("collapsed", 500, True, 1)
    assert (ours.benchmark.version, ours.benchmark.n_tasks) == paper
    assert (theirs.benchmark.version, theirs.benchmark.n_tasks) == official
    assert (theirs.benchmark.name, theirs.benchmark.plus) == (ours.benchmark.name, ours.benchmark.plus)
    assert ours.quantization == theirs.quantization == "int8"
    bos = [32013] if name.startswith("deepseek") else []
    assert theirs.model.eos_token_ids == [*ours.model.eos_token_ids, *bos]


OVERRIDES = ["mask=per_token", "max_total_tokens=null", "strict=false", "batch_size=4", "benchmark.n_tasks=7"]


@pytest.mark.parametrize("order", [1, -1])
def test_the_command_line_goes_before_the_profile(order: int) -> None:
    run = resolved(*["profile=official_2024", "benchmark=mbpp", "profile.max_lines=null", *OVERRIDES][::order])
    assert (run.mask.name, run.max_total_tokens, run.strict, run.batch_size) == ("per_token", None, False, 4)
    assert (run.benchmark.version, run.benchmark.n_tasks) == ("v0.1.0", 7)
    assert (run.profile.name, run.profile.max_lines, run.profile.max_newlines) == ("official_2024", None, 18)


def test_the_old_release_with_the_papers_profile() -> None:
    run = resolved("benchmark=mbpp_plus", "release=mbpp_official_2024")
    assert (run.benchmark.version, run.benchmark.n_tasks, run.profile.name) == ("v0.1.0", 399, "paper")


@pytest.mark.parametrize("preset", options("experiment"))
def test_every_preset_takes_the_profile(preset: str) -> None:
    run = resolved(preset, "profile=official_2024")
    assert (run.profile.name, run.mask.name) == ("official_2024", "collapsed")


@pytest.mark.parametrize(("mask", "expected"), [("", "collapsed"), ("  - override /mask: per_token\n", "per_token")])
def test_a_preset_may_choose_the_profile(mask: str, expected: str, tmp_path: Path) -> None:
    """And goes before it where both choose."""
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "own.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /profile: official_2024\n  - override /benchmark: mbpp\n"
        f"{mask}\nmax_total_tokens: 750\n"
    )
    run = resolved("experiment=own", f"hydra.searchpath=[file://{tmp_path}]")
    assert (run.profile.name, run.mask.name, run.max_total_tokens) == ("official_2024", expected, 750)
    assert (run.benchmark.name, run.benchmark.n_tasks) == ("mbpp", 399)
