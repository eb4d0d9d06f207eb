"""Every command of the documents is run: here, by a test that is named here, or it says beside itself what it needs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spa.config import CONF

ROOT = CONF.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"^ {4,}((?:make|\.venv/bin/\w+|spa|docker|apptainer|eval|python|pip|pre-commit|bash) .*)$")
NEEDS = re.compile(r"#.*\bneeds (?:a GPU|Slurm|Docker|Apptainer|the (?:model )?hub)\b")
KEYS = ("run.py", "attention.py", "/spa run ")  # what a cell's keys may follow
TINY = ["standin=tiny", "limit=1", "max_new_tokens=4"]

ELSEWHERE = {  # command -> what runs it
    "make setup": ".ci/run",
    "make check": ".ci/run",
    "make test": ".ci/run",
    ".venv/bin/python -m pytest tests/test_omega.py": ".ci/run",
    "make doctor": "tests/cli/test_doctor.py",
    "make doctor ARGS=--quick": "tests/cli/test_doctor.py",
    "make bench": "tests/bench/test_decoding.py",
    "make report": "tests/end_to_end/test_reference.py",
    'make reproduce EXPERIMENT=paper_main ARGS="standin=tiny"': "tests/end_to_end/test_run.py",
    'eval "$(.venv/bin/spa -sc install=bash)"': "tests/cli/test_hydra_app.py",
    ".venv/bin/python scripts/status.py results/quickstart --watch": "tests/cli/test_status.py",
    ".venv/bin/python scripts/score.py --samples F.jsonl --benchmark humaneval_plus --out DIR": (
        "tests/scoring/test_external_samples.py"
    ),
    ".venv/bin/python scripts/score.py --samples F.jsonl --compare G.jsonl --benchmark mbpp_plus --out DIR": (
        "tests/scoring/test_external_samples.py"
    ),
    ".venv/bin/python scripts/score.py --samples F.jsonl --benchmark mbpp_plus --out DIR --compare-evalplus": (
        "tests/bench/test_scorers.py"
    ),
    ".venv/bin/python scripts/compare_scorers.py --samples F.jsonl --benchmark mbpp_plus": (
        "tests/bench/test_scorers.py"
    ),
}


def commands() -> dict[str, str]:
    """Every command as it is typed, without its comment -> the whole line. `make reproduce` first: others read it."""
    lines = [line for path in DOCUMENTS for line in path.read_text().splitlines()]
    found = {re.split(r"\s+#", match[1])[0].strip(): match[1] for line in lines if (match := COMMAND.match(line))}
    return dict(sorted(found.items(), key=lambda item: item[0] != "make reproduce"))


def run_here() -> list[str]:
    return [command for command, line in commands().items() if command not in ELSEWHERE and not NEEDS.search(line)]


def test_what_is_run_elsewhere_is_in_the_documents_and_run_there() -> None:
    assert set(ELSEWHERE) <= set(commands())
    assert [test for test in ELSEWHERE.values() if not (ROOT / test).exists()] == []
    ci = (ROOT / ".ci" / "run").read_text()
    assert "\nmake check\n" in ci
    assert "\nmake test " in ci


def test_what_needs_more_than_this_machine_says_so() -> None:
    needing = [command for command, line in commands().items() if NEEDS.search(line)]
    assert len(needing) >= 6
    assert not set(needing) & set(ELSEWHERE)
    assert all(re.search(r"docker|apptainer|paper_main|deepseek|check-gpu", command) for command in needing)


def of_make(command: str) -> str:
    """What make would run, as make itself says."""
    words = f"{command} -n -s -o .venv/.ready"
    # Not with what a `make test ARGS=...` around this hands down.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("ARGS", "MAKEFLAGS", "MAKEOVERRIDES")
    }
    done = subprocess.run(["bash", "-c", words], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def here(command: str) -> str:
    """The command with this interpreter, from any folder; on a stand-in, and few tasks, where it takes keys."""
    typed = of_make(command) if command.startswith("make ") else command
    experiment = re.search(r"experiment=(\w+)", typed)
    if any(name in typed for name in KEYS):
        folder = experiment[1] if experiment else "adhoc"
        added = [word for word in TINY if word.split("=")[0] not in typed]
        typed = " ".join([typed, *added, f"results_dir=results/{folder}"])
    typed = typed.replace(".venv/bin/python ", f"{sys.executable} ").replace("scripts/", f"{ROOT}/scripts/")
    return re.sub(r"^\.venv/bin/spa ", f"{sys.executable} -m spa.cli.main ", typed)


@pytest.mark.slow
def test_every_command_ends_well(datasets: Path, expected_outputs: Path, tmp_path: Path) -> None:
    """One after the other in one folder, as somebody would who reads the documents."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(expected_outputs),
        "HUMANEVAL_OVERRIDE_PATH": str(datasets / "HumanEvalPlus-v0.1.10.jsonl.gz"),
        "MBPP_OVERRIDE_PATH": str(datasets / "MbppPlus-v0.2.0.jsonl.gz"),
    }
    wrong = []
    for command in run_here():
        done = subprocess.run(
            ["bash", "-c", here(command)], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            wrong.append(f"{command}: {done.stderr.strip().splitlines()[-1:]}")
        if command == "make reproduce":
            assert wrong == []
            shutil.copytree(tmp_path / "results" / "quickstart", tmp_path / "results" / "paper_main")
    assert wrong == []
    assert len(run_here()) >= 12
