"""The keys of sample cells, letter by letter: a change here would decode anew what is on users' disks already."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from spa.config import CONF, resolve
from spa.models import checkpoints
from spa.runs import prepare
from spa.schema import register

PLUS = {
    "benchmark=humaneval_plus": "HumanEvalPlus-v0.1.10.jsonl.gz",
    "benchmark=mbpp_plus": "MbppPlus-v0.2.0.jsonl.gz",
}
KEYS = {
    "model=smollm2_135m benchmark=humaneval omega=[0,0.2]": "a0b578107efd",
    "model=smollm2_135m benchmark=mbpp_plus anchor=description_and_tests mask=attention omega=-0.5..0": "bdd7b70b7928",
    "model=smollm2_135m experiment=quickstart": "d20ea30c0dba",
    "model=qwen2_5_coder_0_5b benchmark=humaneval_plus template=evalplus omega=0": "415a4730e20b",
    "model=qwen2_5_coder_0_5b benchmark=humaneval_plus template=evalplus extraction=spa omega=0": "415a4730e20b",
    "model=qwen2_5_coder_0_5b benchmark=humaneval anchor=prompt omega=0..0.5 max_lanes_per_task=20": "5f671b13a6c8",
    "model=codegen_350m_mono benchmark=humaneval mask=collapsed omega=0.2": "bea133e78a14",
    "model=codellama_7b benchmark=mbpp_plus omega=0..0.5": "60bf129e60eb",
    "model=codellama_7b benchmark=humaneval anchor=signature quantization=none dtype=bfloat16 max_new_tokens=256 "
    "omega=0.1": "584a60c72c24",
    "model=deepseek_coder_1_3b benchmark=humaneval_plus anchor=examples omega=[0,0.05,0.1]": "c18dca124061",
    "model=deepseek_coder_1_3b benchmark=humaneval anchor=keywords strict=true omega=0.3": "cbd1812e8b36",
    "model=deepseek_coder_6_7b benchmark=humaneval profile=official_2024 omega=0.275": "e7ff6961a799",
    "model=deepseek_coder_33b benchmark=mbpp_plus omega=0": "637014c6280e",
}


@pytest.fixture
def key(datasets: Path, humaneval: object, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """The key of a cell on a CPU, and with a commit of zeros in the place of the hub's latest one."""
    monkeypatch.setattr(checkpoints, "hub_commit", lambda *_: "0" * 40)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.delenv("HUMANEVAL_OVERRIDE_PATH", raising=False)

    def of(arguments: str) -> str:
        overrides = arguments.split()
        overrides += [f"benchmark.path={datasets / file}" for name, file in PLUS.items() if name in overrides]
        register()
        with initialize_config_dir(str(CONF), version_base=None):
            cell = resolve(compose("config", [*overrides, "results_dir=x"]))
        return prepare.prepare(cell).run.key

    return of


@pytest.mark.parametrize("arguments", KEYS)
def test_a_key_is_what_it_was(arguments: str, key: Callable[[str], str]) -> None:
    assert key(arguments) == KEYS[arguments]


def test_a_method_is_part_of_the_key_where_it_decides_texts(key: Callable[[str], str]) -> None:
    plain, weighted = key("benchmark=humaneval omega=0"), key("benchmark=humaneval omega=0.2")
    names = ("spa_probability", "spa_uncertainty", "spa_decay", "cad", "cfg")
    assert {key(f"benchmark=humaneval omega=0 method={name}") for name in names} == {plain}
    others = {key(f"benchmark=humaneval omega=0.2 method={name}") for name in names}
    assert len({weighted, *others}) == len(names) + 1
    assert key("benchmark=humaneval omega=0.2 method=cad") == key("benchmark=humaneval omega=0.2 mask=removed")
