"""What cells cost: against transformers' own models, by hand, and as `plan.py` prints it."""

import json
import runpy
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from speeds import measurement, side
from transformers import AutoModelForCausalLM, CodeGenConfig, LlamaConfig

from spa import omega
from spa.cli.hydra_app import cells
from spa.config import CONF, Cell, load_model_config
from spa.errors import SpaError
from spa.results import speed
from spa.results.speed import PLAIN, SPA
from spa.runs import pricing
from spa.runs.pricing import Price
from spa.schema import ShapeConfig

PAPER = ("codegen_350m_mono", "codellama_7b", "deepseek_coder_1_3b", "deepseek_coder_6_7b", "deepseek_coder_33b")
BILLIONS = {
    "codegen_350m_mono": 0.357,
    "codellama_7b": 6.74,
    "deepseek_coder_1_3b": 1.35,
    "deepseek_coder_6_7b": 6.74,
    "deepseek_coder_33b": 33.3,
    "smollm2_135m": 0.1345,
    "qwen2_5_coder_0_5b": 0.494,
}


def shape_of(name: str) -> ShapeConfig:
    return load_model_config(name).shape


@pytest.mark.parametrize("name", BILLIONS)
def test_weights_are_those_of_transformers_model(name: str) -> None:
    shape = shape_of(name)
    if shape.architecture == "codegen":
        config: Any = CodeGenConfig(
            vocab_size=shape.vocabulary,
            n_embd=shape.hidden,
            n_layer=shape.layers,
            n_head=shape.heads,
            n_inner=shape.intermediate,
        )
    else:
        config = LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.key_value_heads,
            tie_word_embeddings=shape.tied,
        )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert pricing.n_parameters(shape) == sum(weights.numel() for weights in model.parameters())
    assert pricing.n_parameters(shape) / 1e9 == pytest.approx(BILLIONS[name], rel=0.01)


def test_splitting_of_sets() -> None:
    assert pricing.splitting(omega.PLAIN) == 1
    assert pricing.splitting(omega.parse("0..0.5")) == pricing.SPLITTING
    assert pricing.splitting(omega.parse([0, 0.1])) == 2
    assert pricing.splitting(omega.parse([x / 100 for x in range(51)])) == pricing.SPLITTING
    assert pricing.splitting(omega.parse("0..1")) == 2 * pricing.SPLITTING - 1


SMALL = ShapeConfig("llama", layers=2, hidden=8, intermediate=16, heads=2, key_value_heads=1, vocabulary=10)


def cell(**changes: Any) -> Cell:
    """One of HumanEval on a device whose numbers are easy to compute with."""
    (made,) = cells(["model=codellama_7b", "omega=0", "max_new_tokens=88", "batch_size=4"])
    device = replace(made.device, memory_gib=10, bandwidth=1e3, operations=1e6, seconds_per_layer=0.5)
    return replace(made, **{"model": replace(made.model, shape=SMALL), "device": device} | changes)


def shaped(made: Cell, shape: ShapeConfig) -> Cell:
    return replace(made, model=replace(made.model, shape=shape))


def test_a_price_by_hand() -> None:
    """2 layers of 8 x 8 queries and outputs, 8 x 4 keys and values, 8 x 16 three times, two norms; 10 x 8 twice."""
    weights = 2 * (2 * 64 + 2 * 32 + 3 * 128 + 16) + 8 + 2 * 80
    assert pricing.n_parameters(SMALL) == weights
    cache = 4 * 600 * (2 * 2 * 4 * 1) * 2  # lanes; 512 + 88 tokens; keys and values, layers, size, heads; bytes
    assert pricing.memory_gib(cell()) * 2**30 == weights + cache
    assert pricing.memory_gib(cell(omegas=omega.parse(0.1))) * 2**30 == weights + 2 * cache
    assert pricing.memory_gib(cell(quantization="none")) * 2**30 == 2 * weights + cache
    step = (weights + cache) / 1e3 + 2 * 0.5
    assert pricing.roofline(cell(), 1000, 40) == pytest.approx(2 * weights * 1000 / 1e6 + 40 / 4 * step)


def test_more_memory_than_a_gpu_has_takes_several() -> None:
    made = shaped(cell(), shape_of("deepseek_coder_33b"))
    for memory, count in ((80, 1), (37, 2), (21, 3)):
        assert pricing.gpus(replace(made, device=replace(made.device, memory_gib=memory))) == count
    assert pricing.gpus(replace(made, standin=True)) == 0
    assert pricing.gpus(shaped(cell(), ShapeConfig())) == 1


