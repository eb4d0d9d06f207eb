"""Values as tagged JSON: how what a solution returned leaves its sandbox.

Whatever the text says, `decode` makes values of the types named here and nothing else, and runs no code of the sender:
no class of a solution, and none of its methods, gets out. What arrives compares as the value would have: numpy's
scalars arrive as such, an instance of a subclass as one of a class that stands in for it. What has no form here, such
as a `re.Match`, becomes an `Opaque`, equal to nothing but itself.

None, booleans, floats, text and integers below 2**53 are themselves; all else is an array that begins with its tag.
Imports the standard library alone, since it runs beside the solution as well; numpy only where a value needs it.
"""

import json
import marshal
import re
import sys
from collections import ChainMap, Counter, OrderedDict, UserDict, UserList, UserString, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Set
from decimal import Decimal
from fractions import Fraction
from types import FunctionType
from typing import Any

EXACT = 2**53  # JSON readers other than Python's keep integers up to here
NUMBERS = frozenset((bool, int, float))
SCALARS = frozenset((*NUMBERS, str, type(None)))
MANY = 2**18  # items of a sequence that travels as a `Digest`: Mbpp/255 returns a gigabyte of JSON
PART = 2**12
MOST_BITS = 2**23  # of an integer; HumanEval/83 returns a million digits
MOST_DIGITS = 10_000  # of a decimal number, before and after its point
SURROGATE = re.compile("[\ud800-\udfff]")  # a half of a character, which JSON would join with the next
WRITER = json.JSONEncoder(separators=(",", ":"), check_circular=False)
OWN_EQUALITY = b'["own",'  # stands in a line where a value's equality is code of the solution


class Opaque:
    """Stands for an object that is no plain data."""

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name

    def __repr__(self) -> str:
        return f"<a {self.type_name}>"


class Digest:
    """Stands for a sequence too long to be carried; equal to that of one whose items look the same."""

    def __init__(self, digest: str) -> None:
        self.digest = digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and other.digest == self.digest

    __hash__ = None  # type: ignore[assignment]


def encode(value: Any) -> bytes:
    """The value as one line of JSON, in ASCII; as if opaque where it is nested too deeply or raises."""
    try:
        return WRITER.encode(_form(value)).encode()
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):  # RecursionError, too
        return WRITER.encode(["opaque", type(value).__name__]).encode()


def decode(line: bytes) -> Any:
    """The value that a line stands for; ValueError for any line that `encode` does not write."""
    try:
        return _value(json.loads(line))
    except (ArithmeticError, AttributeError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"not a value: {type(error).__name__}") from None


def equals_itself(line: bytes) -> bool:
    """Whether equal lines stand for equal values: not where one holds what is equal to nothing, or to itself alone."""
    return not any(mark in line for mark in (b"NaN", b'["opaque",', OWN_EQUALITY))


def _form(value: Any) -> Any:
    kind = type(value)
    if kind in SCALARS:
        return _scalar(value)
    if kind is list or kind is tuple:
        if len(value) >= MANY:
            return ["digest", _digest(value)]
        return [kind.__name__, *(value if _is_plain(value) else map(_form, value))]
    if kind is defaultdict:  # equal to a dict, and its factory is code
        return ["dict", *_pairs(value)]
    if kind in WRITE and not (kind in (range, Decimal) and not _is_small(value)):
        return [kind.__name__, *WRITE[kind](value)]
    return _unusual(value)


def _scalar(value: Any) -> Any:
    if type(value) is int and not -EXACT < value < EXACT:
        return ["int", hex(value)] if _is_small(value) else ["opaque", "int"]
    if type(value) is str and not value.isascii() and SURROGATE.search(value):
        return ["str", value.encode("utf-32-le", "surrogatepass").hex()]
    return value


def _is_plain(items: list[Any] | tuple[Any, ...]) -> bool:
    """Whether all items are their own form; tells most lists in one pass over their types."""
    kinds = set(map(type, items))
    if kinds <= NUMBERS:
        return kinds <= {bool, float} or (min(items) > -EXACT and max(items) < EXACT)
    return kinds == {str} and "".join(items).isascii()


