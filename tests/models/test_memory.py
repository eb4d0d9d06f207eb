"""Memory is counted before it is taken, as far as this process may take it."""

import json
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from spa.errors import SpaError
from spa.models import checkpoints, memory
from spa.schema import ModelConfig

CPU = [torch.device("cpu")]
LOADS = """
import json
from spa.config import load_model_config
from spa.models import checkpoints

def resident(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))

config = load_model_config("smollm2_135m")
checkpoint = checkpoints.identify(config)
tokenizer = checkpoints.load_tokenizer(checkpoint)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak counts from here
before = resident("VmRSS:")
model = checkpoints.load(checkpoint, config, tokenizer, "float32", "none").model
assert model.lm_head.in_features == model.model.embed_tokens.weight.shape[1]  # packed, beside the embedding
print(json.dumps(resident("VmHWM:") - before))
"""
WEIGHTS = 134_515_008 * 4  # of SmolLM2-135M in float32


@pytest.mark.slow
def test_loading_takes_little_more_than_the_weights() -> None:
    done = subprocess.run([sys.executable, "-c", LOADS], capture_output=True, text=True, check=True)
    assert WEIGHTS < json.loads(done.stdout) < 1.3 * WEIGHTS


def at_most(monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=n_bytes))


def test_lanes_that_fit_shrink_with_length_and_memory(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LlamaForCausalLM.from_pretrained(tiny_llama)
    at_most(monkeypatch, 2**22)
    # a row of 1,000 tokens: 2 (keys, values) x 3 layers x 2 heads x 8 numbers x 4 bytes each, and the logits' 260 x 40
    assert memory.fitting_lanes(model, 1000) == 2**22 // 2 // (2 * (1000 * 96 * 4 + 260 * 40))
    assert memory.fitting_lanes(model, 10) > memory.fitting_lanes(model, 1000)
    at_most(monkeypatch, 1)
    assert memory.fitting_lanes(model, 1000) == 1


def test_what_does_not_fit_is_refused_with_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(vocab_size=2**15, hidden_size=2**12, num_hidden_layers=1))
    n_weights, largest = sum(weight.numel() for weight in model.parameters()), 2**27
    needed = (1.05 * n_weights + largest) * 2
    at_most(monkeypatch, int(needed) + 1)
    memory.check_fits(model, CPU, "Large", "bfloat16", "none")
    at_most(monkeypatch, int(needed) - 1)
    with pytest.raises(SpaError, match=r"Large needs 1\.2 GiB to load \(0\.9 GiB of weights, bfloat16\), and 1\.2 GiB"):
        memory.check_fits(model, CPU, "Large", "bfloat16", "none")
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (n_weights // 2, 0))  # without a second copy
    gpu = [torch.device("cuda", 0)]
    memory.check_fits(model, gpu, "Large", "float16", "nf4")
    with pytest.raises(
        SpaError, match=r"0\.4 GiB to load \(0\.4 GiB of weights, float16, int8\), and 0\.2 GiB are free"
    ):
        memory.check_fits(model, gpu, "Large", "float16", "int8")
    memory.check_fits(model, [*gpu, torch.device("cuda", 1)], "Large", "float16", "int8")


def test_a_refused_model_is_not_loaded(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ModelConfig(path=str(tiny_llama), name="Tiny")
    checkpoint = checkpoints.identify(config)
    tokenizer = checkpoints.load_tokenizer(checkpoint)
    at_most(monkeypatch, 1000)
    monkeypatch.setattr(LlamaForCausalLM, "from_pretrained", None)
    with pytest.raises(SpaError, match="Tiny needs"):
        checkpoints.load(checkpoint, config, tokenizer, "float32", "none")


def test_limits_count() -> None:
    most = memory.free(CPU)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    own = memory.psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (own + 2**28, hard))
    try:
        assert 2**27 < memory.free(CPU) <= 2**28 < most
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def group(folder: Path, names: tuple[str, str], limit: str, used: int, cached: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 7\ninactive_file {cached}\ntotal_inactive_file {cached}\n")


def test_a_jobs_control_groups_count(tmp_path: Path) -> None:
    second = ("memory.max", "memory.current")
    group(tmp_path / "slurm" / "job", second, "1000", 700, 200)
    group(tmp_path / "slurm", second, "max", 700, 200)
    assert memory.left_in_groups("0::/slurm/job/step\n", tmp_path) == [500]
    first = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    group(tmp_path / "memory" / "job", first, "900", 700, 0)
    assert memory.left_in_groups("4:memory:/job\n3:cpu:/job\n0::/\n", tmp_path) == [200]
    assert memory.left_in_groups("0::/\n", tmp_path / "nowhere") == []
