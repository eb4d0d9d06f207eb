"""Help has a line for every key; what is mistyped is answered in one line, with what was perhaps meant."""

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from spa import config, method
from spa.cli import hydra_app
from spa.cli.hydra_app import WIDTH, cells, explained
from spa.config import CONF
from spa.errors import SpaError
from spa.records import EXTRACTIONS
from spa.schema import RunConfig

WITH_KEYS = ["run", "attention", "plan", "fetch"]


def helped(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["spa run", "--help", *arguments])
    assert explained("Says what it does.")
    return capsys.readouterr().out


def keys(schema: Any = RunConfig, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every key with its line of help, read from the schema itself."""
    for each in fields(schema):
        assert each.metadata["help"], each.name
        if is_dataclass(each.default_factory):
            yield from keys(each.default_factory, f"{prefix}{each.name}.")
        else:
            yield prefix + each.name, each.metadata["help"]


def flat(text: str) -> str:
    return " ".join(text.split())


def test_every_key_has_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shown = helped(monkeypatch, capsys)
    assert shown.startswith("Says what it does.\n\nGroups (")
    known = dict(keys())
    assert len(known) > 80
    for key, text in known.items():
        assert re.search(rf" {re.escape(key)}=[^=]* {re.escape(flat(text))}", flat(shown)), key
        assert len(text) <= 100, f"a line: {text}"
    assert max(map(len, shown.splitlines())) <= WIDTH


def test_help_has_every_group_and_what_it_may_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = helped(monkeypatch, capsys)
    chapter = shown.split("\n\nKeys (")[0]
    for group in sorted(path for path in CONF.iterdir() if path.is_dir()):
        if group.name not in ("hydra", "templates"):  # Hydra's own, and files that `template` names
            names = sorted(path.stem for path in group.glob("*.yaml"))
            assert f"\n  {group.name}=" in chapter
            assert ", ".join(names) in flat(chapter)
    assert "gpus, slurm, slurm_local" in chapter


def test_help_shows_the_values_that_a_command_line_would_have(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = helped(monkeypatch, capsys)
    assert "\n  omega=0 " in shown
    assert "\n  limit=null " in shown
    assert "\n  model=smollm2_135m " in shown
    assert "\n  results_dir=results/adhoc " in shown
    shown = helped(monkeypatch, capsys, "experiment=paper_main", "anchor=signature", "limit=7", "-m", "seed=1,2")
    assert "\n  omega=0..0.5 " in shown
    assert "\n  limit=7 " in shown
    assert "\n  anchor=signature " in shown
    assert "\n  experiment=paper_main " in shown
    assert "\n  results_dir=results/paper_main" in shown
    with pytest.raises(SpaError, match="there is no key limt; did you mean limit"):
        helped(monkeypatch, capsys, "limt=7")


def test_help_names_every_choice_that_is_checked() -> None:
    said = dict(keys())
    checked = {
        "model.kind": config.KINDS,
        "benchmark.family": config.FAMILIES,
        "dtype": config.DTYPES,
        "model.dtype": config.DTYPES,
        "quantization": config.QUANTIZATIONS,
        "model.quantization": config.QUANTIZATIONS,
        "extraction": EXTRACTIONS,
        "sandbox": config.SANDBOXES,
        "backend": config.BACKENDS,
        "method.modulation": method.MODULATIONS,
        "method.schedule": method.SCHEDULES,
    }
    for key, choices in checked.items():
        assert [choice for choice in choices if choice not in said[key]] == [], key


@pytest.mark.parametrize("command", WITH_KEYS)
def test_each_command_explains_itself(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"spa.cli.{command}")
    monkeypatch.setattr(sys, "argv", [f"spa {command}", "--help"])
    module.main()
    shown = capsys.readouterr().out
    assert shown.startswith(module.__doc__.strip())
    assert f"\n    spa {command} experiment=" in shown
    assert "\n  omega=0 " in shown


def test_without_help_nothing_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["spa run", "limit=1"])
    monkeypatch.setattr(hydra_app, "_keys_explained", lambda _: pytest.fail("composed"))
    assert not explained("text")


SHELL = """
eval "$(spa -sc install=bash)"
complete -p spa >/dev/null
COMP_LINE=$1; words=($COMP_LINE); COMP_CWORD=$((${#words[@]} - 1))
hydra_bash_completion
echo "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("spa sta", "status"),
        ("spa run model=s", "model=smollm2_135m"),
        ("spa run experiment=paper_o", "experiment=paper_omega"),
        ("spa plan mask.te", "mask.text="),
    ],
)
def test_a_shell_completes_commands_keys_and_values(typed: str, completed: str) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", SHELL, "bash", typed],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [completed]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "mask.token=<pad>",
            "cannot read mask.token=<pad>: the value needs quotes, twice for the shell: \"mask.token='<pad>'\"",
        ),
        ("omega=[0", "cannot read omega=[0: "),
        ("omgea=0.2", "there is no key omgea; did you mean omega?"),
        ("model.nme=x", "there is no key model.nme; did you mean model.name?"),
        ("qqq=1", "there is no key qqq; --help lists what there is"),
        ("anchor=descripton", "anchor=descripton is not one of description, "),
        ("model=smolm2_135m", "; did you mean smollm2_135m?"),
        ("limit=many", "limit"),
    ],
)
def test_a_mistyped_argument(argument: str, message: str) -> None:
    with pytest.raises(SpaError) as error:
        cells([argument, "results_dir=x"])
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert "Exception" not in str(error.value)
