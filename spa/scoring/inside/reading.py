"""Told values, read: what `values.encode` wrote in a solution's sandbox, where no solution is.

Whatever the text says, `decode` makes values of the types named here and nothing else, and runs no code of the sender.
What arrives compares as the value would have; what has no form becomes an `Opaque`, equal to nothing but itself.
"""

import json
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, UserString, deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from spa.scoring.inside.values import CONTENT, OWN_EQUALITY, PART, SCALARS, is_small

LONGEST_TYPE = 16  # characters of the name of a type of numpy; a longer one would be a list of fields


class Opaque:
    """Stands for an object that is no plain data."""

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name

    def __repr__(self) -> str:
        return f"<a {self.type_name}>"


class Digest:
    """Stands for a sequence or text too long to be carried; equal to that of one whose items look the same."""

    def __init__(self, digest: str) -> None:
        self.digest = digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def decode(line: bytes) -> Any:
    """The value that a line stands for; ValueError for any line that `encode` does not write."""
    try:
        return _value(json.loads(line))
    except (ArithmeticError, AttributeError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"not a value: {type(error).__name__}") from None


def equals_itself(line: bytes) -> bool:
    """Whether equal lines stand for equal values: not where one holds what is equal to nothing, or to itself alone."""
    return not any(mark in line for mark in (b"NaN", b'["opaque",', OWN_EQUALITY))


def _value(form: Any) -> Any:
    if type(form) is not list:
        if type(form) is dict:
            raise ValueError("not a value: an object")
        return form
    tag, *parts = form
    if tag not in READ:
        raise ValueError(f"not a value: tag {tag!r:.20}")
    return READ[tag](parts)


def _values(parts: list[Any]) -> list[Any]:
    return parts if set(map(type, parts)) <= SCALARS else [_value(part) for part in parts]


def _read_pairs(parts: list[Any]) -> list[tuple[Any, Any]]:
    values = _values(parts)
    return list(zip(values[::2], values[1::2], strict=True))


def _small(value: Any) -> Any:
    if is_small(value):
        return value
    raise ValueError("not a value: too large")


def _read_numpy(parts: list[Any]) -> Any:
    import numpy

    dtype, item = parts
    return numpy.array(_value(item), dtype=_numpy_type(dtype))[()]


def _read_array(parts: list[Any]) -> Any:
    import numpy

    dtype, shape, items = parts
    values = _value(items)
    found = numpy.empty(len(values), dtype=_numpy_type(dtype))
    found[:] = values
    return found.reshape(_value(shape))


def _numpy_type(name: str) -> Any:
    import numpy

    dtype = numpy.dtype(_only(str, [name])[:LONGEST_TYPE])
    if dtype.kind not in "biufcSUO" or dtype.itemsize > PART:
        raise ValueError("not a value: a type of numpy")
    return dtype


def _read_subclass(parts: list[Any]) -> Any:
    """An instance of the class that stands in for all subclasses of what the form is read as."""
    value = _value(*parts)
    return STAND_INS[type(value)](value)


def _only(check: type, parts: list[Any]) -> Any:
    (part,) = parts
    if type(part) is not check:
        raise TypeError(check.__name__)
    return part


STAND_INS: dict[type, type] = {base: type(f"A{base.__name__}", (base,), {}) for base in (*CONTENT, Fraction, Decimal)}
READ: dict[str, Callable[[list[Any]], Any]] = {
    "int": lambda parts: _small(int(_only(str, parts), 16)),
    "str": lambda parts: bytes.fromhex(_only(str, parts)).decode("utf-32-le", "surrogatepass"),
    "list": _values,
    "tuple": lambda parts: tuple(_values(parts)),
    "set": lambda parts: set(_values(parts)),
    "frozenset": lambda parts: frozenset(_values(parts)),
    "deque": lambda parts: deque(_values(parts)),
    "dict": lambda parts: dict(_read_pairs(parts)),
    "OrderedDict": lambda parts: OrderedDict(_read_pairs(parts)),
    "Counter": lambda parts: Counter(dict(_read_pairs(parts))),
    "bytes": lambda parts: bytes.fromhex(_only(str, parts)),
    "bytearray": lambda parts: bytearray.fromhex(_only(str, parts)),
    "memoryview": lambda parts: memoryview(bytes.fromhex(_only(str, parts))),
    "complex": lambda parts: complex(*parts),
    "range": lambda parts: _small(range(*_values(parts))),
    "Fraction": lambda parts: Fraction(*(_only(int, [part]) for part in _values(parts))),  # never of a text
    "Decimal": lambda parts: _small(Decimal(_only(str, parts))),
    "UserList": lambda parts: UserList(_value(*parts)),
    "UserDict": lambda parts: UserDict(_value(*parts)),
    "UserString": lambda parts: UserString(_value(*parts)),
    "ChainMap": lambda parts: ChainMap(_value(*parts)),
    "keys": lambda parts: dict.fromkeys(_values(parts)).keys(),
    "sub": _read_subclass,
    "numpy": _read_numpy,
    "array": _read_array,
    "digest": lambda parts: Digest(_only(str, parts)),
    "opaque": lambda parts: Opaque(_only(str, parts)),
    "own": lambda parts: Opaque(_only(str, parts)),
}
