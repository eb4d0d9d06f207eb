"""Solutions as EvalPlus' own pipeline takes them, beside a run's own."""

import logging
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import pytest
from answers import CORPUS
from evalplus.sanitize import sanitize
from programs import RIGHT
from synthetic import generation, write_run

from spa.analysis import aggregate
from spa.config import load_benchmark_config
from spa.records import Generation, Solution
from spa.report import build
from spa.results.store import Results, Run
from spa.scoring import extractions, verdicts
from spa.scoring.processes import Lost
from spa.tasks.benchmarks import Benchmark

pytestmark = pytest.mark.usefixtures("scoring_cache")

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
UNREADABLE = ["x = 1\0", "x = '\ud800'", "(" * 20_000]
ASSERTS = RIGHT + "\nassert has_close_elements([1.0], 0.5)\n"  # which does not hold: the program ends there
PROMPT = "import math\n"


def run_of(folder: Path, *texts: str, kind: str = "chat") -> Run:
    """A run of HumanEval/0 with one text for each of omega 0, 1, ..."""
    omegas = [float(number) for number in range(len(texts))]
    config = {"benchmark": asdict(load_benchmark_config("humaneval")), "model": {"kind": kind}}
    run = write_run(folder, "k", {}, scoring=None, config=config, omega=omegas, task_ids=["HumanEval/0"])
    run.append_samples(text_at(omega, text) for omega, text in zip(omegas, texts, strict=True))
    return run


def text_at(omega: float, text: str) -> Generation:
    return replace(generation("HumanEval/0", text, omega, omega), prompt_text=PROMPT)


def taken(run: Run) -> list[str]:
    return [each.solution for each in run.iter_solutions(Solution, "evalplus")]


def extract(run: Run, benchmark: Benchmark, kind: str = "chat") -> list[str]:
    extractions.extract(run, benchmark, "evalplus", kind, sandbox="auto")
    return taken(run)


def test_solutions_are_those_of_evalplus_sanitizer(humaneval: Benchmark, tmp_path: Path) -> None:
    texts = [each.text.replace("max_element", "has_close_elements") for each in CORPUS if "max_element" in each.text]
    assert len(texts) > 40
    run = run_of(tmp_path, *texts)
    assert extract(run, humaneval) == [sanitize(text, "has_close_elements") for text in texts]
    base = run_of(tmp_path / "base", *texts, kind="base")
    assert extract(base, humaneval, "base") == [sanitize(PROMPT + text, "has_close_elements") for text in texts]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["humaneval_plus", "mbpp_plus"])
def test_stored_texts_give_what_evalplus_gives(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> None:
    benchmark: Benchmark = request.getfixturevalue(name)
    entry_points = {problem.task_id: problem.entry_point for problem in benchmark.problems}
    (stored,) = (
        run
        for run in Results(REFERENCE).runs()
        if run.manifest().template == "evalplus" and run.manifest().family == benchmark.family
    )
    samples = list(islice(stored.iter_samples(Generation), 100))
    run = run_of(tmp_path)
    run.append_samples(samples)
    assert extract(run, benchmark) == [sanitize(each.completion, entry_points[each.task_id]) for each in samples]


def test_what_the_sanitizer_cannot_read_stays(humaneval: Benchmark, tmp_path: Path) -> None:
    assert extract(run_of(tmp_path, *UNREADABLE), humaneval) == UNREADABLE


def test_what_it_does_not_answer_stays(
    humaneval: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(extractions, "exchange", lambda *_, **__: iter([(0, Lost("silent"))]))
    with caplog.at_level(logging.WARNING):
        assert extract(run_of(tmp_path, RIGHT), humaneval) == [RIGHT]
    assert "HumanEval/0: the sanitizer gave up a text (silent), which stays as it is" in caplog.text


def test_only_new_texts_are_taken(humaneval: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(tmp_path, ASSERTS)
    (first,) = extract(run, humaneval)
    run.append_samples([text_at(1.0, "print(1)\n" + RIGHT), text_at(2.0, "print(1)\n" + RIGHT)])
    asked = []
    exchange = extractions.exchange

    def counted(service, messages, **how):  # type: ignore[no-untyped-def]
        asked.extend(messages)
        return exchange(service, messages, **how)

    monkeypatch.setattr(extractions, "exchange", counted)
    assert extract(run, humaneval) == [first] * 3
    assert len(asked) == 1


def test_both_are_judged_and_counted(tmp_path: Path) -> None:
    run = run_of(tmp_path, ASSERTS, RIGHT)
    results = Results(tmp_path)
    list(verdicts.judge_results([results], sandbox="auto", extraction="evalplus"))
    rows = aggregate.summary(aggregate.tasks(aggregate.load([results])))
    found = rows[["extraction", "omega_lo", "n_passed", "delta"]].itertuples(index=False, name=None)
    assert list(found) == [
        ("evalplus", 0.0, 1, 0.0),
        ("evalplus", 1.0, 1, 0.0),
        ("spa", 0.0, 0, 0.0),
        ("spa", 1.0, 1, 1.0),
    ]
    assert len(run.scores()) == 3  # two texts, and one program of the sanitizer for both
    run.append_samples([text_at(2.0, "no program")])
    list(verdicts.judge_results([results], sandbox="auto"))  # it has this extraction, so it goes on with it
    assert len(taken(run)) == 3
    run.pack()
    assert not run.solutions_path("evalplus").exists()
    assert len(taken(run)) == 3


def test_a_run_is_judged_by_the_extraction_that_it_was_asked_for(tmp_path: Path) -> None:
    run = run_of(tmp_path, ASSERTS)
    run.describe(lambda manifest: replace(manifest, config=manifest.config | {"extraction": "evalplus"}))
    list(verdicts.judge_results([Results(tmp_path)], sandbox="auto"))
    assert run.extractions() == ["spa", "evalplus"]


def test_a_run_with_two_extractions_is_described_once(tmp_path: Path) -> None:
    run_of(tmp_path, ASSERTS, RIGHT)
    list(verdicts.judge_results([Results(tmp_path)], sandbox="auto", extraction="evalplus"))
    html = build.build([Results(tmp_path)]).report.read_text()
    assert html.count('id="run-k"') == 1
    assert "spa, evalplus" in html
    assert "Runs (1)" in html
