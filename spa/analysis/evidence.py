"""What the claims are judged by: the cells' curves, attention measurements and benchmarks of speed."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from spa.analysis.aggregate import JudgedRun
from spa.analysis.curves import Curve, curves
from spa.errors import SpaError
from spa.results.speed import PLAIN, SPA, Measurement, Ratio, read_folder
from spa.results.store import Results

ATTENTION = ["task_id", "branch", "measure", "position", "relative_position", "prompt_share", "anchor_share"]
ATTENTION += ["prompt_tokens"]
# Models of the paper whose shapes the benchmark fills with random weights.
SHAPES = {"codellama_7b", "deepseek_coder_1_3b", "deepseek_coder_6_7b", "deepseek_coder_33b"}
_SPEED_BATCH = 16


@dataclass(frozen=True)
class Attention:
    """One attention measurement; `shares` has the columns ATTENTION."""

    key: str
    model: str
    benchmark: str
    shares: pd.DataFrame


@dataclass(frozen=True)
class Speed:
    """The time of SPA over that of plain decoding, by our engine; all but `by_batch` at batch 16."""

    name: str  # of the file
    conditions: str
    of_the_paper: bool  # the shape of one of its models
    ratio: float
    rounds: tuple[float, ...]  # the ratio in each interleaved round
    by_batch: dict[int, float]  # the ratio at each batch size that was measured
    plain_tokens_per_second: float
    spa_tokens_per_second: float


@dataclass(frozen=True)
class Evidence:
    curves: Sequence[Curve]
    attention: Sequence[Attention] = ()
    speed: Sequence[Speed] = ()


def read(folders: Sequence[Results], runs: Sequence[JudgedRun], tasks: pd.DataFrame) -> Evidence:
    """All that lies in results folders; `runs` and `tasks` as `aggregate` gives them."""
    visible = {
        run.reading: {
            line.task_id: line.passed_visible for line in run.lines if line.is_plain and line.passed_visible is not None
        }
        for run in runs
    }
    return Evidence(curves(tasks, visible), read_attention(folders), read_speed(folders))


def read_attention(folders: Sequence[Results]) -> list[Attention]:
    """The finished measurements of results folders, each key once; SpaError for a file without its columns."""
    found: dict[str, Attention] = {}
    for place in (place for results in folders for place in results.attentions()):
        manifest, shares = place.manifest(), pd.read_csv(place.shares_path)
        if missing := [name for name in ATTENTION if name not in shares]:
            raise SpaError(
                f"{place.shares_path} has no column {', '.join(missing)}; measure it again (scripts/attention.py)"
            )
        found.setdefault(place.key, Attention(place.key, manifest.model or place.key, manifest.benchmark, shares))
    return list(found.values())


def read_speed(folders: Sequence[Results]) -> list[Speed]:
    """The benchmarks in `bench/`, in the results folders or beside them, that compare SPA with plain decoding."""
    places = {place.resolve() for results in folders for place in (results.folder, results.folder.parent)}
    found = {path.name: (path.stem, each) for place in sorted(places) for path, each in read_folder(place / "bench")}
    return [_speed(*found[name]) for name in sorted(found) if Ratio.SPA_AT_16 in found[name][1].ratios]


def _speed(name: str, measured: Measurement) -> Speed:
    spas, plains, setting = measured.whole(SPA), measured.whole(PLAIN), measured.setting
    spa, plain = spas[_SPEED_BATCH], plains[_SPEED_BATCH]
    return Speed(
        name=name,
        conditions=f"{setting.model}, {setting.dtype}, {setting.device} ({measured.machine.processor})",
        of_the_paper=setting.shape in SHAPES,
        ratio=measured.ratios[Ratio.SPA_AT_16],
        rounds=tuple(a / b for a, b in zip(spa.rounds, plain.rounds, strict=True)),
        by_batch={batch: spas[batch].seconds / plains[batch].seconds for batch in sorted(spas.keys() & plains)},
        plain_tokens_per_second=plain.tokens_per_second,
        spa_tokens_per_second=spa.tokens_per_second,
    )
