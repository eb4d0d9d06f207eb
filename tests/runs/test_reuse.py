"""What an interval, a grid or a plain run on disk answers, is copied; what it does not, is decoded."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cells import config, texts
from hypothesis import given
from hypothesis import strategies as st
from synthetic import generation

from spa.config import Cell
from spa.models import checkpoints
from spa.records import Generation
from spa.results.store import Run
from spa.runs import prepare, reuse, run_cell
from spa.runs.reuse import answers

INTERVAL = "omega=-0.1..0.5"


def reusing(model: Path, results: Path, *overrides: str) -> Cell:
    return config(model, results, "limit=2", *overrides, "reuse=true")


def test_another_methods_texts_answer_at_omega_0_alone(tiny_llama: Path, tmp_path: Path) -> None:
    results = tmp_path / "one" / "results"  # with nothing beside it
    run_cell.run_cell(config(tiny_llama, results, INTERVAL, "limit=2", "method=spa_uncertainty"))
    run = run_cell.run_cell(reusing(tiny_llama, results, "omega=[0,0.2]"))
    assert {sample.omega_lo for sample in run.samples() if sample.seconds == 0} == {0.0}


def test_the_control_keeps_its_own_tokens_beside_a_copied_text(tiny_llama: Path, tmp_path: Path) -> None:
    """Both lengths are in each line, of which the one at omega 0 is a copy of the description's."""
    results = tmp_path / "one" / "results"
    described = run_cell.run_cell(config(tiny_llama, results, "omega=[0,0.2]", "limit=2"))
    control = run_cell.run_cell(reusing(tiny_llama, results, "omega=[0,0.2]", "anchor=random"))
    copied = {sample.omega_lo: sample.seconds == 0 for sample in control.samples()}
    assert (control.key != described.key, copied) == (True, {0.0: True, 0.2: False})
    for ours, theirs in zip(control.samples(), described.samples(), strict=True):
        assert not set(ours.masked_positions) & set(theirs.masked_positions)
        assert len(ours.masked_positions) + ours.missing_tokens == len(theirs.masked_positions) > 0
        assert (theirs.missing_tokens, ours.omega_lo, ours.task_id) == (0, theirs.omega_lo, theirs.task_id)


def outcome(run: Run) -> list[Any]:
    """Texts and omegas; another batch moves the end of a part by a little."""
    return [
        (s.task_id, pytest.approx(s.omega_lo, abs=1e-4), pytest.approx(s.omega_hi, abs=1e-4), s.completion_ids)
        for s in run.samples()
    ]


def plain(run: Run) -> list[tuple[str, float, float, list[int]]]:
    return [(s.task_id, s.omega_lo, s.omega_hi, s.completion_ids) for s in run.samples()]


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "load", lambda *_: pytest.fail("the model was loaded"))


@pytest.fixture(scope="module")
def stored(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Run]:
    """Puts a copy of one interval's run into a results folder."""
    made = run_cell.run_cell(config(tiny_llama, tmp_path_factory.mktemp("made"), INTERVAL, "limit=2"))

    def put(results: Path) -> Run:
        run = Run(results / "runs" / made.key)
        run.folder.mkdir(parents=True)
        for path in (made.manifest_path, made.samples_path):
            (run.folder / path.name).write_bytes(path.read_bytes())
        return run

    return put


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize("omega", ["omega=0.2", "omega=[0,0.1,0.2]", "omega=0", "omega=0.1..0.3", "omega=[-0.1,0.5]"])
@pytest.mark.parametrize("place", ["one/results", "one/beside"])
def test_an_interval_answers(
    tiny_llama: Path, tmp_path: Path, stored: Callable[[Path], Run], omega: str, place: str, request: Any
) -> None:
    source = stored(tmp_path / "one" / "results")
    run = run_cell.run_cell(reusing(tiny_llama, tmp_path / place, omega))
    manifest = run.manifest()
    assert manifest.derived_from == [f"results/runs/{source.key}"]
    assert (manifest.status, manifest.n_tasks, manifest.generation_seconds) == ("complete", 2, 0)
    assert (manifest.generated_tokens, manifest.tokens_per_second) == (0, None)
    for name in ("attention", "linear", "device", "tokenizer_sha"):
        assert getattr(manifest, name) == getattr(source.manifest(), name)
    request.getfixturevalue("monkeypatch").undo()
    decoded = run_cell.run_cell(config(tiny_llama, tmp_path / "two" / "results", omega, "limit=2"))
    assert plain(run) == outcome(decoded)
    assert run.key == decoded.key


