"""Hydra launchers that know what a model needs: Slurm arrays, one for each model; one process for each local GPU.

Hydra takes plugins from the namespace package `hydra_plugins` alone, which is why this stands outside of `spa`.
"""

import json
import logging
import multiprocessing
import os
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher
from omegaconf import DictConfig, OmegaConf, open_dict
from submitit import AutoExecutor, Job
from submitit.core.utils import FailedJobError, UncompletedJobError
from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob

from spa.config import resolve
from spa.errors import CellsFailedError, SpaError
from spa.runs.from_manifest import recompose

log = logging.getLogger("spa.launchers")

Overrides = Sequence[str]
OURS = ("_target_", "wait", "grace_s")  # of the launcher's settings, those that are not submitit's


class SlurmLauncher(BaseSubmititLauncher):  # type: ignore[misc]
    """Submits one array for each set of resources, resolved job by job. Its name is the model's: one for each model.

    `gpus_per_node` and `mem_gb` that are null become what the model needs. wait=false returns when all is submitted.
    """

    _EXECUTOR = "slurm"

    def launch(self, job_overrides: Sequence[Overrides], initial_job_idx: int) -> Sequence[JobReturn]:
        assert self.config is not None
        SlurmJob.watcher = QueueWatcher(self.params["grace_s"])
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        arrays: dict[str, list[int]] = {}
        for number, overrides in enumerate(job_overrides):
            arrays.setdefault(json.dumps(self.resources(overrides), sort_keys=True), []).append(number)
        submitted: dict[int, Job[JobReturn]] = {}
        for resources, numbers in arrays.items():
            array = self.executor(json.loads(resources)).map_array(
                self,
                [list(job_overrides[number]) for number in numbers],
                ["hydra.sweep.dir"] * len(numbers),
                [initial_job_idx + number for number in numbers],
                [str(number) for number in numbers],
                [Singleton.get_state()] * len(numbers),
            )
            log.info("submitted job %s: %s, %d cells", *_name(array[0].job_id, resources), len(array))
            submitted.update(zip(numbers, array, strict=True))
        if not self.params["wait"]:
            return []
        return _unless_failed([_returned(submitted[number], each) for number, each in enumerate(job_overrides)])

    def resources(self, overrides: Overrides) -> dict[str, Any]:
        """What one job asks Slurm for."""
        composed = _compose(self, overrides)
        asked: dict[str, Any] = OmegaConf.to_container(composed.hydra.launcher, resolve=True)  # type: ignore[assignment]
        with open_dict(composed):
            del composed["hydra"]
        from spa.runs import pricing

        config = resolve(recompose(composed, overrides))
        needs = {"gpus_per_node": pricing.gpus(config) or None, "mem_gb": pricing.host_gib(config)}
        asked |= {name: need for name, need in needs.items() if asked[name] is None}
        return {name: value for name, value in asked.items() if name not in OURS and value is not None}

    def executor(self, resources: dict[str, Any]) -> AutoExecutor:
        folder, timeouts = resources.pop("submitit_folder"), resources.pop("max_num_timeout")
        executor = AutoExecutor(folder, cluster="slurm", slurm_max_num_timeout=timeouts)
        general = set(OmegaConf.structured(BaseQueueConf))
        executor.update_parameters(
            **{name if name in general else f"slurm_{name}": value for name, value in resources.items()}
        )
        return executor


