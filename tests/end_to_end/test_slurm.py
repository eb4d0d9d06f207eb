"""Sweeps through a real Slurm of one node: submitted, killed, queued again, lost; and the same as without it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import one_node_slurm
import pytest
from one_node_slurm import ask, busy, jobs, until

from spa.config import CONF
from spa.results.store import Results

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(240)]

RUN = [sys.executable, "scripts/run.py", "--multirun"]
SLOW = ["benchmark=humaneval", "omega=0.2", "limit=30", "max_new_tokens=300", "batch_size=1", "score=false"]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory, datasets: Path) -> Iterator[dict[str, str]]:
    """The environment of a running Slurm, and of commands that use it."""
    if lacking := one_node_slurm.missing():
        pytest.skip(f"no {', '.join(lacking)}; install slurmctld, slurmd, slurm-client and munge")
    folder = tmp_path_factory.mktemp("slurm")
    with one_node_slurm.running(folder) as environment:
        yield {
            **environment,
            "XDG_CACHE_HOME": str(folder / "cache"),
            "PYTHONPATH": str(CONF.parent),
            "OMP_NUM_THREADS": "1",
            "HUMANEVAL_OVERRIDE_PATH": str(datasets / "HumanEvalPlus-v0.1.10.jsonl.gz"),
            "MBPP_OVERRIDE_PATH": str(datasets / "MbppPlus-v0.2.0.jsonl.gz"),
        }


@contextmanager
def started(environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A sweep of stand-ins through Slurm."""
    pipe = subprocess.PIPE
    command = [*RUN, "standin=tiny", "hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", *arguments]
    with subprocess.Popen(command, cwd=CONF.parent, env=environment, stdout=pipe, stderr=pipe, text=True) as sweep:
        try:
            yield sweep
        finally:
            sweep.kill()


def texts(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """All that is not about time, by run."""
    timing = {"seconds", "batch_rows"}
    return {
        run.key: [
            {name: value for name, value in json.loads(line).items() if name not in timing}
            for line in run.samples_path.read_text().splitlines()
        ]
        for run in Results(folder).runs()
    }


def n_samples(folder: Path, model: str) -> int:
    """How many texts a model's run has so far."""
    return sum(len(run.samples()) for run in Results(folder).runs() if run.manifest().model.startswith(model))


def test_jobs_that_are_killed_preempted_and_lost(slurm: dict[str, str], tmp_path: Path) -> None:
    """One is killed in the middle and queued again by hand, one is preempted and queues itself again, and one is
    cancelled, which its sweep has to notice."""
    through_slurm, local = tmp_path / "slurm", tmp_path / "local"
    killed, preempted, lost = models = ("codegen_350m_mono", "deepseek_coder_1_3b", "codellama_7b")
    cells = [f"model={','.join(models)}", *SLOW]
    with started(slurm, *cells, f"results_dir={through_slurm}", "hydra.launcher.grace_s=5") as sweep:
        until(lambda: min(n_samples(through_slurm, "CodeGen"), n_samples(through_slurm, "DeepSeek")) >= 2, 60)
        ids = {name: job_id for job_id, (name, _) in jobs(slurm).items()}
        ask(slurm, "scancel", ids[lost])
        cancelled = time.monotonic()
        ask(slurm, "scancel", "--signal=KILL", "--full", ids[killed])
        until(lambda: jobs(slurm)[ids[killed]][1] != "RUNNING", 20)
        ask(slurm, "scontrol", "requeue", ids[killed])
        ask(slurm, "scancel", "--signal=USR2", ids[preempted])
        for name in (killed, preempted):
            until(lambda name=name: jobs(slurm)[ids[name]][1] == "PENDING", 20)
            ask(slurm, "scontrol", "update", f"JobId={ids[name]}", "StartTime=now")
        assert 2 <= n_samples(through_slurm, "CodeGen") < 30
        assert 2 <= n_samples(through_slurm, "DeepSeek") < 30
        without = [*RUN, "standin=tiny", f"model={killed},{preempted}", *SLOW, f"results_dir={local}"]
        subprocess.run(without, cwd=CONF.parent, env=slurm, capture_output=True, timeout=120, check=True)
        _, errors = sweep.communicate(timeout=120)
    assert sweep.returncode == 2
    (error,) = (line for line in errors.split("\n") if line.startswith("error: "))
    assert f"job {ids[lost]} (" in error
    assert f"model={lost}," in error
    assert "ended without a result" in error
    assert time.monotonic() - cancelled < 150  # a minute, and what a busy machine adds
    expected = texts(local)
    assert len(expected) == 2
    assert texts(through_slurm) == expected


def test_a_part_of_the_papers_main_table(slurm: dict[str, str], tmp_path: Path) -> None:
    """Submitted at once, one array for each model; then tables and figures of all rows."""
    results = tmp_path / "results"
    models = "model=codegen_350m_mono,codellama_7b"
    arguments = ["experiment=paper_main", models, "limit=1", "max_new_tokens=8", f"results_dir={results}"]
    with started(slurm, *arguments, "hydra.launcher.wait=false") as sweep:
        _, errors = sweep.communicate(timeout=60)
    assert sweep.returncode == 0, errors
    assert errors.count("submitted job") == 2
    assert busy(slurm), "it did not wait for them"
    until(lambda: not busy(slurm), 180)
    report = [sys.executable, "scripts/report.py", str(results)]
    subprocess.run(report, cwd=CONF.parent, env=slurm, check=True, capture_output=True, timeout=60)
    header, *rows = (results / "summary.csv").read_text().splitlines()
    columns = [header.split(",").index(name) for name in ("model", "benchmark")]
    assert len({tuple(row.split(",")[column] for column in columns) for row in rows}) == 8
    assert (results / "report.html").stat().st_size > 0
    assert list((results / "figures").glob("*.png"))
