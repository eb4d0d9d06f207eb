"""The package as it is installed from a wheel, far from a checkout."""

import os
import site
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from spa.config import CONF, PACKAGE

ROOT = PACKAGE.parent

Command = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what is packed: setuptools writes beside its sources."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    packed = ["spa", "conf", "hydra_plugins", "results/published", "pyproject.toml", "README.md", "LICENSE"]
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *packed]
    names = subprocess.check_output(listing, cwd=ROOT, text=True).split("\0")
    for name in (name for name in names if name and (ROOT / name).exists()):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", out, source], check=True)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def spa(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The installed command, in a fresh environment that borrows our dependencies and nothing of the checkout."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", wheel], check=True)
    packages = environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    # The path alone: `site` runs no .pth file of a folder that a .pth file names, so our editable install stays out.
    (packages / "borrowed.pth").write_text("\n".join(site.getsitepackages()))
    settings = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(*arguments: str | Path, cwd: Path) -> str:
        done = subprocess.run(
            [environment / "bin" / "spa", *arguments],
            cwd=cwd,
            env=settings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_wheel_holds_code_and_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {f"spa/{path.relative_to(PACKAGE)}" for path in PACKAGE.rglob("*.py")}
    pages = {f"spa/{path.relative_to(PACKAGE)}" for path in (PACKAGE / "report" / "html").iterdir()}
    conf = {f"spa/data/conf/{path.relative_to(CONF)}" for path in CONF.rglob("*.yaml")}
    published = "spa/data/results/published/pass_at_1.csv"
    assert {*code, *pages, *conf, published, "hydra_plugins/spa_launchers.py"} <= names
    assert len(conf) > 40


@pytest.mark.slow
def test_a_stand_in_cell_runs_from_an_empty_folder(spa: Command, tmp_path: Path) -> None:
    # A sandbox shows an environment its own packages, and these are borrowed.
    printed = spa("run", "experiment=quickstart", "standin=tiny", "limit=2", "sandbox=none", cwd=tmp_path)
    results = tmp_path / "results" / "standin" / "quickstart"
    (run,) = (results / "runs").iterdir()
    assert {"manifest.json", "samples.jsonl", "scores.jsonl"} <= {path.name for path in run.iterdir()}
    assert "Pass@1" in printed
    assert str(ROOT) not in (run / "manifest.json").read_text()
    assert "Pass@1" in spa("report", results, "--out", tmp_path / "report", cwd=tmp_path)
    assert (tmp_path / "report" / "claims.md").read_text().count("\n## ") > 5
    assert "2/2" in spa("status", results, cwd=tmp_path)


def test_commands_and_prices_need_no_checkout(spa: Command, tmp_path: Path) -> None:
    assert "compare-scorers" in spa("--help", cwd=tmp_path)
    assert spa("--version", cwd=tmp_path).startswith("spa ")
    explained = spa("run", "--help", cwd=tmp_path)
    assert "\n    spa run experiment=quickstart\n" in explained
    assert "In a checkout `python scripts/run.py` is the same." in explained
    assert "CodeLlama 7B" in spa(
        "plan", "experiment=paper_main", "model=codellama_7b", "benchmark=humaneval", cwd=tmp_path
    )
