"""What is asked of Slurm for each model, how its jobs are watched, and one process for each GPU."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus

from hydra_plugins import spa_launchers
from hydra_plugins.spa_launchers import QueueWatcher
from spa.config import CONF
from spa.errors import CellsFailedError, SpaError

SBATCH = (
    '#!/bin/sh\ncp "$1" "$SCRIPTS/$(ls "$SCRIPTS" | wc -l).sh"\necho "Submitted batch job $(ls "$SCRIPTS" | wc -l)"\n'
)


@pytest.fixture
def submitted(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Runs a sweep where `sbatch` keeps the scripts, and returns them by job name."""
    tools, scripts = tmp_path / "tools", tmp_path / "scripts"
    for folder in (tools, scripts):
        folder.mkdir()
    for name in ("sbatch", "srun"):
        (tools / name).write_text(SBATCH)
        (tools / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "SCRIPTS": str(scripts),
        "PYTHONPATH": str(CONF.parent),
    }

    def submit(*arguments: str) -> dict[str, str]:
        command = [sys.executable, "scripts/run.py", "--multirun", "hydra/launcher=slurm", "hydra.launcher.wait=false"]
        subprocess.run(
            [*command, f"results_dir={tmp_path}/results", *arguments],
            cwd=CONF.parent,
            env=environment,
            check=True,
            capture_output=True,
            timeout=60,
        )
        texts = [path.read_text() for path in sorted(scripts.iterdir())]
        return {asked(text)["job-name"]: text for text in texts}

    return submit


