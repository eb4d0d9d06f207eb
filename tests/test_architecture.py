"""Data flows one way: what each module imports, and what it does not."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import spa

PACKAGE = Path(spa.__file__).parent
SCRIPTS = sorted((PACKAGE.parent / "scripts").glob("*.py"))
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__init__.py"
}

# A module imports only from modules before it.
ORDER = """
errors records files omega shards config benchmarks anchors prompts pricing memory kernels models standin
decoding.stopping decoding.cache decoding.formula decoding.forward decoding.lanes decoding.engine
extraction provenance locking attention_store store cell covering manifest repetition generation api
clock syscalls apptainer sandbox workers channel wire look_worker scoring_worker expected judging scoring fetching
visible_worker visible verdicts stock doctor pipeline application replay attention dilution
bench_worker bench
statistics samples_file mutants scorers aggregate curves readings tables evidence claims published paper figures
forest attention_figures explorer cards page report status monitor exchange scale documents
""".split()  # noqa: SIM905 - in the order in which one reads them
TORCH = {"torch", "transformers", "huggingface_hub", "safetensors", "tokenizers", "accelerate", "bitsandbytes"}
MAY_IMPORT_TORCH = (
    "kernels",
    "memory",
    "models",
    "standin",
    "fetching",
    "decoding.cache",
    "decoding.formula",
    "decoding.forward",
    "decoding.lanes",
    "decoding.engine",
    "replay",
    "attention",
    "bench",
    "bench_worker",
)
NEED_TORCH = (*MAY_IMPORT_TORCH, "cell", "covering", "manifest", "generation", "pipeline", "api", "dilution")


def imports(node: ast.AST) -> Iterator[str]:
    """The full names of what a piece of code imports."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            yield from (alias.name for alias in inner.names)
        elif isinstance(inner, ast.ImportFrom):
            assert inner.level == 0, "imports are absolute"
            yield from (f"{inner.module}.{alias.name}" for alias in inner.names)


def at_module_level(tree: ast.Module) -> Iterator[str]:
    for statement in tree.body:
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from imports(statement)


def parse(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text())


def within_spa(name: str) -> set[str]:
    """The modules of spa that a module imports, anywhere in it."""
    names = [full.removeprefix("spa.") for full in imports(parse(name)) if full.startswith("spa.")]
    return {module for module in MODULES for full in names if full == module or full.startswith(module + ".")}


def test_every_module_has_its_place() -> None:
    assert sorted(ORDER) == sorted(MODULES)


@pytest.mark.parametrize("name", ORDER)
def test_imports_go_one_way(name: str) -> None:
    assert within_spa(name) <= set(ORDER[: ORDER.index(name)])


def test_the_walk_sees_imports() -> None:
    assert within_spa("extraction") == {"decoding.stopping", "records"}
    assert {"models", "omega", "decoding.engine", "cell"} <= within_spa("generation")
    assert within_spa("errors") == set()


@pytest.mark.parametrize("name", ORDER)
def test_only_models_and_decoding_touch_torch(name: str) -> None:
    touched = {full.split(".")[0] for full in imports(parse(name))} & TORCH
    assert not touched or name in MAY_IMPORT_TORCH


def loaded_by(statement: str) -> set[str]:
    """The top-level packages in memory after a statement in a fresh interpreter."""
    check = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout.split())


def test_the_rest_runs_without_torch() -> None:
    """Scoring and reports need a laptop, not a GPU."""
    free = [f"spa.{name}" for name in ORDER if name not in NEED_TORCH]
    loaded = loaded_by(f"import {', '.join(free)}")
    assert {"spa", "pandas"} <= loaded
    assert not loaded & TORCH


def test_the_package_itself_is_light() -> None:
    assert not loaded_by("import spa") & {*TORCH, "hydra", "pandas"}
    assert "torch" in loaded_by("import spa; spa.generate")


def test_composing_a_cell_imports_nothing_slow() -> None:
    loaded = loaded_by("import spa.config, spa.application")
    assert "hydra" in loaded
    assert not loaded & {*TORCH, "evalplus", "datasets", "pandas", "matplotlib"}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_short_and_import_torch_late(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= 40
    tree = ast.parse(source)
    assert ast.get_docstring(tree)
    assert not {full.split(".")[0] for full in at_module_level(tree)} & TORCH


@pytest.mark.parametrize("name", [name for name in ORDER if name not in ("errors", "application")])
def test_library_code_does_not_print(name: str) -> None:
    calls = [
        node.func.id for node in ast.walk(parse(name)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert "print" not in calls


@pytest.mark.parametrize("name", ORDER)
def test_every_module_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(parse(name))
