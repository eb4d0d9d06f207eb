"""The embedded default model on real tasks: batch sizes, oracles, replay of what is stored. Float32, CPU."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from spa import generation, models, pipeline
from spa.config import CONF, RunConfig, register, resolve
from spa.decoding.engine import Engine
from spa.decoding.lanes import Request
from spa.decoding.stopping import ClosedBlock, detokenizer
from spa.omega import Values
from spa.replay import compare, replay
from spa.store import Results

pytestmark = pytest.mark.slow


def config(results: Path, *overrides: str) -> RunConfig:
    register()
    with initialize_config_dir(str(CONF), version_base=None):
        return resolve(compose("config", ["model=smollm2_135m", f"results_dir={results}", *overrides]))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Ten tasks at two omegas, generated and scored."""
    folder = tmp_path_factory.mktemp("results")
    pipeline.run_cell(config(folder, "limit=10", "omega=[0.1,0.5]", "max_new_tokens=32", "dtype=float32"))
    return Results(folder)


def test_replay_reproduces_what_is_stored(stored: Results) -> None:
    replayed = list(replay(stored, n_tasks=10))
    assert len(replayed) == 20
    assert [done.sample.task_id for done in replayed if not done.agrees] == []


def test_a_changed_token_is_noticed(stored: Results) -> None:
    from dataclasses import replace

    (run,) = stored.runs()
    sample = run.samples()[0]
    cell = config(stored.folder)
    checkpoint = models.identify(cell.model)
    loaded = models.load(checkpoint, cell.model, models.load_tokenizer(checkpoint), "float32", "none")
    forged = replace(sample, completion_ids=[*sample.completion_ids[:5], 17, *sample.completion_ids[6:]])
    assert compare(loaded, sample, run.key, ()).agrees
    assert not compare(loaded, forged, run.key, ()).agrees
    assert compare(loaded, forged, run.key, ()).same == 5


def test_scores_and_summary_are_complete(stored: Results) -> None:
    (run,) = stored.runs()
    manifest = run.manifest()
    assert len(run.scores()) == len({(s.task_id, s.solution) for s in run.samples()})
    assert manifest["dtype"] == "float32"
    assert manifest["weights"] == "Q4_1"
    assert manifest["scoring"]["corrections"] == {} or "HumanEval/32" in manifest["scoring"]["corrections"]


def test_batches_agree_in_float32(tmp_path: Path) -> None:
    plan = generation.plan(config(tmp_path, "limit=6", "omega=[0,0.3]", "max_new_tokens=24", "dtype=float32"))
    tokenizer = models.load_tokenizer(plan.checkpoint)
    loaded = models.load(plan.checkpoint, plan.config.model, tokenizer, "float32", "none")
    pairs = generation.render_all(plan, tokenizer, plan.problems)
    results: list[dict[Any, Any]] = []
    for batch_size in (1, 4, 16):
        engine = Engine(loaded.model, loaded.eos_ids, detokenizer(tokenizer), batch_size)
        requests = [
            Request(
                pair.task_id,
                pair.original_ids,
                pair.masked_ids,
                Values((0.0, 0.3)),
                ClosedBlock(),
                24,
            )
            for pair in pairs
        ]
        results.append({(d.task_id, d.omegas): d.completion_ids for d in engine.decode(requests)})
    assert results[0] == results[1] == results[2]
