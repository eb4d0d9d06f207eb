"""Where evalplus' release files lie, and benchmarks read from the configs."""

import os
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from spa.config import CONF
from spa.schema import BenchmarkConfig

ROOT = Path(__file__).resolve().parents[2]
DATASETS = Path(os.environ.get("SPA_DATASETS", ROOT.parent / "shared" / "datasets"))
MBPP_V010 = {"version": "v0.1.0", "md5": "ebe95df0d5220f00cedd6f4bddea35e4", "n_tasks": 399}


def benchmark_config(name: str, **changes: Any) -> BenchmarkConfig:
    """`conf/benchmark/<name>.yaml` in its schema, with changes."""
    config = OmegaConf.merge(BenchmarkConfig, OmegaConf.load(CONF / "benchmark" / f"{name}.yaml"), changes)
    return OmegaConf.to_object(config)
