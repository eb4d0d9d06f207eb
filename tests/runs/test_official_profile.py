"""Cells with the authors' profile."""

from pathlib import Path

import pytest
from cells import GRID, config, run

from spa.errors import SpaError


@pytest.mark.parametrize(
    "name", ["codegen_350m_mono", "codellama_7b", "deepseek_coder_1_3b", "deepseek_coder_6_7b", "deepseek_coder_33b"]
)
@pytest.mark.parametrize("benchmark", ["humaneval", "mbpp"])
def test_each_checkpoint_with_the_authors_profile(
    name: str, benchmark: str, tiny_llama: Path, tiny_codegen: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    stand_in = tiny_codegen if name == "codegen_350m_mono" else tiny_llama
    overrides = [f"model={name}", "quantization=none", "dtype=float32", "model.device_map=null", "limit=2"]
    overrides += ["profile=official_2024", "max_total_tokens=4000"]  # the stand-ins' tokens are single bytes
    if benchmark == "mbpp":
        path = request.getfixturevalue("datasets") / "MbppPlus-v0.1.0.jsonl.gz"
        overrides += ["benchmark=mbpp", f"benchmark.path={path}"]
    made = run(config(stand_in, tmp_path, GRID, *overrides))
    samples, manifest = made.samples(), made.manifest()
    assert (len(samples), manifest.profile, manifest.mask) == (6, "official_2024", "collapsed")
    assert manifest.identity["strict"]
    for sample in samples:
        assert len(sample.masked_ids) < len(sample.original_ids)
        assert sample.batch_rows <= 2
        if sample.finish_reason == "stop":
            assert sample.completion == sample.raw  # the token that ended it is kept
        bare = sample.completion if name.startswith("deepseek") or benchmark == "mbpp" else None
        assert sample.solution == (sample.prompt_text + sample.completion if bare is None else bare)
    if name.startswith("deepseek"):
        assert manifest.identity["eos_token_ids"] == [32021, 32013]


def test_begin_of_sentence_ends_a_text(tiny_llama: Path, tmp_path: Path) -> None:
    (ours,) = run(config(tiny_llama, tmp_path, "omega=0", "limit=1", "model.eos_token_ids=[0]")).samples()
    bos = ours.completion_ids[3]
    switch = [f"model.bos_token_id={bos}", "profile.stop_at_bos=true"]
    (theirs,) = run(config(tiny_llama, tmp_path, "omega=0", "limit=1", "model.eos_token_ids=[0]", *switch)).samples()
    assert len(ours.completion_ids) == 12
    assert theirs.completion_ids == ours.completion_ids[: ours.completion_ids.index(bos)]
    assert theirs.finish_reason == "eos"


@pytest.mark.parametrize("omega", ["omega=[0,1]", "omega=0..1"])
def test_a_prompt_that_fills_the_total(tiny_codegen: Path, tmp_path: Path, omega: str) -> None:
    base = ["model.kind=base", "model.template=completion", "task_ids=[HumanEval/0,HumanEval/23]", omega]
    with pytest.raises(SpaError, match=r"HumanEval/0: .* leaves no room"):
        run(config(tiny_codegen, tmp_path, *base, "max_total_tokens=240"))
    samples = run(
        config(tiny_codegen, tmp_path, *base, "max_total_tokens=240", "profile.empty_when_full=true")
    ).samples()
    full = [sample for sample in samples if sample.task_id == "HumanEval/0"]
    assert {len(sample.original_ids) > 240 for sample in full} == {True}
    assert {(sample.raw, sample.finish_reason, sample.solution) for sample in full} == {
        ("", "length", full[0].prompt_text)
    }
    assert (full[0].omega_lo, full[-1].omega_hi) == (0, 1)
    others = [sample for sample in samples if sample.task_id == "HumanEval/23"]
    assert others
    assert all(sample.completion_ids for sample in others)