class QueueWatcher(SlurmInfoWatcher):
    """Learns of jobs from squeue. Without accounting there is no sacct, and submitit alone would wait for ever.

    A job that has ended, or that squeue no longer lists, counts as ended only after a time of grace: it may be put back
    into the queue by hand, and its result may still be on its way through a shared file system.
    """

    def __init__(self, grace_s: float) -> None:
        super().__init__(delay_s=10)
        self.grace_s = grace_s
        self.ended: dict[str, float] = {}  # when a job was first seen to have ended

    def _make_command(self) -> list[str] | None:
        if not self._registered - self._finished:
            return None
        return ["squeue", "--me", "--noheader", "--states=all", "--array", "--format=%i|%T"]

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        text = string.decode() if isinstance(string, bytes) else string
        listed = dict(line.split("|") for line in text.split())
        return {job_id: {"JobID": job_id, "State": self._settled(job_id, listed)} for job_id in self._registered}

    def _settled(self, job_id: str, listed: dict[str, str]) -> str:
        state = listed.get(job_id, "GONE")
        if state in ("PENDING", "CONFIGURING", "RUNNING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "PREEMPTED"):
            self.ended.pop(job_id, None)
            return "RUNNING"
        since = self.ended.setdefault(job_id, time.monotonic())
        return state if time.monotonic() - since >= self.grace_s else "COMPLETING"


class GpuLauncher(BaseSubmititLauncher):  # type: ignore[misc]
    """One process for each local GPU, in which it sees no other; each takes the next cell when it is done with one."""

    def launch(self, job_overrides: Sequence[Overrides], initial_job_idx: int) -> Sequence[JobReturn]:
        context = multiprocessing.get_context("spawn")
        gpus = [str(gpu) for gpu in self.params["gpus"] or _local_gpus()]
        waiting = context.SimpleQueue()
        for gpu in gpus:
            waiting.put(gpu)
        with ProcessPoolExecutor(len(gpus), context, _take_gpu, (waiting,)) as pool:
            jobs = [
                cloudpickle.dumps((self, list(overrides), number, Singleton.get_state()))
                for number, overrides in enumerate(job_overrides, initial_job_idx)
            ]
            try:
                return _unless_failed([cloudpickle.loads(done) for done in pool.map(_run_here, jobs)])
            except BrokenProcessPool:
                raise SpaError(
                    "a process was killed, perhaps for want of memory; run again to go on, with a smaller batch_size"
                ) from None


def _take_gpu(waiting: Any) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = waiting.get()


def _run_here(pickled: bytes) -> bytes:
    """One job of a GpuLauncher, in one of its processes."""
    launcher, overrides, number, state = cloudpickle.loads(pickled)
    Singleton.set_state(state)
    setup_globals()
    config = _compose(launcher, overrides)
    with open_dict(config.hydra.job):
        config.hydra.job.id, config.hydra.job.num = str(number), number
    done = run_job(launcher.task_function, config, "hydra.sweep.dir", "hydra.sweep.subdir", launcher.hydra_context)
    return cloudpickle.dumps(done)  # type: ignore[no-any-return]


def _local_gpus() -> list[str]:
    if visible := os.environ.get("CUDA_VISIBLE_DEVICES"):
        return visible.split(",")
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    except (OSError, subprocess.SubprocessError) as error:
        raise SpaError(f"no GPU found by nvidia-smi ({error}); name them: hydra.launcher.gpus=[0,1]") from None


def _compose(launcher: BaseSubmititLauncher, overrides: Overrides) -> DictConfig:
    assert launcher.config is not None
    assert launcher.hydra_context is not None
    composed: DictConfig = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, list(overrides))
    return composed


def _name(job_id: str, resources: str) -> tuple[str, str]:
    return job_id.split("_")[0], json.loads(resources)["name"]


def _returned(job: Job[JobReturn], overrides: Overrides) -> JobReturn:
    """Waits. A job without a result is a failed one."""
    try:
        return job.results()[0]
    except (UncompletedJobError, FailedJobError) as error:
        last = str(error).strip().split("\n")[-1]
        failed = JobReturn(overrides=list(overrides), status=JobStatus.FAILED)
        failed.return_value = SpaError(
            f"job {job.job_id} ({', '.join(overrides)}) ended without a result: {last}; see {job.paths.stderr}; "
            "run again to go on"
        )
        return failed


def _unless_failed(returns: Sequence[JobReturn]) -> Sequence[JobReturn]:
    """Hydra would report only the first failure."""
    errors = [done._return_value for done in returns if done.status == JobStatus.FAILED]
    if len(errors) > 1:
        raise CellsFailedError(list(map(str, errors)), len(returns))
    return returns