def asked(script: str) -> dict[str, str]:
    """The flags of an sbatch script."""
    return dict(re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", script, re.MULTILINE))


def test_one_array_for_each_model_with_what_it_needs(submitted: Callable[..., dict[str, str]]) -> None:
    scripts = submitted("experiment=paper_main", "hydra.launcher.partition=gpu", "hydra.launcher.constraint=h100")
    assert list(scripts) == [
        "codegen_350m_mono",
        "codellama_7b",
        "deepseek_coder_1_3b",
        "deepseek_coder_6_7b",
        "deepseek_coder_33b",
    ]
    small, large = asked(scripts["codegen_350m_mono"]), asked(scripts["deepseek_coder_33b"])
    for flags in (small, large):
        assert (flags["array"], flags["partition"], flags["constraint"]) == ("0-1%2", "gpu", "h100")
        assert (flags["gpus-per-node"], flags["time"], flags["signal"]) == ("1", "720", "USR2@120")
        assert "requeue" in flags
    assert (small["mem"], large["mem"]) == ("25GB", "87GB")
    assert "export HF_HUB_OFFLINE=1" in scripts["codegen_350m_mono"]


def test_gpus_of_350m_and_of_33b(submitted: Callable[..., dict[str, str]]) -> None:
    """In 16 bits, on GPUs of 40 GiB."""
    models = "model=codegen_350m_mono,deepseek_coder_33b"
    scripts = submitted(models, "device.memory_gib=40", "quantization=none", "dtype=bfloat16")
    gpus = {name: asked(script)["gpus-per-node"] for name, script in scripts.items()}
    assert gpus == {"codegen_350m_mono": "1", "deepseek_coder_33b": "2"}


def test_what_is_asked_for_goes_before_what_is_needed(submitted: Callable[..., dict[str, str]]) -> None:
    (script,) = submitted("hydra.launcher.gpus_per_node=4", "hydra.launcher.mem_gb=7").values()
    assert (asked(script)["gpus-per-node"], asked(script)["mem"]) == ("4", "7GB")
    assert "array" not in asked(script)


def test_states_of_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(spa_launchers.time, "monotonic", lambda: now)
    watcher = QueueWatcher(grace_s=20)
    for job_id in ("7_0", "7_1", "7_2"):
        watcher.register_job(job_id)

    def done(listed: bytes) -> set[str]:
        watcher._info_dict.update(watcher.read_info(listed))
        return {job_id for job_id in watcher._registered if watcher.is_done(job_id, mode="cache")}

    assert done(b"7_0|RUNNING\n7_1|FAILED\n8|RUNNING\n") == set()
    now += 19
    assert done(b"7_0|RUNNING\n7_1|FAILED\n") == set()
    now += 1
    assert done(b"7_0|RUNNING\n7_1|FAILED\n") == {"7_1", "7_2"}
    assert done(b"7_0|PENDING\n7_1|PENDING\n") == {"7_2"}, "queued again, its time begins anew"
    assert done(b"7_0|PENDING\n") == {"7_2"}
    now += 20
    assert done(b"") == {"7_1", "7_2"}
    assert watcher.get_state("7_1", mode="cache") == "GONE"


def test_every_failure_is_reported() -> None:
    def returned(error: Exception | None) -> JobReturn:
        done = JobReturn(status=JobStatus.FAILED if error else JobStatus.COMPLETED)
        done.return_value = error
        return done

    fine, first, second = returned(None), returned(SpaError("no anchor")), returned(SpaError("no memory"))
    assert spa_launchers._unless_failed([fine, first]) == [fine, first], "Hydra raises a single one itself"
    with pytest.raises(CellsFailedError, match="2 of 3 cells failed: no anchor; no memory") as failed:
        spa_launchers._unless_failed([first, fine, second])
    assert failed.value.errors == ["no anchor", "no memory"]
    with pytest.raises(CellsFailedError, match=r"2 of 2 cells failed: no anchor$"):
        spa_launchers._unless_failed([first, first])


APPLICATION = """
import os, sys
import hydra
sys.path.insert(0, {root!r})
from spa.config import CONF
from spa.schema import register

register()

@hydra.main(version_base=None, config_path=str(CONF), config_name="config")
def task(config):
    if config.limit == 3:
        raise ValueError("a bad cell")
    with open(f"{folder}/{{config.limit}}", "w") as file:
        file.write(f"{{os.environ.get('CUDA_VISIBLE_DEVICES') or 'none'}} {{os.getpid()}}")

if __name__ == "__main__":
    task()
"""


def sweep(tmp_path: Path, *arguments: str) -> tuple[int, str, dict[str, tuple[str, ...]]]:
    """Exit code and errors of a sweep over six limits, and by limit the GPU and the process that did it."""
    seen = tmp_path / "seen"
    seen.mkdir()
    program = tmp_path / "application.py"
    program.write_text(APPLICATION.format(root=str(CONF.parent), folder=seen))
    command = [sys.executable, str(program), "-m", "limit=1,2,3,4,5,6", *arguments, f"results_dir={tmp_path}/results"]
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    environment["PYTHONPATH"] = str(CONF.parent)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr, {path.name: tuple(path.read_text().split()) for path in seen.iterdir()}


def test_one_process_for_each_gpu(tmp_path: Path) -> None:
    """Each sees one GPU and does several cells; a bad cell stops no other."""
    code, errors, placed = sweep(tmp_path, "hydra/launcher=gpus", "hydra.launcher.gpus=[4,7]")
    assert code == 1
    assert "a bad cell" in errors
    assert sorted(placed) == ["1", "2", "4", "5", "6"]
    assert {gpu for gpu, _ in placed.values()} <= {"4", "7"}
    assert len(set(placed.values())) == len({gpu for gpu, _ in placed.values()}), "a process keeps its GPU"


@pytest.mark.slow
def test_slurms_jobs_without_slurm(tmp_path: Path) -> None:
    code, errors, placed = sweep(tmp_path, "hydra/launcher=slurm_local")
    assert code == 1
    assert "a bad cell" in errors
    assert sorted(placed) == ["1", "2", "4", "5", "6"]
    assert len({process for _, process in placed.values()}) == 5


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert spa_launchers._local_gpus() == ["2", "5"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SpaError, match=r"no GPU found by nvidia-smi .* name them: hydra.launcher.gpus=\[0,1\]"):
        spa_launchers._local_gpus()
