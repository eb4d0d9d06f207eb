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
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, CodeGenConfig, LlamaConfig
from transformers.integrations.bitsandbytes import replace_with_bnb_linear
from transformers.quantizers.base import get_keys_to_not_convert

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


def outline(shape: ShapeConfig) -> Any:
    """transformers' model of that shape, in float16, without its weights."""
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
        return AutoModelForCausalLM.from_config(config, dtype=torch.float16)


@pytest.mark.parametrize("name", BILLIONS)
def test_weights_are_those_of_transformers_model(name: str) -> None:
    shape = shape_of(name)
    assert pricing.n_parameters(shape) == sum(weights.numel() for weights in outline(shape).parameters())
    assert pricing.n_parameters(shape) / 1e9 == pytest.approx(BILLIONS[name], rel=0.01)


@pytest.mark.parametrize("name", PAPER)
def test_bytes_are_those_of_the_model_and_its_cache(name: str) -> None:
    """In bfloat16, and as transformers lets bitsandbytes replace its layers; int8 keeps float16 keys and values."""
    pytest.importorskip("bitsandbytes", reason="install the extra `quantization`")
    made = shaped(cell(quantization="none", dtype="bfloat16", batch_size=1), shape_of(name))
    model = outline(made.model.shape)
    weights = sum(weight.nbytes for weight in model.parameters())
    layers = model(torch.zeros(1, 3, dtype=torch.long, device="meta")).past_key_values.layers
    cache = (512 + 88) * sum(states.nbytes for layer in layers for states in (layer.keys, layer.values)) / 3
    assert pricing.memory_gib(made) * 2**30 == weights + cache

    config = BitsAndBytesConfig(load_in_8bit=True)
    replace_with_bnb_linear(model, get_keys_to_not_convert(model), config, pre_quantized=True)
    replaced = [module for module in model.modules() if type(module).__name__ == "Linear8bitLt"]
    assert len(replaced) == made.model.shape.layers * pricing.LINEARS[made.model.shape.architecture]
    model.half()  # the biases of what was replaced
    weights = sum(weight.nbytes for weight in model.parameters())
    for dtype in ("auto", "float16"):
        quantized = replace(made, quantization="int8", dtype=dtype)
        assert pricing.memory_gib(quantized) * 2**30 == weights + cache


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
@pytest.mark.parametrize("batch_size", ["auto", 1, 16])
@pytest.mark.parametrize("name", PAPER)
def test_quantized_cells_are_never_priced_as_faster(name: str, batch_size: int | str, quantization: str) -> None:
    (made,) = cells([f"model={name}", "quantization=none", "dtype=bfloat16", "omega=0..0.5"])
    made = replace(made, batch_size=batch_size)
    quantized = replace(made, quantization=quantization, dtype="float16")
    assert pricing.roofline(quantized, 1000, 5000) >= pricing.roofline(made, 1000, 5000)
    if quantization == "int8" and batch_size != "auto":
        assert pricing.roofline(quantized, 1000, 5000) > 1.2 * pricing.roofline(made, 1000, 5000)


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
    unquantized = cell(quantization="none")
    assert pricing.memory_gib(unquantized) * 2**30 == 2 * weights + cache
    assert pricing.memory_gib(replace(unquantized, omegas=omega.parse(0.1))) * 2**30 == 2 * weights + 2 * cache
    step = (2 * weights + cache) / 1e3 + 2 * 0.5
    assert pricing.roofline(unquantized, 1000, 40) == pytest.approx(2 * weights * 1000 / 1e6 + 40 / 4 * step)
    linear = 2 * (2 * 64 + 2 * 32 + 3 * 128)  # the two norms of a layer, the last one and both embeddings stay
    assert pricing.memory_gib(cell()) * 2**30 == 2 * weights - linear + cache
    starts = 2 * 0.5 * (1 + 7 * 17 / 40)
    step = (2 * weights - linear + cache) / 1e3 + starts
    assert pricing.roofline(cell(), 1000, 40) == pytest.approx(2 * weights * 1000 / 1e6 + 40 / 4 * step)


def test_more_memory_than_a_gpu_has_takes_several() -> None:
    made = shaped(cell(), shape_of("deepseek_coder_33b"))
    for memory, count in ((80, 1), (37, 2), (21, 3)):
        assert pricing.gpus(replace(made, device=replace(made.device, memory_gib=memory))) == count
    assert pricing.gpus(replace(made, standin=True)) == 0
    assert pricing.gpus(shaped(cell(), ShapeConfig())) == 1


def test_auto_fills_half_of_what_the_weights_leave() -> None:
    made = shaped(cell(batch_size="auto"), shape_of("deepseek_coder_6_7b"))
    shape = made.model.shape
    weights = (2 * pricing.n_parameters(shape) - pricing.n_quantized(shape)) / 2**30
    assert weights + (10 - weights) / 2 - 0.3 < pricing.memory_gib(made) <= weights + (10 - weights) / 2  # a lane: 0.29


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
        side(f"{SPA}, no drafts", 4, [1], 40.0, drafts=False),
        side(f"{SPA}, int8", 16, [1], 7.0, quantization="int8", drafts=False),
    ]
    speed.write(tmp_path / "cuda.json", measurement("codellama_7b", sides))
    (tmp_path / "other.json").write_text(json.dumps({"samples": "of another benchmark"}))
    assert pricing.measured_rate(made, tmp_path) == 100
    assert pricing.measured_rate(replace(made, batch_size=60), tmp_path) == 900
    assert pricing.measured_rate(replace(made, omegas=omega.parse(0.1)), tmp_path) == 50
    priced = pricing.price(made, tmp_path)
    assert (priced.rate, priced.hours) == ("measured", priced.generated_tokens / 100 / 3600)
    for dtype in ("auto", "float16"):
        quantized = replace(made, quantization="int8", dtype=dtype)
        assert pricing.measured_rate(replace(quantized, omegas=omega.parse(0.1)), tmp_path) == 7
        assert pricing.measured_rate(quantized, tmp_path) is None
    for change in ({"dtype": "float16"}, {"quantization": "nf4"}):
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
