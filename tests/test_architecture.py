"""Rooms are few and small, import one way, and only some may load torch. pyproject.toml holds the order."""

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import spa

PACKAGE = Path(spa.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__init__.py"
}
TORCH = {"torch", "transformers", "huggingface_hub", "safetensors", "tokenizers", "accelerate", "bitsandbytes"}


def imports(source: str) -> Iterator[tuple[str, str]]:
    """The (module, name) pairs of each `from module import name`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.module, "imports are absolute"
            yield from ((node.module, alias.name) for alias in node.names)


def room(module: str) -> str:
    """The package below `spa` that holds the module; nothing for the vocabulary."""
    return module.split(".")[1] if module.count(".") > 1 else ""


def arrows() -> set[tuple[str, str]]:
    """Which module imports which."""
    found = set()
    for module, path in MODULES.items():
        for source, name in imports(path.read_text()):
            target = f"{source}.{name}" if f"{source}.{name}" in MODULES else source
            if target in MODULES:
                found.add((module, target))
    return found


def test_rooms_import_those_below_them() -> None:
    """In a process of its own: it switches off the loggers that other tests read."""
    check = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", check], cwd=PACKAGE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_few_arrows_lead_from_room_to_room() -> None:
    between = Counter(
        (room(source), room(target)) for source, target in arrows() if "" not in (room(source), room(target))
    )
    counted = {pair: count for pair, count in between.items() if pair[0] != pair[1] and "cli" not in pair}
    for (source, target), count in sorted(counted.items()):
        print(f"{source} -> {target}: {count}")  # noqa: T201
    print(f"{sum(counted.values())} arrows over {len(counted)} pairs")  # noqa: T201
    assert 0 < sum(counted.values()) <= 130
    assert len(counted) <= 28


def test_rooms_are_small() -> None:
    files = Counter(path.parent for path in MODULES.values())
    assert files.pop(PACKAGE) <= 8
    assert max(count for folder, count in files.items() if folder.name != "cli") <= 12
    assert files[PACKAGE / "cli"] <= 20
    assert max(len(path.read_text().splitlines()) for path in MODULES.values()) <= 320


def test_no_room_reaches_for_the_private_names_of_another() -> None:
    private = [
        (module, source, name)
        for module, path in MODULES.items()
        for source, name in imports(path.read_text())
        if source.startswith("spa") and name.startswith("_")
    ]
    assert private == []


def loaded_by(statement: str) -> set[str]:
    """The top-level packages in memory after a statement in a fresh interpreter."""
    check = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout.split())


def test_scoring_and_reports_need_no_torch() -> None:
    free = [name for name in MODULES if room(name) in ("tasks", "results", "scoring", "analysis", "report", "")]
    loaded = loaded_by(f"import spa.cli.status, {', '.join(name for name in free if name != 'spa.api')}")
    assert {"spa", "pandas"} <= loaded
    assert not loaded & TORCH


def test_the_package_itself_is_light() -> None:
    assert not loaded_by("import spa") & {*TORCH, "hydra", "pandas"}
    assert "torch" in loaded_by("import spa; spa.generate")
    assert not loaded_by("import spa; spa.load_results") & TORCH


def test_composing_a_cell_imports_nothing_slow() -> None:
    loaded = loaded_by("import spa.config, spa.cli.hydra_app")
    assert "hydra" in loaded
    assert not loaded & {*TORCH, "evalplus", "datasets", "pandas", "matplotlib"}