@pytest.mark.usefixtures("no_model")
@pytest.mark.parametrize("other", ["anchor=prompt", "anchor=none", "mask=collapsed", "mask=attention"])
def test_plain_decoding_is_that_of_any_anchor_and_mask(
    tiny_llama: Path, tmp_path: Path, stored: Callable[[Path], Run], other: str
) -> None:
    source = stored(tmp_path / "results")
    run = run_cell.run_cell(reusing(tiny_llama, tmp_path / "results", "omega=0", other))
    parts = {s.task_id: s for s in source.samples() if s.omega_lo <= 0 < s.omega_hi}
    for sample in run.samples():
        assert sample.completion_ids == parts[sample.task_id].completion_ids
        assert (sample.omega_lo, sample.omega_hi, sample.seconds) == (0, 0, 0)
        if other == "anchor=none":
            assert (sample.masked_ids, sample.anchor_spans) == (sample.original_ids, [])
        else:
            assert sample.masked_positions


def test_another_anchor_shares_omega_0_alone(tiny_llama: Path, tmp_path: Path, stored: Callable[[Path], Run]) -> None:
    source = stored(tmp_path / "results")
    run = run_cell.run_cell(reusing(tiny_llama, tmp_path / "results", "omega=[0,0.2]", "anchor=prompt"))
    copied = [(s.task_id, s.omega_lo) for s in run.samples() if not s.seconds]
    assert copied == [("HumanEval/0", 0.0), ("HumanEval/1", 0.0)]
    manifest = run.manifest()
    assert manifest.derived_from == [f"results/runs/{source.key}"]
    assert manifest.generated_tokens > 0
    alone = run_cell.run_cell(config(tiny_llama, tmp_path / "a" / "b", "omega=[0,0.2]", "anchor=prompt", "limit=2"))
    assert plain(run) == outcome(alone)


def test_what_was_given_up_is_decoded(tiny_llama: Path, tmp_path: Path, stored: Callable[[Path], Run]) -> None:
    source = stored(tmp_path / "results")
    given_up = [
        replace(s, finish_reason="budget") if s.task_id == "HumanEval/1" and s.omega_lo < 0.2 < s.omega_hi else s
        for s in source.samples()
    ]
    source.samples_path.write_text("".join(s.to_json() + "\n" for s in given_up))
    run = run_cell.run_cell(reusing(tiny_llama, tmp_path / "results", "omega=0.2"))
    first, second = run.samples()
    assert not first.seconds
    assert second.seconds
    assert second.finish_reason != "budget"


def test_a_bigger_selection_decodes_the_rest(tiny_llama: Path, tmp_path: Path, stored: Callable[[Path], Run]) -> None:
    stored(tmp_path / "results")
    run = run_cell.run_cell(reusing(tiny_llama, tmp_path / "results", "omega=0.2", "limit=3"))
    assert [bool(s.seconds) for s in run.samples()] == [False, False, True]


@pytest.mark.parametrize(
    "change",
    ["max_new_tokens=11", "template=completion", "model.eos_token_ids=[3]", "strict=true", "dtype=bfloat16"],
)
def test_other_settings_answer_nothing(
    tiny_llama: Path, tmp_path: Path, stored: Callable[[Path], Run], change: str
) -> None:
    stored(tmp_path / "results")
    assert found(reusing(tiny_llama, tmp_path / "results", "omega=0.2", change)) == []


def test_reuse_can_be_declined(tiny_llama: Path, tmp_path: Path, stored: Callable[[Path], Run]) -> None:
    stored(tmp_path / "results")
    run = run_cell.run_cell(config(tiny_llama, tmp_path / "results", "omega=0.2", "limit=2"))
    assert all(s.seconds for s in run.samples())
    assert run.manifest().derived_from == []


def test_plus_shares_all_tasks_but_the_one_whose_prompt_differs(
    tiny_llama: Path, tmp_path: Path, datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HUMANEVAL_OVERRIDE_PATH", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tasks = "task_ids=[HumanEval/114,HumanEval/115]"
    plus = ["benchmark=humaneval_plus", f"benchmark.path={datasets / 'HumanEvalPlus-v0.1.10.jsonl.gz'}"]
    openai = run_cell.run_cell(reusing(tiny_llama, tmp_path / "results", "omega=0.3", tasks))
    run = run_cell.run_cell(reusing(tiny_llama, tmp_path / "results", "omega=0.3", tasks, *plus))
    assert run.key != openai.key
    assert [(s.task_id, bool(s.seconds)) for s in run.samples()] == [("HumanEval/114", False), ("HumanEval/115", True)]


def test_a_broken_manifest_beside_is_passed_over(
    tiny_llama: Path, tmp_path: Path, stored: Callable[[Path], Run], caplog: pytest.LogCaptureFixture
) -> None:
    stored(tmp_path / "results")
    broken = tmp_path / "beside" / "runs" / "k" / "manifest.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    assert len(found(reusing(tiny_llama, tmp_path / "results", "omega=0.2"))) == 2
    assert "not looked into: " in caplog.text


def test_a_file_named_like_a_folder_of_runs_beside_is_passed_over(
    tiny_llama: Path, tmp_path: Path, stored: Callable[[Path], Run], caplog: pytest.LogCaptureFixture
) -> None:
    stored(tmp_path / "results")
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "runs").write_text("a list of runs")
    assert len(found(reusing(tiny_llama, tmp_path / "results", "omega=0.2"))) == 2
    assert re.search("not looked into: .*beside/runs", caplog.text)


