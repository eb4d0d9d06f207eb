"""All verdicts of a run: those of the benchmark's tests, and those of the tests that a prompt shows."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from spa.errors import SpaError
from spa.records import OWN
from spa.results.store import Results, Run
from spa.schema import BenchmarkConfig
from spa.scoring import extractions, score, visible_tests
from spa.tasks import anchors, benchmarks
from spa.tasks.benchmarks import Benchmark


def judge(run: Run, benchmark: Benchmark, config: BenchmarkConfig, *, sandbox: str, extraction: str = OWN) -> None:
    """Give every solution the verdicts that it lacks. The caller holds the run's lock.

    Solutions are those of the run's own extraction, of others that it has, and of the one given.

    A run that was scored on the plus tests of the same data stays so: their verdicts hold those on the base tests.
    """
    manifest = run.manifest()
    scored = manifest.scoring
    if scored and scored.plus and not benchmark.plus and scored.data_md5 == benchmark.md5:
        benchmark = _load(replace(config, plus=True), manifest.anchor)
    for name in dict.fromkeys([*run.extractions(), extraction]):
        if name != OWN:
            kind = manifest.config["model"]["kind"]
            extractions.extract(run, benchmark, name, kind, sandbox=sandbox)
    score.score_and_record(run, benchmark, sandbox=sandbox)
    visible_tests.judge_run(run, benchmark, sandbox=sandbox)


def judge_results(results: Iterable[Results], *, sandbox: str, extraction: str | None = None) -> Iterator[str]:
    """Judge every run of the folders on the benchmark that its manifest names; a line for each. Needs no model.

    extraction: None for the one that each run was asked for.

    At the end a SpaError names the runs that could not be judged, such as one that still decodes, each with its reason.
    """
    failures = []
    for run in (run for folder in results for run in folder.runs()):
        try:
            with run.locked():
                manifest = run.manifest()
                config = BenchmarkConfig(**manifest.config["benchmark"])
                asked = extraction or manifest.config.get("extraction", OWN)
                judge(run, _load(config, manifest.anchor), config, sandbox=sandbox, extraction=asked)
        except SpaError as error:
            failures.append(f"{run.folder}: {error}")
            continue
        if scored := run.manifest().scoring:
            yield f"{run.folder}: {config.name}, {scored.scored} solutions scored, {scored.already} were before"
    if failures:
        raise SpaError(f"{len(failures)} runs were not scored, the others were; {'; '.join(failures)}")


def _load(config: BenchmarkConfig, anchor: str) -> Benchmark:
    """The benchmark as the run's prompts have it, without tags."""
    benchmark = benchmarks.load(config)
    if anchor != "tagged":
        return benchmark
    return replace(benchmark, problems=tuple(anchors.anchor(problem, anchor)[0] for problem in benchmark.problems))
