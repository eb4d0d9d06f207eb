"""Every configuration composes and resolves, mistakes give one line, and the key covers what determines a text."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hypothesis import given
from hypothesis import strategies as st

from spa import config, omega, schema
from spa.cli.hydra_app import cells
from spa.config import CONF, Cell, Shard, parse_shard
from spa.errors import SpaError
from spa.method import SPA, Method

NEEDED = {
    "model=hf": ["model.path=somewhere"],
    "benchmark=custom": ["benchmark.path=tasks.jsonl"],
    "mask=text": ["mask.text=another"],
}
OMEGAS: dict[str, omega.OmegaSet] = {
    "omega=0.2": omega.Values((0.2,)),
    "omega=[0,0.1,0.2]": omega.Values((0.0, 0.1, 0.2)),
    "omega=0..0.5": omega.Interval(0.0, 0.5),
}


def options(group: str) -> list[str]:
    return [f"{group}={path.stem}" for path in sorted((CONF / group).glob("*.yaml"))]


def resolved(*overrides: str) -> Cell:
    """As `run.py` composes it from these arguments."""
    schema.register()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base=None):
        return config.resolve(compose("config", list(overrides)))


# Composition


@pytest.mark.parametrize(
    "option", [o for group in ("model", "benchmark", "anchor", "mask", "profile") for o in options(group)]
)
def test_every_option_resolves(option: str) -> None:
    run = resolved(option, *NEEDED.get(option, []))
    group, name = option.split("=")
    if group == "model":
        assert run.model.name
        assert run.template in {path.stem for path in (CONF / "templates").glob("*.yaml")}
        assert run.max_new_tokens == run.model.max_new_tokens
        assert run.quantization in ("none", "int8")
    else:
        assert getattr(run, group).name == name


@pytest.mark.parametrize("preset", options("experiment"))
def test_every_preset_resolves(preset: str) -> None:
    run = resolved(preset)
    name = preset.removeprefix("experiment=")
    assert run.experiment == name
    assert run.results_dir == Path("results") / ("reference" if name.startswith("reference_") else name)


@pytest.mark.parametrize("written", OMEGAS)
def test_a_preset_takes_every_form_of_omega(written: str) -> None:
    assert resolved("experiment=paper_main", written).omegas == OMEGAS[written]


@pytest.mark.parametrize("preset", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_has_a_header(preset: Path) -> None:
    header = "".join(line for line in preset.read_text().splitlines(True) if line.startswith("#"))
    assert header.startswith("# @package _global_\n# ")
    assert f"EXPERIMENT={preset.stem}" in header or "make reproduce\n" in header
    assert "\n# Cost: " in header


MODELS = ["codegen_350m_mono", "codellama_7b", "deepseek_coder_1_3b", "deepseek_coder_6_7b", "deepseek_coder_33b"]
FAMILIES = ["humaneval_plus", "mbpp_plus"]


def test_the_papers_main_table_is_ten_cells() -> None:
    made = cells(["experiment=paper_main"])
    names = {name: config.load_model_config(name).name for name in MODELS}
    assert [(run.model.name, run.benchmark.name) for run in made] == [
        (names[model], benchmark) for model in MODELS for benchmark in FAMILIES
    ]
    for run in made:
        assert run.omegas == omega.Interval(0.0, 0.5)
        assert (run.anchor.name, run.mask.name, run.profile.name) == ("description", "per_token", "paper")
        assert (run.quantization, run.dtype, run.limit, run.score) == ("int8", "float16", None, True)
        assert (run.experiment, run.results_dir) == ("paper_main", Path("results/paper_main"))


def test_the_main_table_in_16_bits_differs_in_the_weights_alone() -> None:
    quantized, full = cells(["experiment=paper_main"]), cells(["experiment=paper_main_bf16"])
    changed = {"quantization": "none", "dtype": "bfloat16", "experiment": "paper_main_bf16"}
    changed["results_dir"] = Path("results/paper_main_bf16")
    assert full == [replace(cell, **changed) for cell in quantized]


@pytest.mark.parametrize(
    ("preset", "n_cells"),
    [("paper_omega", 10), ("paper_anchor", 60), ("paper_attention", 5), ("baselines", 10), ("quickstart", 1)],
)
def test_sweeps_of_presets(preset: str, n_cells: int) -> None:
    made = cells([f"experiment={preset}"])
    assert len(made) == n_cells
    order = [run.model.name for run in made]
    assert len([name for name, _ in itertools.groupby(order)]) == len(set(order)), "each model is loaded once"


def test_each_method_is_swept_over_its_own_weights_with_its_own_second_prompt() -> None:
    made = {run.method.name: run for run in cells(["experiment=methods"])}
    assert {"spa", "spa_probability", "spa_uncertainty", "cad", "cfg"} <= made.keys()
    assert {name: (run.anchor.name, run.mask.name) for name, run in made.items() if name in ("spa", "cad", "cfg")} == {
        "spa": ("description", "per_token"),
        "cad": ("description", "removed"),
        "cfg": ("prompt", "last_token"),
    }
    assert (made["spa"].omegas, made["cad"].omegas) == (omega.Interval(0.0, 0.5), omega.Interval(0.0, 1.0))


def test_the_anchors_share_a_cell_with_the_main_table() -> None:
    """So its results are there already."""

    def identity(run: Cell) -> Cell:
        return replace(run, experiment="", results_dir=Path())

    main = cells(["experiment=paper_main"])
    described = cells(["experiment=paper_anchor", "anchor=description"])
    assert [identity(run) for run in described] == [identity(run) for run in main]


def test_a_preset_may_be_narrowed() -> None:
    (run,) = cells(["experiment=paper_main", "model=codellama_7b", "benchmark=mbpp", "limit=3"])
    assert (run.model.name, run.benchmark.name, run.limit) == ("CodeLlama 7B", "mbpp", 3)
    swept = cells(["-m", "experiment=paper_main", "benchmark=mbpp", "omega=0,0.5"])
    assert [run.omegas.lo for run in swept] == [0, 0.5] * 5


def test_baselines_are_evalpluss() -> None:
    for run in cells(["experiment=baselines"]):
        assert (run.template, run.quantization, run.dtype, run.max_new_tokens) == ("evalplus", "none", "bfloat16", 768)
        assert run.omegas == omega.PLAIN
        assert run.profile.departures() == {"bare_code": True}


def test_qwens_prompt_departs_from_the_baselines_by_itself_alone() -> None:
    own, evalplus = cells(["experiment=reference_qwen_prompt"]), cells(["experiment=reference_baselines"])
    of_the_prompt = {"template": "evalplus", "max_new_tokens": 768, "max_total_tokens": None}
    assert {(run.template, run.extraction, run.max_new_tokens) for run in own} == {("qwen_coder", "evalplus", 2048)}
    assert [replace(run, experiment="reference_baselines", **of_the_prompt) for run in own] == evalplus


def test_standins_take_the_place_of_every_checkpoint() -> None:
    for run in cells(["experiment=paper_main", "standin=tiny"]):
        assert (run.standin, run.dtype, run.quantization) == (True, "float32", "none")
        assert run.results_dir == Path("results/standin/paper_main")
    (run,) = cells(["experiment=quickstart", "standin=tiny", "limit=7"])
    assert (run.limit, run.max_new_tokens) == (7, 16)


def test_defaults() -> None:
    run = resolved()
    assert (run.model.name, run.benchmark.name, run.anchor.name) == (
        "SmolLM2-135M-Instruct",
        "humaneval",
        "description",
    )
    assert (run.mask.name, run.profile.name, run.template) == ("per_token", "paper", "instruct")
    assert run.omegas == omega.PLAIN
    assert (run.experiment, run.results_dir) == ("adhoc", Path("results/adhoc"))
    assert (run.dtype, run.quantization, run.max_new_tokens, run.score, run.sandbox) == (
        "auto",
        "none",
        400,
        True,
        "auto",
    )


def test_methods_are_data() -> None:
    assert resolved().factors == SPA
    assert resolved("method=spa_probability").factors == Method("probability")
    assert resolved("method=spa_decay", "method.schedule_tokens=9").factors == Method(
        schedule="decay", schedule_tokens=9
    )
    contrastive, guided = resolved("method=cad"), resolved("method=cfg", "benchmark=mbpp")
    assert (contrastive.factors, contrastive.mask.name, contrastive.anchor.name) == (SPA, "removed", "description")
    assert (guided.factors, guided.mask.name, guided.anchor.name) == (SPA, "last_token", "prompt")
    package = resolved("method=spa_package", "omega=${method.weights}")
    assert (package.factors, package.mask.name) == (Method("package"), "package")
    assert package.omegas == omega.Values((0.0, 0.1, 0.2, 0.4, 1.0, 2.0, 19.0))
    assert resolved("mask=text", "mask.text='write bad code'").instead == "write bad code"


def test_a_runs_own_values_go_before_the_models() -> None:
    run = resolved(
        "model=codegen_350m_mono", "quantization=none", "dtype=bfloat16", "max_new_tokens=7", "template=instruct"
    )
    assert (run.quantization, run.dtype, run.max_new_tokens, run.template) == ("none", "bfloat16", 7, "instruct")
    assert resolved("model=hf", "model.path=some/Coder-1B").model.name == "Coder-1B"
    assert resolved("experiment=quickstart", "results_dir=elsewhere").results_dir == Path("elsewhere")


PAPER = {
    "codegen_350m_mono": ("Salesforce/codegen-350M-mono", "base", "completion", " ", 50256, 512),
    "codellama_7b": ("codellama/CodeLlama-7b-hf", "base", "completion", "<unk>", 2, 512),
    "deepseek_coder_1_3b": ("deepseek-ai/deepseek-coder-1.3b-instruct", "chat", "deepseek_coder", "<pad>", 32021, 1024),
    "deepseek_coder_6_7b": ("deepseek-ai/deepseek-coder-6.7b-instruct", "chat", "deepseek_coder", "<pad>", 32021, 1024),
    "deepseek_coder_33b": ("deepseek-ai/deepseek-coder-33b-instruct", "chat", "deepseek_coder", "<pad>", 32021, 1024),
}


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_checkpoints(name: str) -> None:
    run = resolved(f"model={name}")
    model = run.model
    (eos,) = model.eos_token_ids
    assert (model.path, model.kind, run.template, model.mask_token, eos, run.max_new_tokens) == PAPER[name]
    assert (run.quantization, run.dtype, model.device_map) == ("int8", "float16", "auto")
    assert model.shape.architecture == ("codegen" if name.startswith("codegen") else "llama")


def test_families_share_their_data() -> None:
    for family, n_tasks in (("humaneval", 164), ("mbpp", 378)):
        base, plus = resolved(f"benchmark={family}").benchmark, resolved(f"benchmark={family}_plus").benchmark
        assert (base.plus, plus.plus) == (False, True)
        assert (base.family, base.version, base.md5, base.n_tasks) == (plus.family, plus.version, plus.md5, n_tasks)


@pytest.mark.parametrize("option", options("method"))
def test_load_method(option: str) -> None:
    method = config.load_method(option.removeprefix("method="))
    assert method == resolved(option).factors
    assert config.load_method(method) is method


@pytest.mark.parametrize(
    ("method", "complaint"),
    [
        ("nope", "method=nope is unknown; choose one of: cad, cfg, spa, spa_decay"),
        (None, "method is a NoneType; give a spa.Method or the name of one in conf/method"),
    ],
)
def test_no_method(method: Any, complaint: str) -> None:
    with pytest.raises(SpaError, match=complaint):
        config.load_method(method)


def test_load_benchmark_config() -> None:
    assert config.load_benchmark_config("mbpp_plus") == resolved("benchmark=mbpp_plus").benchmark
    with pytest.raises(SpaError, match="benchmark=nope is unknown; choose one of: custom, humaneval, "):
        config.load_benchmark_config("nope")


# Profiles


# Mistakes


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=hf"], "model.path is missing"),
        (["benchmark=custom"], "benchmark.path is missing"),
        (["model=codellama_7b", "dtype=float32"], "int8 computes in float16, not dtype=float32"),
        (["model=codellama_7b", "dtype=bfloat16"], "int8 computes in float16, not dtype=bfloat16"),
        (["model=hf", "model.path=a/b", "quantization=int8", "dtype=bfloat16"], "int8 computes in float16"),
        (["quantization=int8"], "quantization=int8 does not apply to a GGUF file"),
        (["model=hf", "model.path=a", "model.gguf_file=b.gguf", "quantization=nf4"], "does not apply to a GGUF file"),
        (["template=nope"], "template=nope is unknown; choose one of: completion, deepseek_coder, evalplus, instruct"),
        (["dtype=float64"], "dtype=float64 is unknown"),
        (["quantization=int4"], "quantization=int4 is unknown"),
        (["sandbox=docker"], "sandbox=docker is unknown; choose one of: auto, bubblewrap, apptainer:IMAGE, none"),
        (["method.plausibility=2"], "method.plausibility=2.0 must be above 0 and at most 1"),
        (["method.schedule=decay"], "method.schedule=decay needs method.schedule_tokens"),
        (["mask=removed", "mask.token=x"], "mask.token=x has no meaning with mask=removed"),
        (["mask=text"], "mask=text needs mask.text"),
        (["mask.text=x"], "mask=per_token takes no mask.text"),
        (["method=spa_package", "omega=0..1"], "method.modulation=package is no line in omega.*omega=0.4"),
        (["extraction=nope"], "extraction=nope is unknown; choose one of: spa, evalplus"),
        (["mask.name=nope"], "mask=nope is unknown"),
        (["model.kind=nope"], "model.kind=nope is unknown"),
        (["benchmark.family=nope"], "benchmark.family=nope is unknown"),
        (["limit=0"], "limit=0 must be at least 1"),
        (["batch_size=0"], "batch_size=0 must be at least 1"),
        (["max_new_tokens=0"], "max_new_tokens=0 must be at least 1"),
        (["max_total_tokens=-1"], "max_total_tokens=-1 must be at least 1"),
        (["profile.max_lines=0"], "profile.max_lines=0 must be at least 1"),
        (
            ["profile.stop_at_bos=true", "model=hf", "model.path=a/b", "model.bos_token_id=1"],
            "stop_at_bos adds to model.eos_token_ids, which is empty",
        ),
        (["omega=nan"], "omega=nan must be finite"),
        (["omega=[0,inf]"], "must be finite"),
        (["omega=0.5..0"], "omega=0.5..0 is an empty or reversed interval"),
        (["omega=[]"], r"omega=\[\] is an empty set"),
        (["omega=much"], "omega=much is not a number"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else "",
)
def test_mistakes_give_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(SpaError, match=message) as error:
        resolved(*overrides)
    assert "\n" not in str(error.value)


# The generation key

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
IDENTITIES = st.dictionaries(st.text(min_size=1), JSON, min_size=1, max_size=6)


@given(IDENTITIES, st.randoms())
def test_key_ignores_the_order_of_fields(identity: dict[str, Any], random: Any) -> None:
    items = list(identity.items())
    random.shuffle(items)
    assert config.generation_key(dict(items)) == config.generation_key(identity)


@given(IDENTITIES, st.data())
def test_key_changes_with_any_field(identity: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(identity)))
    changed = {**identity, name: data.draw(JSON)}
    same = json.dumps(changed, sort_keys=True) == json.dumps(identity, sort_keys=True)
    assert (config.generation_key(changed) == config.generation_key(identity)) == same
    without = {other: value for other, value in identity.items() if other != name}
    assert config.generation_key(without) != config.generation_key(identity)


def test_the_keys_form() -> None:
    assert len(config.generation_key({"a": 1})) == 12


def test_a_shard_is_read() -> None:
    assert parse_shard(None) is None
    assert parse_shard("2/4") == Shard(2, 4)
    assert str(parse_shard("2/4")) == "2/4"


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "-1/2", "1/2/3", "", 3])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(SpaError, match=r"shard=.* is not one of several; write shard=1/4 to shard=4/4"):
        parse_shard(text)


@given(st.lists(st.integers()), st.integers(1, 9))
def test_every_item_is_in_one_part(items: list[int], count: int) -> None:
    parts = [Shard(number, count).part(items) for number in range(1, count + 1)]
    assert sorted(item for part in parts for item in part) == sorted(items)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