def found(configuration: Cell) -> list[Generation]:
    prepared = prepare.prepare(configuration)
    tokenizer = checkpoints.load_tokenizer(prepared.checkpoint)
    pairs = {pair.task_id: pair for pair in prepare.render_all(prepared, tokenizer, prepared.problems)}
    return reuse.look_up(prepared, prepared.unfinished(), pairs).samples


@pytest.mark.parametrize("lines", [0, 1])
def test_a_run_that_is_still_going_answers_with_what_it_has(
    tiny_llama: Path, tmp_path: Path, stored: Callable[[Path], Run], lines: int
) -> None:
    source = stored(tmp_path / "results")
    first = [s for s in source.samples() if s.task_id == "HumanEval/0"]
    torn = first[0].to_json()[:50]
    source.samples_path.write_text("".join(s.to_json() + "\n" for s in first * lines) + torn)
    source.write_manifest(replace(source.manifest(), status="running"))
    copies = found(reusing(tiny_llama, tmp_path / "results", "omega=0.2"))
    assert [s.task_id for s in copies] == ["HumanEval/0"] * lines


POINTS = st.integers(-4, 4).map(float)


@given(POINTS, POINTS, POINTS, st.sampled_from(["float32", "bfloat16", "float16"]))
def test_what_a_line_answers(lo: float, hi: float, value: float, dtype: str) -> None:
    lo, hi = min(lo, hi), max(lo, hi)
    line = generation("A", "x", lo, hi)
    if lo == hi:
        assert answers(line, value, hi, dtype) == (value == lo)
    elif lo < value < hi:
        assert answers(line, value, hi, dtype)
    elif value == lo:
        assert answers(line, value, hi, dtype) == (dtype == "float32" or value == 0)
    elif value == hi:
        assert answers(line, value, hi, dtype) == (dtype == "float32")
        assert not answers(line, value, hi + 1, dtype)
    else:
        assert not answers(line, value, hi, dtype)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 60))
def test_in_float32_one_part_of_an_interval_answers_for_each_value(lengths: list[int], value: int) -> None:
    edges = [0]
    for length in lengths:
        edges.append(edges[-1] + length)
    parts = [generation("A", "x", lo, hi) for lo, hi in pairwise(edges)]
    assert sum(answers(part, value, edges[-1], "float32") for part in parts) == (value <= edges[-1])


def test_copies_equal_what_is_decoded_apart_from_their_time(
    tiny_llama: Path, tmp_path: Path, stored: Callable[[Path], Run]
) -> None:
    stored(tmp_path / "results")
    copied = run_cell.run_cell(reusing(tiny_llama, tmp_path / "results", "omega=0.2"))
    decoded = run_cell.run_cell(config(tiny_llama, tmp_path / "a" / "b", "omega=0.2", "limit=2"))
    assert texts(copied) == texts(decoded)


# Another stop rule


USAGE, PROGRAM = "```python\nprint(f(1))\n```", "```python\ndef f(x):\n    return x\n```"


@pytest.mark.parametrize(
    ("raw", "completion", "reason", "is_kept"),
    [
        (PROGRAM + "\nDone.", PROGRAM, "stop", True),
        (PROGRAM, PROGRAM, "stop", True),  # that nothing follows it, no text tells
        ("Sure:\ndef f(x):\n    return x\n", "Sure:\ndef f(x):\n    return x\n", "eos", True),
        (USAGE, USAGE, "stop", False),  # decoding would have gone on
        (f"{PROGRAM}\n{USAGE}", f"{PROGRAM}\n{USAGE}", "length", False),  # and here it would have ended
    ],
)
def test_a_line_of_an_earlier_stop_rule_answers_where_both_end_alike(
    raw: str, completion: str, reason: str, is_kept: bool, tiny_llama: Path, tmp_path: Path
) -> None:
    prepared = prepare.prepare(config(tiny_llama, tmp_path, "omega=0", "limit=1"))
    (problem,) = prepared.problems
    raw, completion = (text.replace("f(", f"{problem.entry_point}(") for text in (raw, completion))
    sample = replace(generation(problem.task_id, "", 0.0, 0.0), raw=raw, completion=completion, finish_reason=reason)
    earlier: Any = SimpleNamespace(identity={k: v for k, v in prepared.identity.items() if k != "stop_rule"})
    assert "stop_rule" in prepared.identity
    found = reuse._under_own_rule(prepared, sample, earlier)
    assert (found is not None) is is_kept
    if found:
        assert f"def {problem.entry_point}(x)" in found.solution
    same: Any = SimpleNamespace(identity=prepared.identity)
    assert reuse._under_own_rule(prepared, sample, same) is sample
