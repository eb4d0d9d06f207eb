"""Values as tagged JSON: how what a solution returned leaves its sandbox.

Whatever the text says, `decode` makes plain values of the types named here and nothing else, and runs no code of the
sender: no class of a solution, and none of its methods, gets out. A subclass travels as the type that it extends.
What has no form here, such as a `re.Match`, becomes an `Opaque`, equal to nothing but itself.

None, booleans, floats, text and integers below 2**53 are themselves; all else is an array that begins with its tag.
Imports the standard library alone, since it runs beside the solution as well; numpy only where a value needs it.
"""

import json
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Set
from decimal import Decimal
from fractions import Fraction
from typing import Any

EXACT = 2**53  # JSON readers other than Python's keep integers up to here
SCALARS = (bool, float, type(None))
PLAIN = frozenset(SCALARS)
MANY = 2**20  # items of a sequence that travels as a `Digest`: Mbpp/255 returns a gigabyte of JSON
PART = 2**12


class Opaque:
    """Stands for an object that is no plain data."""

    def __init__(self, type_name: str) -> None:
        self.type_name = type_name

    def __repr__(self) -> str:
        return f"<a {self.type_name}>"


class Digest:
    """Stands for a sequence too long to be carried; equal to one of the same type whose items look the same."""

    def __init__(self, digest: str) -> None:
        self.digest = digest

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list | tuple) and len(other) >= MANY and _digest(other) == self.digest

    __hash__ = None  # type: ignore[assignment]


def encode(value: Any) -> bytes:
    """The value as one line of JSON, in ASCII. RecursionError where it is nested too deeply or contains itself."""
    return json.dumps(_form(value)).encode()


def decode(line: bytes) -> Any:
    """The value that a line stands for; ValueError for any line that `encode` does not write."""
    try:
        return _value(json.loads(line))
    except (ArithmeticError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"not a value: {type(error).__name__}") from None


def _form(value: Any) -> Any:
    kind = type(value)
    if kind in SCALARS:
        return value
    if kind is int:
        return value if -EXACT < value < EXACT else ["int", hex(value)]
    if kind is str:
        return value if _has_utf8(value) else ["str", value.encode("utf-32-le", "surrogatepass").hex()]
    if kind is list or kind is tuple:
        if len(value) >= MANY:
            return ["digest", _digest(value)]
        kinds = set(map(type, value))
        plain = kinds <= PLAIN or (kinds == {int} and min(value) > -EXACT and max(value) < EXACT)
        return [kind.__name__, *(value if plain else map(_form, value))]
    if kind is defaultdict:  # equal to a dict, and its factory is code
        return ["dict", *_pairs(value)]
    if kind in NAMES:
        return [NAMES[kind], *WRITE[kind](value)]
    return _unusual(value)


def _unusual(value: Any) -> Any:
    """Values of numpy, views of a dictionary, and subclasses, by what evalplus' `==` would compare."""
    numpy = sys.modules.get("numpy")
    if numpy and isinstance(value, numpy.generic):
        return _form(value.item())
    if numpy and isinstance(value, numpy.ndarray) and value.dtype.kind in "biufcSU":
        return ["array", value.dtype.str, _form(value.tolist())]
    for base, content in CONTENT.items():
        if isinstance(value, base):
            return _form(base(content(value)))
    if isinstance(value, Set):  # the views of a dictionary
        return _form(set(value))
    return ["opaque", f"{type(value).__module__}.{type(value).__qualname__}"]


def _digest(value: list[Any] | tuple[Any, ...]) -> str:
    import hashlib

    found = hashlib.sha256(type(value).__name__.encode())
    for start in range(0, len(value), PART):
        found.update(repr(value[start : start + PART]).encode("utf-8", "surrogatepass"))
    return found.hexdigest()


def _has_utf8(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _pairs(value: dict[Any, Any]) -> Iterable[Any]:
    return (_form(part) for pair in dict.items(value) for part in pair)


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
    return [_value(part) for part in parts]


def _read_pairs(parts: list[Any]) -> list[tuple[Any, Any]]:
    values = _values(parts)
    return list(zip(values[::2], values[1::2], strict=True))


def _read_array(parts: list[Any]) -> Any:
    import numpy

    dtype, nested = parts
    return numpy.array(_value(nested), dtype=dtype)


def _only(check: type, parts: list[Any]) -> Any:
    (part,) = parts
    if type(part) is not check:
        raise TypeError(check.__name__)
    return part


# How a type's content is written, and how it is read; list, tuple and int are written in `_form`.
WRITE: dict[type, Callable[[Any], Iterable[Any]]] = {
    set: lambda value: map(_form, value),
    frozenset: lambda value: map(_form, value),
    deque: lambda value: map(_form, value),
    dict: _pairs,
    OrderedDict: _pairs,
    Counter: _pairs,
    bytes: lambda value: [value.hex()],
    bytearray: lambda value: [value.hex()],
    complex: lambda value: [value.real, value.imag],
    range: lambda value: map(_form, (value.start, value.stop, value.step)),
    Fraction: lambda value: map(_form, (value.numerator, value.denominator)),
    Decimal: lambda value: [str(value)],
}
NAMES = {kind: kind.__name__ for kind in WRITE}
# What a subclass adds to is read past its own methods: a member of an enumeration of texts is a text.
CONTENT: dict[type, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    complex: complex.__complex__,
    str: str.__str__,
    bytes: bytes.__bytes__,
    list: list.__iter__,
    tuple: tuple.__iter__,
    set: set.__iter__,
    frozenset: frozenset.__iter__,
    deque: deque.__iter__,
    Counter: dict.copy,
    OrderedDict: dict.items,
    dict: dict.items,
}
READ: dict[str, Callable[[list[Any]], Any]] = {
    "int": lambda parts: int(_only(str, parts), 16),
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
    "complex": lambda parts: complex(*parts),
    "range": lambda parts: range(*_values(parts)),
    "Fraction": lambda parts: Fraction(*_values(parts)),
    "Decimal": lambda parts: Decimal(_only(str, parts)),
    "array": _read_array,
    "digest": lambda parts: Digest(_only(str, parts)),
    "opaque": lambda parts: Opaque(_only(str, parts)),
}
