"""Values as tagged JSON: how what a solution returned leaves its sandbox. `reading` reads them.

None, booleans, floats, text and integers below 2**53 are themselves; all else is an array that begins with its tag.
numpy's scalars are told as such, an instance of a subclass as one of what it extends. What has no form here, such as a
`re.Match`, is opaque. What is long is told as a digest: only whether it is equal counts.

Runs beside the solution: it imports what starts quickly, and no other package than those that a value comes from.
"""

from __future__ import annotations

import json
import marshal
import re
import sys
from collections import Counter, OrderedDict, UserDict, UserList, UserString, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Set
from types import FunctionType

TYPE_CHECKING = False  # as in `typing`, which takes long to import
if TYPE_CHECKING:
    from decimal import Decimal
    from typing import Any

EXACT = 2**53  # JSON readers other than Python's keep integers up to here
NUMBERS = frozenset((bool, int, float))
SCALARS = frozenset((*NUMBERS, str, type(None)))
MANY = 2**18  # items of a sequence that is told as a digest: Mbpp/255 returns a gigabyte of JSON
LONG = 2**16  # characters of such a text: HumanEval/15 returns 147 million in all
PART = 2**12
MOST_BITS = 2**23  # of an integer; HumanEval/83 returns a million digits
MOST_DIGITS = 10_000  # of a decimal number, before and after its point
SURROGATE = re.compile("[\ud800-\udfff]")  # a half of a character, which JSON would join with the next
WRITER = json.JSONEncoder(separators=(",", ":"), check_circular=False)
OWN_EQUALITY = b'["own",'  # stands in a line where a value's equality is code of the solution


def encode(value: Any) -> bytes:
    """The value as one line of JSON, in ASCII; as if opaque where it is nested too deeply or raises."""
    try:
        return WRITER.encode(_form(value)).encode()
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):  # RecursionError, too
        return WRITER.encode(["opaque", type(value).__name__]).encode()


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
    if kind in WRITE and not (kind is range and not is_small(value)):
        return [kind.__name__, *WRITE[kind](value)]
    return _unusual(value)


def _scalar(value: Any) -> Any:
    if type(value) is int and not -EXACT < value < EXACT:
        return ["int", hex(value)] if is_small(value) else ["opaque", "int"]
    if type(value) is str and len(value) >= LONG:
        return ["digest", _digest(value)]
    if type(value) is str and not value.isascii() and SURROGATE.search(value):
        return ["str", value.encode("utf-32-le", "surrogatepass").hex()]
    return value


def _is_plain(items: list[Any] | tuple[Any, ...]) -> bool:
    """Whether all items are their own form; tells most lists in one pass over their types."""
    kinds = set(map(type, items))
    if kinds <= NUMBERS:
        return kinds <= {bool, float} or (min(items) > -EXACT and max(items) < EXACT)
    if kinds != {str}:
        return False
    text = "".join(items)
    return text.isascii() and len(text) < LONG


def _unusual(value: Any) -> Any:
    """Exact numbers, values of numpy, sympy and mpmath, views of a dictionary, mappings, and subclasses."""
    kind = type(value)
    library, name = kind.__module__.partition(".")[0], f"{kind.__module__}.{kind.__qualname__}"
    fraction, decimal = _loaded("fractions", "Fraction"), _loaded("decimal", "Decimal")
    if kind is fraction:
        return ["Fraction", _form(value.numerator), _form(value.denominator)]
    if kind is decimal:
        return ["Decimal", str(value)] if is_small(value) else ["opaque", name]
    if library == "numpy" and (form := _numpy_form(value)):
        return form
    if library in ("sympy", "mpmath") and (number := _plain(value)) is not None:
        return ["sub", _form(number)]
    if _compares_itself(kind):
        return ["own", name]
    for base, content in CONTENT.items():
        if isinstance(value, base):
            return ["sub", _form(base(content(value)))]
    for base in (fraction, decimal):
        if base and isinstance(value, base):
            return ["sub", _form(base(value))]
    if isinstance(value, Mapping):
        return ["ChainMap", _form(dict(value.items()))]
    if isinstance(value, Set):  # the views of a dictionary
        return ["keys", *map(_form, value)]
    return ["opaque", name]


def _loaded(module: str, name: str) -> Any:
    """A class of a module that takes long to import: before that, no value is of the class."""
    return getattr(sys.modules.get(module), name, None)


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


def _digest(value: list[Any] | tuple[Any, ...] | str) -> str:
    import hashlib

    found = hashlib.sha256(type(value).__name__.encode())
    if isinstance(value, str):
        found.update(value.encode("utf-8", "surrogatepass"))
        return found.hexdigest()
    for start in range(0, len(value), PART):
        part = value[start : start + PART]
        numbers = set(map(type, part)) <= NUMBERS  # marshal is quicker, and not exact for all else
        found.update(marshal.dumps(part, 2) if numbers else repr(part).encode("utf-8", "surrogatepass"))
    return found.hexdigest()


def _pairs(value: dict[Any, Any]) -> Iterable[Any]:
    return (_form(part) for pair in dict.items(value) for part in pair)


def is_small(value: int | range | Decimal) -> bool:
    """Whether it can be computed with: a few characters may stand for more than any machine can hold."""
    if isinstance(value, int):
        return value.bit_length() <= MOST_BITS
    if isinstance(value, range):
        return len(value[:MANY]) < MANY
    _, digits, exponent = value.as_tuple()
    return not isinstance(exponent, int) or len(digits) + abs(exponent) <= MOST_DIGITS


# How a type's content is written; list, tuple and scalars are written in `_form`.
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
    UserList: lambda value: value.data,
    UserDict: lambda value: value.data,
    UserString: lambda value: value.data,
}