def test_auto_fills_half_of_what_the_weights_leave() -> None:
    made = shaped(cell(batch_size="auto"), shape_of("deepseek_coder_6_7b"))
    weights = pricing.n_parameters(made.model.shape) / 2**30
    assert pricing.memory_gib(made) == pytest.approx(weights + (10 - weights) / 2, abs=0.2)


def test_limits_bound_the_tokens(humaneval: object) -> None:
    assert pricing.price(cell()).most_tokens == 164 * 88
    assert pricing.price(cell(omegas=omega.parse([0, 0.1]))).most_tokens == 2 * 164 * 88
    assert pricing.price(cell(omegas=omega.parse("0..1"))).most_tokens is None
    assert pricing.price(cell(omegas=omega.parse("0..1"), max_lanes_per_task=3)).most_tokens == 3 * 164 * 88
    assert pricing.price(cell(omegas=omega.parse("0..1"), max_lane_steps=50)).most_tokens == 50 * 164


def test_a_measured_rate_goes_before_the_estimate(tmp_path: Path) -> None:
    made = shaped(cell(quantization="none", dtype="bfloat16"), shape_of("codellama_7b"))
    made = replace(made, device=replace(made.device, name="GPU"))
    assert pricing.price(made, tmp_path).rate == "estimate"
    sides = [
        side(PLAIN, 4, [1], 100.0),
        side(PLAIN, 64, [1], 900.0),
        side(SPA, 4, [1], 50.0),
        side("generate", 4, [1], 1.0, kind="generate", omega=0),
    ]
    speed.write(tmp_path / "cuda.json", measurement("codellama_7b", sides))
    (tmp_path / "other.json").write_text(json.dumps({"samples": "of another benchmark"}))
    assert pricing.measured_rate(made, tmp_path) == 100
    assert pricing.measured_rate(replace(made, batch_size=60), tmp_path) == 900
    assert pricing.measured_rate(replace(made, omegas=omega.parse(0.1)), tmp_path) == 50
    priced = pricing.price(made, tmp_path)
    assert (priced.rate, priced.hours) == ("measured", priced.generated_tokens / 100 / 3600)
    for change in ({"dtype": "float16"}, {"quantization": "int8"}):
        assert pricing.measured_rate(replace(made, **change), tmp_path) is None
    elsewhere = replace(made, device=replace(made.device, name="NVIDIA Other"))
    assert pricing.measured_rate(elsewhere, tmp_path) is None
    (tmp_path / "torn.json").write_text("{")
    with pytest.raises(SpaError, match=r"torn\.json is not JSON"):
        pricing.measured_rate(made, tmp_path)


def test_main_memory_has_room_for_lanes_that_wait() -> None:
    made = cell(omegas=omega.parse("0..1"), parked_gib=5.0)
    single = cell(omegas=omega.parse(0.3), parked_gib=5.0)
    assert pricing.host_gib(made) == pricing.host_gib(single) + 5
    assert "host GiB" in pricing.render([], made.device)


def test_sums_by_model() -> None:
    one = Price("A", 1, 10, 100, 1000, None, 1.0, 5.0, 20, 1, "estimate")
    two = Price("A", 1, 20, 200, 2000, 9000, 0.5, 7.0, 30, 2, "measured")
    other = Price("B", 1, 1, 1, 1, 1, None, None, 16, 1, "unknown")
    first, second = pricing.total([one, other, two])
    assert first == Price("A", 2, 30, 300, 3000, None, 1.5, 7.0, 30, 2, "estimate, measured")
    assert second == other


@pytest.mark.slow
def test_the_papers_main_table_is_priced(
    humaneval_plus: object, mbpp_plus: object, datasets: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("HUMANEVAL_OVERRIDE_PATH", str(datasets / "HumanEvalPlus-v0.1.10.jsonl.gz"))
    monkeypatch.setenv("MBPP_OVERRIDE_PATH", str(datasets / "MbppPlus-v0.2.0.jsonl.gz"))
    monkeypatch.setattr(sys, "argv", ["plan.py", "experiment=paper_main"])
    runpy.run_path(str(CONF.parent / "scripts" / "plan.py"), run_name="__main__")
    printed = capsys.readouterr().out
    rows = [line for line in printed.split("\n") if "2   " in line and "542" in line]
    assert [row.split("  ")[0] for row in rows] == [load_model_config(name).name for name in PAPER]
    assert " 10 " in printed
    assert " 2710 " in printed
    assert "An estimate is a roofline" in printed


def test_what_run_would_refuse_is_refused() -> None:
    with pytest.raises(SpaError, match="omega=nan must be finite"):
        cells(["omega=nan"])
    with pytest.raises(SpaError, match="gpt5"):
        cells(["-m", "model=gpt5,codellama_7b"])
