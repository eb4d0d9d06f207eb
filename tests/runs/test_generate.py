"""One cell from config to samples, on tiny checkpoints: fields, resume, limits."""

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cells import GRID, config, run, texts

from spa.decoding.lanes import Decoded
from spa.decoding.stopping import (
    FirstOf,
    KeepPiece,
    LineLimit,
    MarkedBlock,
    StopStrings,
    TopLevelCount,
    TopLevelLine,
)
from spa.errors import SpaError
from spa.models import checkpoints
from spa.omega import Values
from spa.records import Problem, PromptPair
from spa.results.store import Results
from spa.runs import generate, prepare
from spa.schema import ProfileConfig
from spa.tasks.extraction import UntilProgram
from spa.tasks.prompts import load_template


def test_samples_hold_what_the_method_needs(tiny_llama: Path, tmp_path: Path) -> None:
    made = run(config(tiny_llama, tmp_path, GRID))
    samples = made.samples()
    assert [(s.task_id, s.omega_lo) for s in samples] == [
        (f"HumanEval/{task}", value) for task in range(3) for value in (0.0, 0.3, 1.0)
    ]
    for sample in samples:
        assert sample.omega_hi == sample.omega_lo
        assert len(sample.original_ids) == len(sample.masked_ids)
        (start, end) = sample.anchor_spans[0]
        differing = [i for i, (a, b) in enumerate(zip(sample.original_ids, sample.masked_ids, strict=True)) if a != b]
        assert differing == sample.masked_positions
        assert len(sample.masked_positions) == len(sample.prompt_text[start:end].encode())
        assert sample.raw.startswith(sample.completion)
        assert sample.finish_reason in ("eos", "stop", "length")
        assert len(sample.completion_ids) <= 12
    manifest = made.manifest()
    assert manifest.status == "complete"
    assert (manifest.n_tasks, manifest.n_anchored) == (3, 3)
    assert manifest.generation_seconds == pytest.approx(sum(s.seconds for s in samples), abs=1e-3)
    assert manifest.omega == [0.0, 0.3, 1.0]
    assert made.key == manifest.key


