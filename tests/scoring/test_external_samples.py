"""Anyone's samples files: what is accepted, what is refused, what is summed up, and which tasks flip."""

import gzip
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from evalplus.data import load_solutions, write_directory
from programs import SOLUTIONS, canonical, only, run_with, sample_of

from spa.cli.score import main
from spa.errors import SpaError
from spa.records import Score, solution_sha
from spa.results.store import Run
from spa.scoring.external_samples import Samples, flips, read_samples, render, score_samples, summarize
from spa.tasks.benchmarks import Benchmark

pytestmark = pytest.mark.usefixtures("scoring_cache")

Lines = list[dict[str, str]]


def write(path: Path, lines: Lines) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def two(humaneval_plus: Benchmark) -> Benchmark:
    return only(humaneval_plus, "HumanEval/0", "HumanEval/3")


# Reading.


def test_a_file_and_a_folder_are_read_as_evalplus_reads_them(two: Benchmark, tmp_path: Path) -> None:
    lines = [
        {"task_id": "HumanEval/3", "solution": "b = 1\r\n"},
        {"task_id": "HumanEval/0", "solution": "a = 1\n", "completion": "ignored"},
        {"task_id": "HumanEval/0", "completion": "    return 'é'\n"},
    ]
    path = write(tmp_path / "samples.jsonl", lines)
    prompt = two.problems[0].prompt
    theirs = [(s["task_id"], s.get("solution") or prompt + s["completion"]) for s in load_solutions(str(path))]
    assert list(read_samples(path, two).requests) == theirs
    samples = [{"task_id": task_id, "solution": solution} for task_id, solution in theirs]
    write_directory(str(tmp_path / "folder"), samples)
    (tmp_path / "folder" / "eval_results.json").write_text("{}")
    (tmp_path / "folder" / "HumanEval_0" / "notes.txt").write_text("")
    in_folder = {(s["task_id"], s["solution"]) for s in load_solutions(str(tmp_path / "folder"))}
    assert set(read_samples(tmp_path / "folder", two).requests) == in_folder
    assert len(in_folder) == 3


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_may_be_compressed_and_begin_with_a_byte_order_mark(two: Benchmark, tmp_path: Path, mark: str) -> None:
    plain, packed = tmp_path / "samples.jsonl", tmp_path / "other name"
    lines = [json.dumps({"task_id": p.task_id, "solution": "a = 'é\ufeff'\n"}) for p in two.problems]
    plain.write_text(mark + "\r\n".join(lines), encoding="utf-8")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    (tmp_path / "folder" / "HumanEval_0").mkdir(parents=True)
    (tmp_path / "folder" / "HumanEval_0" / "0.py").write_text(f"{mark}a = 1\n", encoding="utf-8")
    expected = tuple((p.task_id, "a = 'é\ufeff'\n") for p in two.problems)
    assert read_samples(plain, two).requests == read_samples(packed, two).requests == expected
    assert read_samples(tmp_path / "folder", two, partial=True).requests == (("HumanEval/0", "a = 1\n"),)


