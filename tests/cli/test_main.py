"""`spa`, the one command, and its twins in scripts/."""

import ast
import subprocess
import sys

import pytest

from spa.cli import main
from spa.config import PACKAGE

HEAVY = {"torch", "transformers", "pandas", "hydra", "omegaconf", "evalplus"}
NO_DATA = """
import importlib, sys
from pathlib import Path
root = Path(sys.argv[1])
data = [str(root / "conf"), str(root / "results"), str(root / "spa" / "report" / "html")]

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(tuple(data)):
        sys.exit(f"{arguments[0]} is read at import")

sys.addaudithook(watch)
for path in sorted((root / "spa").rglob("*.py")):
    if "inside" not in path.parts and path.name != "__init__.py":
        importlib.import_module(".".join(path.relative_to(root).with_suffix("").parts))
"""


def modules() -> dict[str, str]:
    return {name: name.replace("-", "_") for name in main.COMMANDS}


def test_every_command_has_a_module_and_a_script() -> None:
    scripts = {path.stem for path in (PACKAGE.parent / "scripts").glob("*.py")}
    assert scripts == set(modules().values())
    for module in modules().values():
        tree = ast.parse((PACKAGE / "cli" / f"{module}.py").read_text())
        assert ast.get_docstring(tree)
        assert any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
        script = (PACKAGE.parent / "scripts" / f"{module}.py").read_text()
        assert f"from spa.cli.{module} import main" in script


def test_a_command_gets_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(sys, "argv", ["/bin/spa", "pack", "a", "--b"])
    monkeypatch.setattr("spa.cli.pack.main", lambda: seen.append(list(sys.argv)))
    main.main()
    assert seen == [["spa pack", "a", "--b"]]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["spa", *arguments])
    main.main()
    printed = capsys.readouterr().out
    assert printed.startswith("usage: spa COMMAND")
    assert all(f"\n  {name} " in printed for name in main.COMMANDS)
    assert max(map(len, printed.splitlines())) < 110


def test_an_unknown_command_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["spa", "rnu"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: there is no command rnu; choose one of: run, ")


def test_help_loads_nothing_slow() -> None:
    code = "import sys; sys.argv = ['spa']; from spa.cli.main import main; main(); print(*sys.modules)"
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert not HEAVY & set(printed.split("\n")[-2].split())


def test_no_module_reads_data_when_it_is_imported() -> None:
    subprocess.run([sys.executable, "-c", NO_DATA, PACKAGE.parent], check=True)
