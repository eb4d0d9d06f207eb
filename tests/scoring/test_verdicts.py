"""Hidden and visible tests of a run, on the benchmark as its prompts have it."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from synthetic import generation, write_run

from spa.errors import SpaError
from spa.results.store import Results
from spa.schema import BenchmarkConfig
from spa.scoring import sandbox, verdicts
from spa.tasks import benchmarks

RIGHT = 'def f(x):\n    """ Return x.\n    >>> f(1)\n    1\n    """\n    return x\n'
NO_PYTHON = "# Return x.\ndef f(x):\n"


def own(folder: Path, prompt: str, plus: bool = False) -> BenchmarkConfig:
    """A benchmark of one task, f(x) == x."""
    row = {
        "task_id": "Own/0",
        "prompt": prompt,
        "entry_point": "f",
        "canonical_solution": "    return x\n",
        "base_input": [[1]],
        "plus_input": [[2]],
    }
    (folder / "own.jsonl").write_text(json.dumps(row) + "\n")
    return BenchmarkConfig(name="custom", family="humaneval", path=str(folder / "own.jsonl"), plus=plus)


def judged(folder: Path, config: BenchmarkConfig, solution: str, anchor: str = "description") -> list[str]:
    run = write_run(folder / "results", "k", {}, anchor=anchor, scoring=None, config={"benchmark": asdict(config)})
    run.append_samples([generation("Own/0", solution, 0.0, 0.0)])
    return list(verdicts.judge_results([Results(folder / "results")], sandbox="auto"))


def test_hidden_and_visible_tests_are_run(tmp_path: Path) -> None:
    (line,) = judged(tmp_path, own(tmp_path, RIGHT.removesuffix("    return x\n")), RIGHT)
    assert line.endswith("custom, 1 solutions scored, 0 were before")
    run = Results(tmp_path / "results").run("k")
    assert [score.base_status for score in run.scores()] == ["pass"]
    assert [(score.n_tests, score.passed) for score in run.visible()] == [(1, True)]


def test_what_was_scored_on_the_plus_tests_stays_so(tmp_path: Path) -> None:
    prompt = RIGHT.removesuffix("    return x\n")
    judged(tmp_path, own(tmp_path, prompt, plus=True), RIGHT)
    run, config = Results(tmp_path / "results").run("k"), own(tmp_path, prompt)
    run.append_samples([generation("Own/0", "def f(x):\n    return 1\n", 0.5, 0.5)])
    with run.locked():
        verdicts.judge(run, benchmarks.load(config), config, sandbox=sandbox.resolve("auto"))
    scoring = run.manifest().scoring
    assert (scoring.plus, scoring.scored, scoring.already) == (True, 1, 1)
    assert [(score.base_status, score.plus_status) for score in run.scores()] == [("pass", "pass"), ("pass", "fail")]


def test_plus_tests_of_other_data_bind_nobody(tmp_path: Path) -> None:
    prompt = RIGHT.removesuffix("    return x\n")
    judged(tmp_path, own(tmp_path, prompt, plus=True), RIGHT)
    run, config = Results(tmp_path / "results").run("k"), own(tmp_path, prompt + "    # changed\n")
    with run.locked():
        verdicts.judge(run, benchmarks.load(config), config, sandbox=sandbox.resolve("auto"))
    assert run.manifest().scoring.plus is False


def test_tags_are_no_code(tmp_path: Path) -> None:
    """They stand in the signature, where Python would stumble."""
    judged(tmp_path, own(tmp_path, 'def f(<anchor>x</anchor>):\n    """ Return x. """\n'), RIGHT, anchor="tagged")
    assert [score.base_status for score in Results(tmp_path / "results").run("k").scores()] == ["pass"]


def test_a_prompt_that_is_no_python_by_itself_shows_no_tests(tmp_path: Path) -> None:
    judged(tmp_path, own(tmp_path, NO_PYTHON), RIGHT, anchor="prompt")
    run = Results(tmp_path / "results").run("k")
    assert [score.base_status for score in run.scores()] == ["pass"]
    assert [(score.n_tests, score.passed) for score in run.visible()] == [(0, True)]


def test_a_run_in_use_keeps_no_other_from_its_verdicts(tmp_path: Path) -> None:
    config = own(tmp_path, RIGHT.removesuffix("    return x\n"))
    results = Results(tmp_path / "results")
    for key in ("a", "b"):
        run = write_run(results.folder, key, {}, scoring=None, config={"benchmark": asdict(config)})
        run.append_samples([generation("Own/0", RIGHT, 0.0, 0.0)])
    lines = verdicts.judge_results([results], sandbox="auto")
    with results.run("a").locked():
        assert next(lines).startswith(str(results.run("b").folder))
        with pytest.raises(SpaError, match=r"1 runs were not scored, the others were; .*/a: .* is in use by process"):
            next(lines)
