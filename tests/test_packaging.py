"""What brings the project to other machines: the images' recipes and GitHub's workflow, read, not run."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DOCKERFILE = (ROOT / "Dockerfile").read_text()
RECIPE = (ROOT / "apptainer.def").read_text()


def copied_by_docker() -> set[str]:
    lines = re.findall(r"^COPY (.+) \S+$", DOCKERFILE, re.MULTILINE)
    return {name for line in lines for name in line.split()}


def section(name: str) -> list[str]:
    """The lines of one section of the Apptainer recipe."""
    text = re.split(rf"^%{name}\n", RECIPE, flags=re.MULTILINE)[1]
    return [line.strip() for line in re.split(r"^%", text, flags=re.MULTILINE)[0].splitlines() if line.strip()]


def test_both_images_hold_the_same_and_it_exists() -> None:
    pairs = dict(line.split() for line in section("files"))
    assert pairs == {name: f"/spa/{name}" for name in copied_by_docker()}
    for name in copied_by_docker():
        assert (ROOT / name).exists(), name


def test_the_images_hold_all_that_is_installed() -> None:
    folders = PROJECT["tool"]["setuptools"]["package-dir"]
    needed = {folders.get(package, package.replace(".", "/")) for package in PROJECT["tool"]["setuptools"]["packages"]}
    needed |= {
        "Makefile",
        "pyproject.toml",
        "constraints.txt",
        "scripts/setup.sh",
        PROJECT["project"]["readme"],
        "LICENSE",
    }
    assert [path for path in needed if not any(f"{path}/".startswith(f"{name}/") for name in copied_by_docker())] == []


def test_docker_ignores_nothing_that_it_copies() -> None:
    rules = (ROOT / ".dockerignore").read_text().split()
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == copied_by_docker()
    assert [rule for rule in rules[1:] if not rule.startswith("!")] == ["**/__pycache__"]


def test_the_images_are_made_by_the_makefiles_own_command() -> None:
    assert "\nRUN make setup\n" in DOCKERFILE
    assert section("post")[-2:] == ["cd /spa", "make setup"]
    assert re.search(r"^setup:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    (tools,) = re.findall(r"apt-get install -y --no-install-recommends (.*?) *\\?$", DOCKERFILE, re.MULTILINE)
    assert f"apt-get install -y --no-install-recommends {tools}" in section("post")
    assert {"make", "bubblewrap"} <= set(tools.split())


def test_the_images_find_the_command_and_a_python_that_will_do() -> None:
    (docker,) = re.findall(r"^FROM (\S+)$", DOCKERFILE, re.MULTILINE)
    (apptainer,) = re.findall(r"^From: (\S+)$", RECIPE, re.MULTILINE)
    assert docker == apptainer
    assert docker.startswith(f"python:{PROJECT['project']['requires-python'].removeprefix('>=')}-")
    assert "\nENV PATH=/spa/.venv/bin:$PATH\n" in DOCKERFILE
    assert section("environment") == ["export PATH=/spa/.venv/bin:$PATH"]
    assert section("runscript") == ['exec spa "$@"']
    assert "spa" in PROJECT["project"]["scripts"]


def workflow() -> dict[Any, Any]:
    parsed: dict[Any, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    return parsed


def test_the_workflow_runs_what_ci_runs() -> None:
    (job,) = workflow()["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands[-1] == ".ci/run"
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100
    assert set(workflow()[True]) == {"push", "pull_request"}, "YAML reads `on` as true"
    for tool in ("npm", "bubblewrap", "git", "make"):
        assert tool in commands[0].split(), "what .ci/run and its tests look for, but do not install"


@pytest.mark.parametrize("name", ["HumanEvalPlus-v0.1.10", "MbppPlus-v0.2.0", "MbppPlus-v0.1.0"])
def test_the_workflow_fetches_the_data_that_tests_read(name: str) -> None:
    (job,) = workflow()["jobs"].values()
    script = "\n".join(step.get("run", "") for step in job["steps"])
    file, version = f"{name}.jsonl.gz", name.split("-")[1]
    assert re.search(rf"fetch {re.escape(file)} \S+/releases/download/{re.escape(version)}/\w+\.jsonl\.gz", script)
    assert file in (ROOT / "tests" / "conftest.py").read_text()
    assert job["env"]["SPA_DATASETS"]


def test_the_notebook_is_committed_without_outputs() -> None:
    notebook = json.loads((ROOT / "docs" / "tour.ipynb").read_text())
    assert (notebook["nbformat"], notebook["metadata"]["language_info"]["name"]) == (4, "python")
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell for cell in cells if cell["outputs"] or cell["execution_count"] is not None] == []
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    assert not any(line.startswith(("!", "%")) for cell in cells for line in cell["source"]), "plain Python alone"
