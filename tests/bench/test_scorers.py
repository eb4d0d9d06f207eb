"""Our scorer beside evalplus: one small comparison that really runs, and the arithmetic by hand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from programs import SOLUTIONS

from spa.bench import released_evalplus, scorers
from spa.errors import SpaError
from spa.records import solution_sha
from spa.tasks.benchmarks import Benchmark

ROOT = Path(__file__).resolve().parents[2]


def test_differences_by_hand() -> None:
    requests = [(f"HumanEval/{number}", "") for number in range(5)]
    passes, base_only, fails, late = ("pass", "pass"), ("pass", "fail"), ("fail", "pass"), ("timeout", "pass")
    statuses = {
        "evalplus": [[passes, passes, fails, fails, base_only], [passes, fails, fails, fails, base_only]],
        "ours": [[passes, passes, late, passes, base_only]] * 2,
    }
    found = scorers.differences(requests, statuses, ["HumanEval/3"])
    assert [(each["task_id"], each["sample"], each["corrected"]) for each in found] == [
        ("HumanEval/1", 1, False),  # not the same in every round
        ("HumanEval/3", 3, True),
    ]
    assert found[0]["statuses"] == {"evalplus": ["pass pass (1)", "fail pass (1)"], "ours": ["pass pass (2)"]}
    assert found[0]["solution_sha"] == solution_sha("")


def test_samples_by_name(humaneval: Benchmark, tmp_path: Path) -> None:
    assert len(scorers.read("canonical", humaneval)) == 164
    assert 140 < len(scorers.read("mutants", humaneval)) < 164
    with pytest.raises(SpaError, match="cannot read the samples"):
        scorers.read(str(tmp_path / "none"), humaneval)


def test_an_evalplus_that_fails_is_named(humaneval: Benchmark, tmp_path: Path) -> None:
    released_evalplus.prepare([("HumanEval/0", "")], humaneval, tmp_path)
    (tmp_path / "data.jsonl").write_text("{}\n")
    with pytest.raises(SpaError, match=r"evalplus ended with exit code 1: .*task_id"):
        released_evalplus.evaluate([("HumanEval/0", "")], humaneval, tmp_path, "bubblewrap")


@pytest.mark.slow
def test_both_sides_score_the_same_samples(
    datasets: Path, humaneval_plus: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", str(datasets / "HumanEvalPlus-v0.1.10.jsonl.gz"))
    find_zero = next(p for p in humaneval_plus.problems if p.task_id == "HumanEval/32")
    kinds = ("right", "right on the base tests only", "wrong", "loops", "ends itself", "no syntax", "half a character")
    lines = [{"task_id": "HumanEval/0", "solution": SOLUTIONS[kind]} for kind in kinds]
    lines += [{"task_id": "HumanEval/32", "completion": find_zero.canonical_solution}]
    path = tmp_path / "few.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = [sys.executable, "scripts/compare_scorers.py", "--samples", str(path), "--benchmark", "humaneval_plus"]
    command += ["--rounds", "1", "--out", str(tmp_path / "bench")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "bench" / "scorers-humaneval_plus-few.json").read_text())
    assert (result["n_samples"], result["n_tasks"], result["rounds"]) == (8, 2, 1)
    assert result["passed"]["evalplus"] == [{"base": 2, "plus": 1}]
    assert result["passed"]["ours"] == [{"base": 3, "plus": 2}]
    (difference,) = result["differences"]
    assert (difference["task_id"], difference["corrected"]) == ("HumanEval/32", True)
    assert set(result["ratios"]) == set(result["seconds"]) - {"ours"}
    assert all(seconds > 0 for times in result["seconds"].values() for seconds in times)
    assert "HumanEval/32 (corrected): evalplus: fail fail (1); " in done.stdout
    command = [sys.executable, "scripts/score.py", "--samples", str(path), "--benchmark", "humaneval_plus", "--partial"]
    command += ["--compare-evalplus", "--out", str(tmp_path / "scored")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *summary, different, line = done.stdout.splitlines()
    assert "3/8 samples pass" in summary[0]
    assert different == "verdicts differ for 1 samples"
    assert line == "  HumanEval/32 (corrected): ours: pass pass (1); evalplus: fail fail (1)"
