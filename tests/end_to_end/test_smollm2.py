"""The embedded default model on real tasks: batch sizes, oracles, replay of what is stored. Float32, CPU."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from spa.config import CONF, Cell, resolve
from spa.decoding.engine import Engine
from spa.decoding.lanes import Decoded, Request
from spa.decoding.stopping import ClosedBlock, detokenizer
from spa.models import checkpoints
from spa.omega import Interval, OmegaSet, Values
from spa.records import PromptPair
from spa.results.store import Results
from spa.runs import prepare, run_cell
from spa.runs.replay import compare, replay
from spa.schema import register

pytestmark = pytest.mark.slow


def config(results: Path, *overrides: str) -> Cell:
    register()
    with initialize_config_dir(str(CONF), version_base=None):
        return resolve(compose("config", ["model=smollm2_135m", f"results_dir={results}", *overrides]))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Five tasks at two omegas, generated and scored."""
    folder = tmp_path_factory.mktemp("results")
    run_cell.run_cell(config(folder, "limit=5", "omega=[0.1,0.5]", "max_new_tokens=24", "dtype=float32"))
    return Results(folder)


def test_replay_reproduces_what_is_stored(stored: Results) -> None:
    replayed = list(replay(stored, n_tasks=5))
    assert len(replayed) == 10
    assert [done.sample.task_id for done in replayed if not done.agrees] == []


def test_a_changed_token_is_noticed(stored: Results) -> None:
    (run,) = stored.runs()
    sample = run.samples()[0]
    settings = config(stored.folder)
    checkpoint = checkpoints.identify(settings.model)
    loaded = checkpoints.load(checkpoint, settings.model, checkpoints.load_tokenizer(checkpoint), "float32", "none")
    forged = replace(sample, completion_ids=[*sample.completion_ids[:5], 17, *sample.completion_ids[6:]])
    assert compare(loaded, sample, run.key, ()).agrees
    assert not compare(loaded, forged, run.key, ()).agrees
    assert compare(loaded, forged, run.key, ()).same == 5


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

    loaded: checkpoints.LoadedModel
    pairs: Sequence[PromptPair]

    def decode(self, omegas: Sequence[tuple[PromptPair, OmegaSet]], new_tokens: int, batch_size: int) -> list[Decoded]:
        engine = Engine(self.loaded.model, self.loaded.eos_ids, detokenizer(self.loaded.tokenizer), batch_size)
        requests = [
            Request(pair.task_id, pair.original_ids, pair.masked_ids, part, ClosedBlock(), new_tokens)
            for pair, part in omegas
        ]
        return list(engine.decode(requests))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    plan = prepare.prepare(config(tmp_path_factory.mktemp("bench"), "limit=4", "omega=0.3", "dtype=float32"))
    tokenizer = checkpoints.load_tokenizer(plan.checkpoint)
    loaded = checkpoints.load(plan.checkpoint, plan.cell.model, tokenizer, "float32", "none")
    return Bench(loaded, prepare.render_all(plan, tokenizer, plan.problems))


def test_batches_agree_in_float32(bench: Bench) -> None:
    work = [(pair, Values((0.0, 0.3))) for pair in bench.pairs]
    one, three, sixteen = (
        {(text.task_id, text.omegas): text.completion_ids for text in bench.decode(work, 20, batch_size)}
        for batch_size in (1, 3, 16)
    )
    assert one == three == sixteen


def test_an_interval_holds_the_text_of_every_omega_inside(bench: Bench) -> None:
    draw = random.Random(0)
    pairs = {pair.task_id: pair for pair in bench.pairs[:3]}
    parts = bench.decode([(pair, Interval(0.0, 0.5)) for pair in pairs.values()], 20, 16)
    wide = [part for part in parts if part.omegas.hi - part.omegas.lo > 2e-4]
    assert len(wide) > len(pairs)
    work, expected = [], {}
    for number in range(60):
        part = wide[number % len(wide)]
        omega = draw.uniform(part.omegas.lo + 1e-4, part.omegas.hi - 1e-4)
        work.append((pairs[part.task_id], Values((omega,))))
        expected[part.task_id, omega] = part.completion_ids
    singles = bench.decode(work, 20, 30)
    assert {(text.task_id, text.omegas.lo): text.completion_ids for text in singles} == expected
