"""Benchmarks of speed, made up."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from spa.results.speed import PLAIN, SPA, Machine, MeasuredSide, Measurement, Ratio, Setting


def side(name: str, batch: int, rounds: Sequence[float], tokens_per_second: float, **more: Any) -> MeasuredSide:
    """One that does our work, at the median of its rounds."""
    return MeasuredSide(
        **{"name": name, "kind": "ours", "batch": batch, "omega": 0 if name == PLAIN else 0.2} | more,
        seconds=median(rounds),
        rounds=tuple(rounds),
        tokens=100,
        tokens_per_second=tokens_per_second,
        peak_mib=1.0,
    )


SIDES = (
    side(SPA, 1, [9, 9, 9], 1, tasks=2),
    side(PLAIN, 4, [9, 9, 9], 1),
    side(PLAIN, 16, [2, 3, 4], 90),
    side(SPA, 4, [9.9, 9.9, 9.9], 1),
    side(SPA, 16, [3, 4.5, 6.4], 60),
)


def measurement(
    shape: str | None = "deepseek_coder_6_7b",
    sides: Sequence[MeasuredSide] = SIDES,
    ratios: Mapping[str, float] | None = None,
) -> Measurement:
    """A measurement on a GPU in which SPA takes 1.5 times as long as plain decoding."""
    return Measurement(
        setting=Setting(24, "cuda", shape, "bfloat16", 2, lengths=(3, 5)),
        rounds=3,
        machine=Machine("GPU", "2.13.0", {}, None, {}),
        sides=tuple(sides),
        ratios={Ratio.SPA_AT_16: 1.5} if ratios is None else dict(ratios),
    )
