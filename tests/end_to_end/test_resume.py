"""Killed at any moment, a run goes on: nothing is lost, nothing is there twice, and little is done again."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from spa.config import CONF
from spa.records import Generation
from spa.results.store import Results, Run

DRIVER = Path(__file__).parents[1] / "support" / "interrupted.py"
# Phase and number of the event, counted anew in each process. The run comes further from one line to the next.
MOMENTS = [
    *[("load", 1), ("prefill", 1), ("decode", 2), ("append", 1), ("torn", 1), ("appended", 1)],
    *[("load", 1), ("prefill", 2), ("decode", 3), ("rename", 1), ("renamed", 1), ("append", 2), ("torn", 2)],
    *[("appended", 2), ("decode", 8), ("rename", 2)],
    *[("rename", 1), ("rename", 2), ("score", 1), ("score", 2), ("score", 3), ("renamed", 1)],
]
PHASE = {"torn": "append", "appended": "append", "renamed": "rename"}


def driven(model: Path, results: Path, moments: list[tuple[str, int]]) -> list[dict[str, Any]]:
    command = [sys.executable, str(DRIVER), str(model), str(results), json.dumps(moments)]
    done = subprocess.run(command, cwd=CONF.parent, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def texts(run: Run) -> list[Generation]:
    """The samples without what depends on timing."""
    return [
        Generation.from_json(json.dumps(json.loads(sample.to_json()) | {"seconds": 0, "batch_rows": 0}))
        for sample in run.samples()
    ]


def verdicts(run: Run) -> list[tuple[str, str, str, str | None]]:
    return sorted((s.task_id, s.solution_sha, s.base_status, s.reason) for s in run.scores())


@pytest.mark.slow
@pytest.mark.usefixtures("scoring_cache")
def test_killed_at_twenty_moments(tiny_llama: Path, tmp_path: Path) -> None:
    phases = Counter(PHASE.get(phase, phase) for phase, _ in MOMENTS)
    assert len(MOMENTS) >= 20
    assert set(phases) == {"load", "prefill", "decode", "append", "score", "rename"}
    assert min(phases.values()) >= 2

    (whole,) = driven(tiny_llama, tmp_path / "undisturbed" / "results", [])
    *killed, last = driven(tiny_llama, tmp_path / "killed" / "results", MOMENTS)

    assert [tuple(one["moment"]) for one in killed] == MOMENTS
    for one in killed:
        assert one["alive"], f"{one} ended before its moment"
        assert one["signal"] == signal.SIGKILL
    assert (whole["code"], last["code"]) == (0, 0)
    resumed = [one for one in [*killed, last] if one["lines_before"]]
    assert len(resumed) >= 15
    assert max(one["tokens"] for one in resumed) < whole["tokens"], "a resumed run did all of the work again"
    assert any(one["tokens"] for one in resumed)

    (undisturbed,) = Results(tmp_path / "undisturbed" / "results").runs()
    (run,) = Results(tmp_path / "killed" / "results").runs()
    assert texts(run) == texts(undisturbed)
    assert len(texts(run)) == 18
    assert verdicts(run) == verdicts(undisturbed)
    for name in ("key", "status", "n_tasks", "task_ids", "identity", "warnings", "derived_from"):
        assert getattr(run.manifest(), name) == getattr(undisturbed.manifest(), name), name
    left = {"manifest.json", "samples.jsonl", "scores.jsonl", "visible.jsonl", ".lock", ".manifest.lock"}
    assert {path.name for path in run.folder.iterdir()} == left
    assert run.manifest().scoring.scorer_id == undisturbed.manifest().scoring.scorer_id
