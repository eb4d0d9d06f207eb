"""The command: every bad input gives one line and exit code 2, and nothing is written."""

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pytest

from spa.config import CONF
from spa.models import checkpoints
from spa.results.locking import held
from spa.results.store import Results
from spa.runs import generate

Command = Callable[..., int]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """scripts/run.py in this process, from an empty folder; returns the exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # restored afterwards; the command sets it
    monkeypatch.delenv("HUMANEVAL_OVERRIDE_PATH", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(CONF.parent / "scripts" / "run.py"), run_name="__main__")
        return int(ended.value.code or 0)

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model=gpt5"], "gpt5"),
        (["benchmark=apps"], "apps"),
        (["anchor=comments"], "comments"),
        (["mask=random"], "random"),
        (["experiment=none_such"], "none_such"),
        (["omeg=0.2"], "omeg"),
        (["omega=nan"], "omega=nan must be finite"),
        (["omega="], "omega"),
        (["batch_size=many"], "batch_size"),
        (["task_ids=[HumanEval/999]"], "HumanEval/999"),
        (["anchor=signature", "benchmark=mbpp"], "signature"),
        (["anchor=tagged"], "anchor=tagged fits no task"),
        (["benchmark=humaneval_plus"], "humaneval_plus"),
        (["benchmark.path=/nowhere.jsonl"], "/nowhere.jsonl"),
        (["model=hf", "model.path=/nowhere"], "/nowhere"),
        (["limit=[1"], "limit=[1"),
        (["shard=5/4"], "shard=5/4 is not one of several"),
        (["seed=-1"], "seed=-1 must be between 0 and"),
        (["from_manifest=/nowhere.json"], "from_manifest=/nowhere.json cannot be read"),
    ],
)
def test_bad_input(
    command: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert command(*arguments, "results_dir=made") == 2
    streams = capfd.readouterr()
    assert streams.out == ""
    lines = streams.err.strip().split("\n")
    assert len(lines) == 1, streams.err
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert not (tmp_path / "made").exists()
    assert not (tmp_path / "outputs").exists()


def test_wrong_data_is_refused(
    command: Command, tmp_path: Path, humaneval: object, capfd: pytest.CaptureFixture[str]
) -> None:
    problems = humaneval.problems  # type: ignore[attr-defined]
    (tmp_path / "changed.jsonl").write_text("".join(problem.to_json() + "\n" for problem in problems))
    assert command("benchmark.path=changed.jsonl", "results_dir=made") == 2
    assert "md5" in capfd.readouterr().err


def test_mask_token_that_the_tokenizer_lacks(
    command: Command, tiny_llama: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    overrides = ["model=hf", f"model.path={tiny_llama}", "omega=1", "limit=1", "results_dir=made"]
    assert command(*overrides, "mask.token='[MASK]'") == 2
    assert "mask token '[MASK]' is not a token of this tokenizer" in capfd.readouterr().err
    assert not (tmp_path / "made").exists()


def test_a_manifest_is_run_again(
    command: Command, tiny_llama: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    overrides = ["model=hf", f"model.path={tiny_llama}", "limit=1", "max_new_tokens=4", "score=false", "omega=0..1"]
    assert command(*overrides, "results_dir=made") == 0
    (made,) = Results(tmp_path / "made").runs()
    assert command(f"from_manifest={made.manifest_path}", "results_dir=again") == 0
    (again,) = Results(tmp_path / "again").runs()
    assert again.key == made.key
    assert [s.completion_ids for s in again.samples()] == [s.completion_ids for s in made.samples()]
    capfd.readouterr()
    for change, message in (
        ("max_new_tokens=5", "max_new_tokens was 4 and is 5"),
        ("mask=collapsed", "mask=collapsed does not go"),
    ):
        assert command(f"from_manifest={made.manifest_path}", "results_dir=other", change) == 2
        (line,) = capfd.readouterr().err.strip().split("\n")
        assert message in line
    assert not (tmp_path / "other").exists()


def test_a_second_process_leaves_with_the_owners_name(
    command: Command, tiny_llama: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    overrides = ["model=hf", f"model.path={tiny_llama}", "limit=1", "max_new_tokens=4", "score=false"]
    assert command(*overrides, "results_dir=made") == 0
    (run,) = Results(tmp_path / "made").runs()
    with held(run.folder / ".lock", 0):
        capfd.readouterr()
        assert command(*overrides, "results_dir=made") == 2
    line = capfd.readouterr().err.strip().split("\n")[-1]
    assert f"is in use by process {os.getpid()} on " in line


@pytest.mark.slow
def test_a_cell_from_command_to_report(
    command: Command, tiny_llama: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    overrides = ["model=hf", f"model.path={tiny_llama}", "limit=2", "max_new_tokens=8", "omega=[0,0.5]"]
    assert command(*overrides, "results_dir=made") == 0
    printed = capfd.readouterr().out
    assert "HumanEval" in printed
    for path in ("summary.csv", "tables/main.md", "tables/main.tex", "tables/main.csv", "report.html"):
        assert (tmp_path / "made" / path).stat().st_size > 0
    assert len(list((tmp_path / "made" / "figures").glob("omega_curve*"))) == 3
    (run,) = Results(tmp_path / "made").runs()
    assert len(run.samples()) == 4
    assert run.manifest().scoring.sandbox == "bubblewrap"
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow
def test_a_report_that_cannot_be_made_is_one_line(
    command: Command, tiny_llama: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cell = ["model=hf", f"model.path={tiny_llama}", "limit=1", "max_new_tokens=4", "score=false", "results_dir=made"]
    assert command(*cell, "omega=0") == 0
    (run,) = Results(tmp_path / "made").runs()
    run.samples_path.write_text("{}\n")
    assert command(*cell, "omega=1", "reuse=false") == 2
    streams = capfd.readouterr()
    assert "samples.jsonl:1 is not a valid line" in streams.err.splitlines()[-1]
    assert "Traceback" not in streams.err


@pytest.mark.slow
def test_a_bad_cell_of_a_sweep_stops_no_other(
    command: Command, tiny_llama: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    overrides = ["model=hf", f"model.path={tiny_llama}", "limit=1", "max_new_tokens=4", "score=false"]
    assert command("-m", *overrides, "anchor=tagged,description", "omega=1", "results_dir=made") == 2
    streams = capfd.readouterr()
    lines = streams.err.strip().splitlines()
    assert [line.count("anchor=tagged fits no task") for line in lines if line.startswith("error: ")] == [1]
    assert "Error executing job" not in streams.err
    assert streams.out.strip().splitlines()[-1] == "1 of 2 cells done, 1 failed"
    (run,) = Results(tmp_path / "made").runs()
    assert run.manifest().anchor == "description"


@pytest.mark.slow
def test_a_sweep_looks_for_data_and_models_first_and_names_each_error_once(
    command: Command,
    tiny_llama: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    swept = ["model=hf", f"model.path={tiny_llama},/nowhere", "anchor=description,none"]
    assert command("-m", *swept, "limit=1", "max_new_tokens=4", "score=false", "results_dir=made") == 2
    streams = capfd.readouterr()
    first = caplog.messages[0]
    assert first.startswith("2 of 4 cells cannot run here: model.path=/nowhere is neither ")
    assert streams.err.strip().splitlines()[-1] == f"error: {first.partition(': ')[2]} (2 cells)"
    assert streams.out.strip().splitlines()[-1] == "2 of 4 cells done, 2 failed"
    assert len(Results(tmp_path / "made").runs()) == 1, "plain decoding knows no anchor"


@pytest.mark.slow
def test_a_crash_of_a_cell_is_told_and_stops_no_other(
    command: Command,
    tiny_llama: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    decode = generate.decode

    def crash(prepared: Any, *others: Any) -> Any:
        if prepared.cell.seed == 1:
            raise ZeroDivisionError("a fault of ours")
        return decode(prepared, *others)

    monkeypatch.setattr(generate, "decode", crash)
    cell = ["model=hf", f"model.path={tiny_llama}", "limit=1", "max_new_tokens=4", "score=false", "results_dir=made"]
    assert command("-m", *cell, "omega=0,1", "seed=1,2", "reuse=false") == 2
    streams = capfd.readouterr()
    assert streams.err.strip().splitlines()[-1] == "error: ZeroDivisionError: a fault of ours (2 cells)"
    assert "Traceback" in caplog.text, "it is no user's fault"
    assert streams.out.strip().splitlines()[-1] == "2 of 4 cells done, 2 failed"


def test_ctrl_c_leaves_with_a_line_that_says_how_to_go_on(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(cell: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("spa.runs.run_cell.run_cell", interrupted)
    for sweep in ([], ["-m"]):
        assert command(*sweep, "limit=1", "results_dir=made") == 130
        streams = capfd.readouterr()
        assert streams.out == ""
        lines = streams.err.strip().splitlines()
        assert lines == ["interrupted; what is finished is kept: run the same command again to go on"]


@pytest.mark.slow
def test_the_papers_main_table_on_standins(
    command: Command, datasets: Path, expected_outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command, from ten cells to tables and figures; each model is loaded once, and only one is held."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(expected_outputs))
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", str(datasets / "HumanEvalPlus-v0.1.10.jsonl.gz"))
    monkeypatch.setenv("MBPP_OVERRIDE_PATH", str(datasets / "MbppPlus-v0.2.0.jsonl.gz"))
    loaded: list[str] = []
    load = checkpoints.load

    def counted(*arguments: Any) -> checkpoints.LoadedModel:
        loaded.append(arguments[1].name)
        return load(*arguments)

    monkeypatch.setattr(checkpoints, "load", counted)
    assert command("experiment=paper_main", "standin=tiny", "limit=1", "max_new_tokens=8", "results_dir=made") == 0
    assert len(loaded) == len(set(loaded)) == 5
    assert len(Results(tmp_path / "made").runs()) == 10
    table = pandas.read_csv(tmp_path / "made" / "summary.csv")
    assert len(table.groupby(["model", "benchmark"])) == 20
    assert table.baseline_pass_at_1.notna().all()
    assert (tmp_path / "made" / "report.html").stat().st_size > 0
    assert len(list((tmp_path / "made" / "figures").glob("*.png"))) >= 5


def test_help_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, runpy\nsys.argv = ['run.py', '--help']\n"
        "try:\n    runpy.run_path('scripts/run.py', run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "print(sorted({'torch', 'transformers', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CONF.parent, capture_output=True, text=True, check=True)
    assert "anchoring weight: a number (0 = plain)" in done.stdout
    assert done.stdout.strip().endswith("[]")