def _unusual(value: Any) -> Any:
    """Values of numpy, sympy and mpmath, views of a dictionary, mappings, and subclasses."""
    kind = type(value)
    library, name = kind.__module__.partition(".")[0], f"{kind.__module__}.{kind.__qualname__}"
    if library == "numpy" and (form := _numpy_form(value)):
        return form
    if library in ("sympy", "mpmath") and (number := _plain(value)) is not None:
        return ["sub", _form(number)]
    if _compares_itself(kind):
        return ["own", name]
    for base, content in CONTENT.items():
        if isinstance(value, base):
            return ["sub", _form(base(content(value)))]
    if isinstance(value, Mapping):
        return ["ChainMap", _form(dict(value.items()))]
    if isinstance(value, Set):  # the views of a dictionary
        return ["keys", *map(_form, value)]
    return ["opaque", name]


def _compares_itself(kind: type) -> bool:
    """Whether the class, or one that it extends, compares by a function of the solution: its text was no file."""
    return isinstance(kind.__eq__, FunctionType) and kind.__eq__.__code__.co_filename == "<string>"


def _numpy_form(value: Any) -> Any:
    numpy = sys.modules["numpy"]
    if isinstance(value, numpy.generic) and value.dtype.kind in "biufcSU":
        item = value.item()
        if isinstance(item, numpy.generic):  # more digits than Python's numbers have
            item = float(value)
        return ["numpy", value.dtype.str, _form(item)] if item == value or item != item else None
    if type(value) is numpy.ndarray and value.dtype.kind in "biufcSUO" and value.size < MANY:
        return ["array", value.dtype.str, _form(value.shape), _form(value.ravel().tolist())]
    return None


def _plain(value: Any) -> Any:
    """What a number, truth value or collection of sympy or mpmath equals, if there is such a thing."""
    for kind in (bool, int, float, complex, tuple, dict):
        try:
            plain: Any = kind(value)
            if plain == value:
                return int(plain) if kind is bool else plain
        except (TypeError, ValueError, ArithmeticError):
            continue
    return None


def _digest(value: list[Any] | tuple[Any, ...]) -> str:
    import hashlib

    found = hashlib.sha256(type(value).__name__.encode())
    for start in range(0, len(value), PART):
        part = value[start : start + PART]
        numbers = set(map(type, part)) <= NUMBERS  # marshal is quicker, and not exact for all else
        found.update(marshal.dumps(part, 2) if numbers else repr(part).encode("utf-8", "surrogatepass"))
    return found.hexdigest()


def _pairs(value: dict[Any, Any]) -> Iterable[Any]:
    return (_form(part) for pair in dict.items(value) for part in pair)


def _is_small(value: int | range | Decimal) -> bool:
    """Whether it can be computed with: a few characters may stand for more than any machine can hold."""
    if isinstance(value, range):
        return len(value[:MANY]) < MANY
    if isinstance(value, Decimal):
        _, digits, exponent = value.as_tuple()
        return not isinstance(exponent, int) or len(digits) + abs(exponent) <= MOST_DIGITS
    return value.bit_length() <= MOST_BITS


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
    if _is_small(value):
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

    dtype = numpy.dtype(_only(str, [name]))
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


# How a type's content is written, and how it is read; list, tuple and scalars are written in `_form`.
WRITE: dict[type, Callable[[Any], Iterable[Any]]] = {
    set: lambda value: map(_form, value),
    frozenset: lambda value: map(_form, value),
    deque: lambda value: map(_form, value),
    dict: _pairs,
    OrderedDict: _pairs,
    Counter: _pairs,
    bytes: lambda value: [value.hex()],
    bytearray: lambda value: [value.hex()],
    memoryview: lambda value: [value.hex()],
    complex: lambda value: [value.real, value.imag],
    range: lambda value: map(_form, (value.start, value.stop, value.step)),
    Fraction: lambda value: map(_form, (value.numerator, value.denominator)),
    Decimal: lambda value: [str(value)],
    UserList: lambda value: [_form(value.data)],
    UserDict: lambda value: [_form(value.data)],
    UserString: lambda value: [_form(value.data)],
}
# What a subclass adds to is read past its own methods: a member of an enumeration of texts is a text.
CONTENT: dict[type, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    complex: complex.__complex__,
    str: str.__str__,
    bytes: bytes.__bytes__,
    bytearray: bytes,
    list: list.__iter__,
    tuple: tuple.__iter__,
    set: set.__iter__,
    frozenset: frozenset.__iter__,
    deque: deque.__iter__,
    Counter: dict.copy,
    OrderedDict: dict.items,
    dict: dict.items,
    Fraction: lambda value: value,
    Decimal: lambda value: value,
    UserList: lambda value: value.data,
    UserDict: lambda value: value.data,
    UserString: lambda value: value.data,
}
STAND_INS: dict[type, type] = {base: type(f"A{base.__name__}", (base,), {}) for base in CONTENT}
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
