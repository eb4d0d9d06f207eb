"""Studies that were never run: cells whose pass rates over omega are known, to see how often a rule errs.

A task passes at an omega where its difficulty, uniform in [0, 1], lies below the pass rate there. Difficulties are
partly shared between models and mostly kept from one omega to the next: 8 to 10% of the tasks change between omega 0
and 0.25, somewhat more than in the runs of results/reference.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from synthetic import curve

from spa.analysis.claims import MODELS, N_TASKS
from spa.analysis.curves import Curve

OMEGAS = np.linspace(0, 0.5, 11)
PLAIN = dict(zip(MODELS, (0.15, 0.35, 0.6, 0.75, 0.8), strict=True))  # Pass@1 on base tests
PLUS = 0.9  # of the tasks that pass those, so many pass the further ones
SHARED = 0.5  # of the tasks are as difficult for a model as they are for all
REDRAWN = 0.05  # of the tasks get a new difficulty from each omega to the next

Floats = NDArray[np.float64]
Gain = Callable[[str], Floats]  # of a model, at each of OMEGAS


def flat(height: float = 0) -> Floats:
    """The same gain at every omega beside 0."""
    return height * (OMEGAS > 0)


def peak(height: float, at: float = 0.2, width: float = 0.1) -> Floats:
    """A gain that rises from nothing at omega 0 to one peak and falls."""
    bump = np.exp(-(((OMEGAS - at) / width) ** 2))
    return height * (bump - bump[0]) / (1 - bump[0])


def difficulty(shared: Floats, rng: np.random.Generator) -> Floats:
    """(T,) of one model, of which some are the `shared` ones."""
    return np.where(rng.random(len(shared)) < SHARED, shared, rng.random(len(shared)))


def along_omega(first: Floats, rng: np.random.Generator) -> Floats:
    """(T, P), from the difficulties at omega 0."""
    columns = [first]
    for _ in OMEGAS[1:]:
        redrawn = rng.random(len(first)) < REDRAWN
        columns.append(np.where(redrawn, rng.random(len(first)), columns[-1]))
    return np.column_stack(columns)


def cell(difficulties: Floats, gain: Floats, model: str, benchmark: str = "humaneval", **settings: str) -> Curve:
    rate = PLAIN[model] * (PLUS if benchmark.endswith("_plus") else 1)
    return curve(difficulties < rate + gain, OMEGAS, model=model, benchmark=benchmark, **settings)


def study(gain: Gain, rng: np.random.Generator, models: Sequence[str] = MODELS) -> list[Curve]:
    """The cells of models on the four benchmarks; base and plus tests judge the same texts."""
    cells = []
    for family in ("humaneval", "mbpp"):
        shared = rng.random(N_TASKS[family])
        for model in models:
            difficulties = along_omega(difficulty(shared, rng), rng)
            cells += [cell(difficulties, gain(model), model, name) for name in (family, f"{family}_plus")]
    return cells


def attention(slope: float, rng: np.random.Generator, n_tasks: int = 40) -> pd.DataFrame:
    """Shares of attention on the prompt that leave even attention's by `slope` per 100 tokens, as in shares.csv."""
    rows = []
    for task in range(n_tasks):
        position = np.linspace(0, rng.integers(40, 400), 12).round()
        level, own = rng.normal(1, 0.1), slope + rng.normal(0, 0.05)
        relative = level + own * position / 100 + rng.normal(0, 0.1, len(position))
        even = 190 / (190 + position)
        rows.append(pd.DataFrame({"task_id": str(task), "position": position, "prompt_share": relative * even}))
    return pd.concat(rows, ignore_index=True).assign(prompt_tokens=190)
