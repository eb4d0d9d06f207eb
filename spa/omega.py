"""Sets of anchoring weights: the values, or the interval, that one run decodes.

omega = 0 is plain greedy decoding and omega = -1 the masked prompt alone (the scale of the paper's first version).
"""

import math
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from spa.errors import SpaError

_HELP = "write a number (omega=0.2), a list (omega=[0,0.1,0.2]) or an interval (omega=0..0.5)"


@dataclass(frozen=True)
class Values:
    """Finitely many omegas, ascending and distinct."""

    values: tuple[float, ...]

    @property
    def lo(self) -> float:
        return self.values[0]

    @property
    def hi(self) -> float:
        return self.values[-1]


@dataclass(frozen=True)
class Interval:
    """Every omega in [lo, hi), or in [lo, hi] where closed."""

    lo: float
    hi: float
    closed: bool = True


OmegaSet = Values | Interval
Number = Any  # a float, or an array of them

PLAIN = Values((0.0,))


def parse(value: Any) -> OmegaSet:
    """Read an omega set as configs and command lines write it; one that is read already is only checked.

    Raises SpaError for NaN, infinity, and empty or reversed sets.
    """
    if isinstance(value, Values):
        value = value.values
    if isinstance(value, Interval):
        return _interval(value.lo, value.hi, value.closed, f"{value.lo}..{value.hi}")
    if isinstance(value, str) and ".." in value:
        match = re.fullmatch(r"\s*(.+?)\s*\.\.\s*(.+?)\s*", value)
        if not match:
            raise SpaError(f"omega={value} is not an interval; {_HELP}")
        return _interval(match[1], match[2], True, value)
    if isinstance(value, list | tuple):
        if not value:
            raise SpaError(f"omega=[] is an empty set; {_HELP}")
        return Values(tuple(sorted({_number(item, value) for item in value})))
    return Values((_number(value, value),))


def parse_one(value: Any) -> float:
    """Read a single omega, in any form of `parse`. Raises SpaError for a set of several."""
    omegas = parse(value)
    if omegas.lo != omegas.hi:
        raise SpaError(f"omega={as_written(omegas)} is more than one value; give a single number")
    return omegas.lo


def parse_strength(value: Any) -> OmegaSet:
    """Read a set of strengths, in any form of `parse`: 1 + omega, the scale of the authors' package `anchoring`.

    1 is plain. As decimal numbers: strength 1.4 is omega 0.4, not 0.3999999999999999.
    Raises SpaError as `parse` does.
    """
    try:
        strengths = parse(value)
    except SpaError as error:
        raise SpaError(str(error).replace("omega", "strength")) from None
    if isinstance(strengths, Interval):
        return parse(Interval(_less_1(strengths.lo), _less_1(strengths.hi), strengths.closed))
    return parse([_less_1(strength) for strength in strengths.values])


def _less_1(strength: float) -> float:
    return float(Decimal(repr(strength)) - 1)


def to_json(omegas: OmegaSet) -> Any:
    """The set as manifests keep it: a list of values, or the two ends of a closed interval."""
    return list(omegas.values) if isinstance(omegas, Values) else {"lo": omegas.lo, "hi": omegas.hi}


def from_json(content: Any) -> OmegaSet:
    """Read what `to_json` gives."""
    return parse(Interval(content["lo"], content["hi"]) if isinstance(content, dict) else content)


def as_written(omegas: OmegaSet) -> Any:
    """The set as a config writes it: a number, a list of numbers, or `lo..hi`. `parse` reads it back."""
    if isinstance(omegas, Interval):
        return f"{_plain_number(omegas.lo)}..{_plain_number(omegas.hi)}"
    numbers = [_plain_number(value) for value in omegas.values]
    return numbers[0] if len(numbers) == 1 else numbers


def holds(lo: Number, hi: Number, value: float, end: Number) -> Any:
    """Whether the line of one omega, or of the part [lo, hi) of an interval, holds a value; elementwise for arrays.

    end: the upper end of the whole set, which is closed: the part that ends there holds it.
    """
    return (lo == value) | ((lo <= value) & (value < hi)) | ((hi == value) & (value == end))


def size(omegas: OmegaSet) -> float:
    """The number of values, or the length of the interval."""
    return len(omegas.values) if isinstance(omegas, Values) else omegas.hi - omegas.lo


def has_zero(omegas: OmegaSet) -> bool:
    """Whether plain decoding belongs to the set."""
    end = omegas.hi if isinstance(omegas, Values) or omegas.closed else math.inf
    return any(holds(lo, hi, 0.0, end) for lo, hi in bounds(omegas))


def share(part: OmegaSet, whole: OmegaSet) -> float:
    """How much of `whole` its subset `part` is, between 0 and 1."""
    return size(part) / size(whole)


def shares(whole: OmegaSet, parts: Iterable[tuple[float, float]]) -> float:
    """The sum of the (lo, hi) parts' shares of `whole`: of the parts of many tasks, how many tasks they make up."""
    return sum(hi - lo if isinstance(whole, Interval) else 1 for lo, hi in parts) / size(whole)


def remaining(whole: OmegaSet, done: Iterable[tuple[float, float]]) -> list[OmegaSet]:
    """What of `whole` the finished (lo, hi) parts leave; parts of an interval are half-open, the last one closed.

    Parts may overlap each other and reach out of `whole`.
    """
    if isinstance(whole, Values):
        finished = {lo for lo, hi in done if lo == hi}
        left = tuple(value for value in whole.values if value not in finished)
        return [Values(left)] if left else []
    gaps: list[OmegaSet] = []
    start = whole.lo
    for lo, hi in sorted(part for part in done if part[0] < min(part[1], whole.hi)):
        if lo > start:
            gaps.append(Interval(start, lo, closed=False))
        start = max(start, hi)
    if start < whole.hi:
        gaps.append(Interval(start, whole.hi, whole.closed))
    return gaps


def bounds(part: OmegaSet) -> list[tuple[float, float]]:
    """The part as result lines name it: (omega, omega) for each value, or the two ends of an interval."""
    return [(value, value) for value in part.values] if isinstance(part, Values) else [(part.lo, part.hi)]


def omega_text(lo: float, hi: float) -> str:
    """One value, or the part of an interval from `lo` up to `hi`."""
    return f"{lo:g}" if hi - lo < sys.float_info.min else f"{lo:.4f}..{hi:.4f}"


def omega_set_text(omega: list[float] | dict[str, float]) -> str:
    """An omega set in the form that a manifest keeps."""
    return (
        f"{omega['lo']:g}..{omega['hi']:g}" if isinstance(omega, dict) else ", ".join(f"{value:g}" for value in omega)
    )


def _plain_number(value: float) -> int | float:
    return int(value) if value.is_integer() else value


def _interval(lo: Any, hi: Any, closed: bool, whole: str) -> Interval:
    lo, hi = _number(lo, whole), _number(hi, whole)
    if lo >= hi:
        raise SpaError(f"omega={whole} is an empty or reversed interval; write the smaller end first")
    return Interval(lo, hi, closed)


def _number(item: Any, whole: Any) -> float:
    try:
        if isinstance(item, bool):
            raise ValueError
        number = float(item)
    except (TypeError, ValueError):
        raise SpaError(f"omega={whole} is not a number, a list of numbers or an interval; {_HELP}") from None
    if not math.isfinite(number):
        raise SpaError(f"omega={whole} must be finite; {_HELP}")
    return number + 0.0  # -0.0 becomes 0.0