def test_samples_of_a_packed_run_are_read(two: Benchmark, tmp_path: Path) -> None:
    run = run_with(tmp_path, *(sample_of(p.task_id, f"a = '{p.task_id}'\n") for p in two.problems))
    run.pack()
    (packed,) = run.folder.glob("samples.jsonl.gz")
    assert read_samples(packed, two).requests == tuple((p.task_id, f"a = '{p.task_id}'\n") for p in two.problems)


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: content[:30] + b"?" * 9])
def test_a_damaged_compressed_file_is_one_line(
    two: Benchmark, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "samples.jsonl.gz"
    path.write_bytes(damage(gzip.compress(json.dumps({"task_id": "HumanEval/0", "solution": "a = 1"}).encode())))
    with pytest.raises(SpaError, match=r"cannot read the samples .*: the compressed file is damaged"):
        read_samples(path, two)


def test_missing_unknown_and_repeated_tasks_are_named(
    two: Benchmark, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = ["HumanEval/0", "HumanEval/0", "Mbpp/2"]
    path = write(tmp_path / "samples.jsonl", [{"task_id": task_id, "solution": ""} for task_id in tasks])
    complaint = "has no sample of HumanEval/3 and has samples of Mbpp/2, unknown to humaneval_plus; .* --partial"
    with pytest.raises(SpaError, match=complaint):
        read_samples(path, two)
    samples = read_samples(path, two, partial=True)
    assert (samples.missing, samples.unknown, samples.repeated) == (("HumanEval/3",), ("Mbpp/2",), ("HumanEval/0",))
    assert [task_id for task_id, _ in samples.requests] == ["HumanEval/0", "HumanEval/0"]
    assert f"{path} has no sample of HumanEval/3" in caplog.text
    assert f"{path} has samples of Mbpp/2, unknown to humaneval_plus" in caplog.text
    assert f"{path} has several samples of HumanEval/0" in caplog.text


@pytest.mark.parametrize("partial", [False, True])
def test_samples_of_another_benchmark_are_refused(two: Benchmark, tmp_path: Path, partial: bool) -> None:
    path = write(tmp_path / "samples.jsonl", [{"task_id": "Mbpp/2", "solution": ""}])
    with pytest.raises(SpaError, match="is this the right benchmark"):
        read_samples(path, two, partial)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (['{"task_id": "HumanEval/0"'], "samples.jsonl:1 is not a JSON object"),
        (["[]"], "samples.jsonl:1 is not a JSON object"),
        (["", '{"task_id": "HumanEval/0", "solution": 1}'], "samples.jsonl:2 needs a task_id and a text"),
        (['{"task_id": "HumanEval/0", "raw": ""}'], "samples.jsonl:1 needs a task_id and a text"),
        (['{"task_id": 0, "solution": ""}'], "samples.jsonl:1 needs a task_id and a text"),
        (['{"task_id": [], "completion": ""}'], "samples.jsonl:1 needs a task_id and a text"),
        (["\udcff"], "samples.jsonl: not UTF-8"),
        ([], "has no sample of HumanEval/0, HumanEval/3"),
    ],
)
def test_unfit_samples_are_refused(two: Benchmark, tmp_path: Path, lines: list[str], complaint: str) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text("\n".join(lines) + "\n", errors="surrogateescape")
    with pytest.raises(SpaError, match=complaint):
        score_samples(path, two, tmp_path / "out", sandbox="bubblewrap")
    assert not (tmp_path / "out").exists()


def test_unreadable_samples_are_refused(two: Benchmark, tmp_path: Path) -> None:
    with pytest.raises(SpaError, match=r"none.jsonl: No such file"):
        read_samples(tmp_path / "none.jsonl", two)
    (tmp_path / "HumanEval_0").mkdir()
    (tmp_path / "HumanEval_0" / "0.py").write_bytes(b"\xff")
    with pytest.raises(SpaError, match=r"HumanEval_0/0.py: not UTF-8"):
        read_samples(tmp_path, two)


# Summing up.


def verdict(task_id: str, solution: str, base: str, plus: str) -> Score:
    return Score(task_id, solution_sha(solution), base, plus, "", 0.0, "id")


def samples_of(*requests: tuple[str, str]) -> Samples:
    return Samples(Path("samples.jsonl"), requests, (), (), ())


def test_a_plus_pass_needs_base(two: Benchmark) -> None:
    scores = [
        verdict("HumanEval/0", "a", "pass", "pass"),
        verdict("HumanEval/0", "b", "pass", "fail"),
        verdict("HumanEval/0", "c", "fail", "pass"),
        verdict("HumanEval/0", "d", "timeout", "pass"),
        verdict("HumanEval/3", "a", "pass", "pass"),
    ]
    samples = samples_of(*(("HumanEval/0", text) for text in "abcd"), ("HumanEval/3", "a"))
    summary = summarize(samples, scores, two)
    assert summary["base"] == {"n_passed": 3, "pass_at_1": 0.75}
    assert summary["plus"] == {"n_passed": 2, "pass_at_1": 0.625}
    assert (summary["n_tasks"], summary["n_samples"]) == (2, 5)


def test_without_plus_tests_there_is_no_plus_rate(humaneval: Benchmark) -> None:
    verdicts = [replace(verdict("HumanEval/0", "a", "pass", ""), plus_status=None)]
    summary = summarize(samples_of(("HumanEval/0", "a")), verdicts, humaneval)
    assert (summary["base"], summary["plus"]) == ({"n_passed": 1, "pass_at_1": 1.0}, None)
    assert render(summary) == "humaneval, base tests: Pass@1 1.0000 (1/1 samples pass)"


def test_flips_by_hand(humaneval_plus: Benchmark) -> None:
    tasks = [f"HumanEval/{number}" for number in range(8)]
    first, second = samples_of(*((task, "x") for task in tasks)), samples_of(*((task, "y") for task in tasks[:-1]))
    passed = {"x": "1000001", "y": "1111100"}
    scores = [
        verdict(task, text, "pass" if flag == "1" else "fail", "pass")
        for text, flags in passed.items()
        for task, flag in zip(tasks, flags, strict=False)
    ] + [verdict(tasks[-1], "x", "pass", "pass")]
    found = flips(first, second, scores, humaneval_plus)
    assert found["base"] == found["plus"]
    assert found["base"].pop("p_value") == pytest.approx(2 * (1 + 5) / 32)
    assert found["base"] == {"n_tasks": 7, "fixed": tasks[1:5], "broken": [tasks[6]]}