def test_a_finished_run_is_not_repeated(
    tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = run(config(tiny_llama, tmp_path, GRID)).samples_path.read_bytes()
    monkeypatch.setattr(checkpoints, "load_kept", lambda *_: pytest.fail("the model was loaded again"))
    caplog.set_level("INFO")
    again = run(config(tiny_llama, tmp_path, GRID))
    assert "nothing to generate" in caplog.text
    assert again.samples_path.read_bytes() == first


def test_the_bar_counts_tokens_too(tiny_llama: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(config(tiny_llama, tmp_path, "omega=0", "anchor=none"))
    (line,) = [line for line in re.split("[\\r\\n]", capfd.readouterr().err) if "100%|" in line]
    assert re.search(r" none 100%\|.*\| 3\.0/3 tasks \[.*, \d+ tokens\]$", line.strip())


def test_a_larger_limit_adds_only_the_new_tasks(tiny_llama: Path, tmp_path: Path) -> None:
    first = run(config(tiny_llama, tmp_path, GRID))
    before = first.samples()
    more = run(config(tiny_llama, tmp_path, GRID, "limit=5", "batch_size=2"))
    assert more.folder == first.folder
    assert more.samples()[: len(before)] == before
    assert more.manifest().n_tasks == 5
    assert texts(more) == texts(run(config(tiny_llama, tmp_path / "other", GRID, "limit=5")))


def test_interval_lines_partition_the_interval(tiny_llama: Path, tmp_path: Path) -> None:
    samples = run(config(tiny_llama, tmp_path, "omega=0..0.5")).samples()
    for task in range(3):
        parts = [s for s in samples if s.task_id == f"HumanEval/{task}"]
        assert parts[0].omega_lo == 0.0
        assert parts[-1].omega_hi == 0.5
        assert all(a.omega_hi == b.omega_lo for a, b in itertools.pairwise(parts))


def test_tasks_without_the_anchor_are_decoded_plainly(tiny_llama: Path, tmp_path: Path) -> None:
    made = run(config(tiny_llama, tmp_path, "anchor=examples", "omega=[0,1]", "task_ids=[HumanEval/0,HumanEval/41]"))
    manifest = made.manifest()
    plain = [s for s in made.samples() if not s.anchor_spans]
    assert (manifest.n_tasks, manifest.n_anchored) == (2, 1)
    assert {s.task_id for s in plain} == {"HumanEval/41"}
    assert {s.omega_lo for s in plain} == {0.0, 1.0}
    assert all(s.masked_ids == s.original_ids and not s.masked_positions for s in plain)
    assert len({tuple(s.completion_ids) for s in plain}) == 1


@pytest.mark.parametrize(
    "overrides",
    [
        ("omega=0.3",),
        ("omega=[0,0.3]",),
        ("anchor=prompt",),
        ("mask=collapsed",),
        ("mask.token='<pad>'",),
        ("max_new_tokens=13",),
        ("max_total_tokens=4000",),
        ("strict=true",),
        ("dtype=bfloat16",),
        ("model.kind=base",),
        ("template=completion",),
        ("model.eos_token_ids=[3]",),
        ("benchmark.path={other}",),
    ],
)
def test_key_changes_with_what_changes_the_text(
    tiny_llama: Path, tmp_path: Path, overrides: tuple[str, ...], humaneval: Any
) -> None:
    other = tmp_path / "other.jsonl"
    problems = [replace(humaneval.problems[0], prompt=humaneval.problems[0].prompt + " "), *humaneval.problems[1:]]
    other.write_text("".join(problem.to_json() + "\n" for problem in problems))
    overrides = tuple(override.format(other=other) for override in overrides)
    if str(other) in overrides[0]:
        overrides += ("benchmark=custom",)
    base = prepare.prepare(config(tiny_llama, tmp_path, GRID)).run.key
    assert prepare.prepare(config(tiny_llama, tmp_path, GRID, *overrides)).run.key != base


@pytest.mark.parametrize(
    "override", ["batch_size=2", "limit=7", "task_ids=[HumanEval/3]", "score=true", "sandbox=none"]
)
def test_key_ignores_what_does_not(tiny_llama: Path, tmp_path: Path, override: str) -> None:
    base = prepare.prepare(config(tiny_llama, tmp_path, GRID)).run.key
    assert prepare.prepare(config(tiny_llama, tmp_path / "elsewhere", GRID, override)).run.key == base


def test_plain_runs_share_a_key_over_anchors_masks_and_plus(tiny_llama: Path, tmp_path: Path, datasets: Path) -> None:
    plain = prepare.prepare(config(tiny_llama, tmp_path, "omega=0")).run.key
    assert (
        prepare.prepare(config(tiny_llama, tmp_path, "omega=[0]", "anchor=prompt", "mask=collapsed")).run.key == plain
    )
    path = f"benchmark.path={datasets / 'HumanEvalPlus-v0.1.10.jsonl.gz'}"
    keys = {
        prepare.prepare(config(tiny_llama, tmp_path, "omega=0", f"benchmark={name}", path)).run.key
        for name in ("humaneval", "humaneval_plus")
    }
    assert len(keys) == 1


def test_prompt_longer_than_the_context(tmp_path: Path) -> None:
    import tiny

    short = tiny.checkpoint(tmp_path / "model", "llama", chat=True, positions=128)
    with pytest.raises(SpaError, match=r"HumanEval/\d+: the prompt has \d+ tokens and the model's context only 128"):
        run(config(short, tmp_path, "omega=0"))


def test_total_length(tiny_llama: Path, tmp_path: Path) -> None:
    total = 800
    samples = run(config(tiny_llama, tmp_path, "omega=0", f"max_total_tokens={total}", "max_new_tokens=400")).samples()
    for sample in samples:
        if sample.finish_reason == "length":
            assert len(sample.original_ids) + len(sample.completion_ids) in (total, len(sample.original_ids) + 400)
    with pytest.raises(SpaError, match="max_total_tokens=100 leaves no room"):
        run(config(tiny_llama, tmp_path, "omega=0", "max_total_tokens=100"))


def test_anchor_that_fits_no_task(tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(SpaError, match="anchor=tagged fits no task of humaneval"):
        prepare.prepare(config(tiny_llama, tmp_path, "anchor=tagged"))


def test_folder_of_another_run_is_refused(tiny_llama: Path, tmp_path: Path) -> None:
    first = run(config(tiny_llama, tmp_path, "omega=0"))
    prepared = prepare.prepare(config(tiny_llama, tmp_path, "omega=1"))
    first.folder.rename(prepared.run.folder)
    with pytest.raises(SpaError, match=f"holds the run {first.key}"):
        run(config(tiny_llama, tmp_path, "omega=1"))


@pytest.mark.parametrize(
    "name", ["codegen_350m_mono", "codellama_7b", "deepseek_coder_1_3b", "deepseek_coder_6_7b", "deepseek_coder_33b"]
)
@pytest.mark.parametrize("benchmark", ["humaneval", "mbpp"])
def test_each_checkpoint_of_the_paper_on_a_stand_in(
    name: str, benchmark: str, tiny_llama: Path, tiny_codegen: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    stand_in = tiny_codegen if name == "codegen_350m_mono" else tiny_llama
    overrides = [f"model={name}", "quantization=none", "dtype=float32", "model.device_map=null", "limit=2"]
    if benchmark == "mbpp":
        path = request.getfixturevalue("datasets") / "MbppPlus-v0.2.0.jsonl.gz"
        overrides += ["benchmark=mbpp", f"benchmark.path={path}"]
    made = run(config(stand_in, tmp_path, GRID, *overrides))
    samples = made.samples()
    assert len(samples) == 6
    assert all(sample.solution for sample in samples)
    if name.startswith("deepseek"):
        assert all("### Instruction:\n" in sample.prompt_text for sample in samples)
    else:
        assert all(sample.solution.startswith(sample.prompt_text) for sample in samples)


# The authors' profile


def test_total_length_counts_the_original_prompt(tiny_codegen: Path, tmp_path: Path) -> None:
    prepared = prepare.prepare(config(tiny_codegen, tmp_path, "max_total_tokens=500", "max_new_tokens=400"))
    pair = PromptPair("t", "", (), (1,) * 490, (1,) * 495, ())
    assert generate.room(prepared.cell, pair, 2048) == 10


HUMANEVAL = Problem("t", "humaneval", "def f():\n    pass\n", "f", "", [], None, "", 0.0)
MBPP = Problem("t", "mbpp", '"""\nAdd.\n"""\n', "f", "", [], None, "", 0.0)


def test_each_switch_chooses_its_stop_rule() -> None:
    rule = generate.stop_rule
    assert rule(ProfileConfig(), "chat", HUMANEVAL) == UntilProgram("f")
    assert rule(ProfileConfig(marked_block_stop=True), "chat", HUMANEVAL) == MarkedBlock()
    for problem in (HUMANEVAL, MBPP):
        ours = TopLevelLine.of(None if problem is HUMANEVAL else problem.entry_point)
        counted = TopLevelCount.after(problem.prompt)
        limit = LineLimit(50, 18, n_newlines=1)
        assert rule(ProfileConfig(), "base", problem) == ours
        assert rule(ProfileConfig(count_top_level=True), "base", problem) == counted
        assert rule(ProfileConfig(keep_stop_token=True), "base", problem) == KeepPiece(ours)
        assert rule(ProfileConfig(max_lines=50, max_newlines=18), "base", problem) == FirstOf((ours, limit))
        official = ProfileConfig(count_top_level=True, keep_stop_token=True, max_lines=50, max_newlines=18)
        assert rule(official, "base", problem) == KeepPiece(FirstOf((counted, limit)))


def test_a_template_may_name_its_stop_strings() -> None:
    strings = ["\n```\n", "\nprint("]
    for kind in ("chat", "base"):
        assert generate.stop_rule(ProfileConfig(), kind, HUMANEVAL, strings) == StopStrings(tuple(strings))


@pytest.mark.parametrize(("kind", "expected"), [("chat", "x = 1"), ("base", "def f():\n    pass\nx = 1")])
def test_the_beginning_of_the_answer_is_put_back(kind: str, expected: str, tiny_llama: Path, tmp_path: Path) -> None:
    """evalplus' prompt opens the code block that the answer is in."""
    decoded = Decoded("t", Values((0.0,)), [], "x = 1\n```\n", "x = 1", "stop", 0.0, 1)
    response = load_template("evalplus", kind).response
    made = config(tiny_llama, tmp_path, f"model.kind={kind}", "profile.bare_code=true")
    (text,) = generate.to_generations(made, HUMANEVAL, PromptPair("t", "", (), (), (), ()), decoded, response)
    assert text.solution == expected
    assert text.completion == "x = 1"


def test_each_switch_chooses_its_extraction(tiny_llama: Path, tmp_path: Path) -> None:
    text = "```\nx = 1\n```"
    decoded = Decoded("t", Values((0.0,)), [], text, text, "eos", 0.0, 1)
    pair = PromptPair("t", "", (), (), (), ())
    helper = replace(HUMANEVAL, prompt=f"import math\n{HUMANEVAL.prompt}")

    def program(*switches: str) -> str:
        (made,) = generate.to_generations(config(tiny_llama, tmp_path, *switches), helper, pair, decoded)
        return made.solution

    assert program() == "import math\n\nx = 1"
    assert program("profile.bare_code=true") == "x = 1"
    assert program("profile.sole_block=true") == text


def test_double_quotes_only_moves_the_mask(tiny_llama: Path, tmp_path: Path) -> None:
    both = [
        prepare.prepare(config(tiny_llama, tmp_path, "omega=1", f"profile.double_quotes_only={switch}"))
        for switch in ("false", "true")
    ]
    spans = [prepared.spans["HumanEval/69"] for prepared in both]
    assert spans[0] != spans[1]
    assert both[0].spans["HumanEval/0"] == both[1].spans["HumanEval/0"]
    assert both[0].run.key != both[1].run.key


def test_results_hold_one_folder_per_cell(tiny_llama: Path, tmp_path: Path) -> None:
    made = run(config(tiny_llama, tmp_path, GRID))
    assert [found.folder for found in Results(tmp_path).runs()] == [made.folder]
