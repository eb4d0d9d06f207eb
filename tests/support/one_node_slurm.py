"""A real Slurm on this machine alone, as root, without accounting: the daemons of Debian's slurm and munge packages."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol")

CONFIGURATION = """\
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={d_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=100000
MinJobAge=2
KillWait=2
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=64000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """What of Slurm is not installed."""
    return [program for program in PROGRAMS if shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin") is None]


@contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """The environment in which Slurm's commands reach it."""
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o700)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    host = socket.gethostname().split(".")[0]
    ctld_port, d_port = _free_ports(2)
    configuration = folder / "slurm.conf"
    cpus = os.cpu_count()
    configuration.write_text(CONFIGURATION.format(**locals()))
    environment = {**os.environ, "SLURM_CONF": str(configuration), "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    munge = [f"--{name}-file={folder}/munge/{name}" for name in ("key", "pid", "log", "seed")]
    commands = [
        ["munged", "--foreground", "--force", f"--socket={folder}/munge/socket", *munge],
        ["slurmctld", "-D", "-c", "-f", str(configuration)],
        ["slurmd", "-D", "-N", host, "-f", str(configuration)],
    ]
    daemons = []
    try:
        for command in commands:
            log = (folder / f"{command[0]}.log").open("wb")
            daemons.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True))
            log.close()
            if command[0] == "munged":
                until((folder / "munge" / "socket").exists, 10)
        until(lambda: "idle" in ask(environment, "sinfo", "--noheader", "--format=%T"), 30)
        yield environment
    finally:
        with suppress(subprocess.TimeoutExpired, AssertionError):
            ask(environment, "scancel", "--user=root")
            until(lambda: not busy(environment), 10)
        for daemon in reversed(daemons):
            daemon.kill()
            daemon.wait()


def ask(environment: dict[str, str], *command: str) -> str:
    """What one of Slurm's commands prints."""
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False).stdout


def jobs(environment: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Name and state of every job in the queue, by id; of those that ended lately too."""
    lines = ask(environment, "squeue", "--states=all", "--array", "--noheader", "--format=%i|%j|%T").split()
    return {job_id: (name, state) for job_id, name, state in (line.split("|") for line in lines)}


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def busy(environment: dict[str, str]) -> bool:
    """Whether any job is still to run or to end."""
    return bool({"PENDING", "RUNNING", "COMPLETING"} & {state for _, state in jobs(environment).values()})


def until(condition: Callable[[], Any], seconds: float) -> None:
    """Wait for it; AssertionError after that time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} seconds"
        time.sleep(0.1)