# Scoring.


def test_samples_are_scored_into_a_summary(two: Benchmark, tmp_path: Path) -> None:
    lines = [
        {"task_id": "HumanEval/0", "solution": SOLUTIONS["right on the base tests only"]},
        {"task_id": "HumanEval/3", "completion": two.problems[1].canonical_solution},
        {"task_id": "HumanEval/3", "solution": "a = 1"},
    ]
    path, out = write(tmp_path / "samples.jsonl", lines), tmp_path / "out"
    summary = score_samples(path, two, out, sandbox="bubblewrap")
    assert summary["base"] == {"n_passed": 2, "pass_at_1": 0.75}
    assert summary["plus"] == {"n_passed": 1, "pass_at_1": 0.25}
    assert (summary["n_tasks"], summary["n_samples"], summary["scoring"]["sandbox"]) == (2, 3, "bubblewrap")
    assert summary["repeated"] == ("HumanEval/3",)
    assert json.loads((out / "summary.json").read_text()) == json.loads(json.dumps(summary))
    assert len(Run(out).scores()) == 3

    other = write(tmp_path / "other.jsonl", [lines[1], {"task_id": "HumanEval/0", "solution": "a = 1"}])
    with pytest.raises(SpaError, match=r"samples.jsonl has several samples of HumanEval/3; leave one"):
        score_samples(path, two, out, sandbox="bubblewrap", compare=other)
    assert json.loads((out / "summary.json").read_text())["n_samples"] == 3

    write(path, lines[:2])
    summary = score_samples(path, two, out, sandbox="bubblewrap", compare=other)
    assert len(Run(out).scores()) == 4
    assert summary["flips"]["base"] == {"n_tasks": 2, "fixed": [], "broken": ["HumanEval/0"], "p_value": 1.0}
    assert summary["flips"]["plus"] == {"n_tasks": 2, "fixed": [], "broken": [], "p_value": 1.0}
    assert render(summary).splitlines() == [
        f"{path}: humaneval_plus, base tests: Pass@1 1.0000 (2/2 samples pass)",
        f"{other}: humaneval_plus, base tests: Pass@1 0.5000 (1/2 samples pass)",
        f"{path}: humaneval_plus, plus tests: Pass@1 0.5000 (1/2 samples pass)",
        f"{other}: humaneval_plus, plus tests: Pass@1 0.5000 (1/2 samples pass)",
        f"base tests, 2 tasks: 1 pass only in {path}, 0 only in {other}; exact McNemar p = 1",
        "  HumanEval/0: pass -> fail",
        f"plus tests, 2 tasks: 0 pass only in {path}, 0 only in {other}; exact McNemar p = 1",
    ]


Command = Callable[..., str]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """score.py in this process; returns what it prints."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["score.py", *map(str, arguments)])
        main()
        return capsys.readouterr().out

    return run


def test_score_command(
    humaneval: Benchmark, tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = only(humaneval, "HumanEval/0", "HumanEval/3")
    lines = [{"task_id": task_id, "solution": solution} for task_id, solution in canonical(chosen).items()]
    path, out = write(tmp_path / "samples.jsonl", lines), tmp_path / "out"
    asked = ("--samples", path, "--benchmark", "humaneval", "--out", out)
    with pytest.raises(SystemExit) as ended:
        command(*asked)
    streams = capsys.readouterr()
    assert (ended.value.code, streams.out) == (2, "")
    assert streams.err.startswith(f"error: {path} has no sample of HumanEval/1, HumanEval/2, ")
    assert streams.err.endswith("; mend it, or score the rest with --partial\n")
    assert streams.err.count("\n") == 1
    assert not out.exists()
    summary = "humaneval, base tests: Pass@1 1.0000 (2/2 samples pass, tasks without a sample: 162)\n"
    assert command(*asked, "--partial") == summary


def test_score_command_refuses_an_unknown_benchmark(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command("--samples", "no.jsonl", "--benchmark", "apps", "--out", tmp_path / "out")
    line = capsys.readouterr().err
    assert ended.value.code == 2
    assert line.startswith("error: benchmark=apps is unknown; choose one of: custom, humaneval, ")
    assert line.count("\n") == 1
