"""What a solution returns leaves its sandbox exactly, as plain values, and as nothing else."""

import math
import pickle
import re
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from enum import Enum, IntEnum
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spa.scoring.inside.values import Opaque, decode, encode

ATOMS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(allow_nan=False),
    st.complex_numbers(allow_nan=False),
    st.text(st.characters(exclude_categories=[])),
    st.binary(),
    st.fractions(),
    st.decimals(allow_nan=False),
    st.builds(range, st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 3)),
)
KEYS = st.one_of(ATOMS, st.tuples(ATOMS, ATOMS), st.frozensets(ATOMS))
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.lists(inner).map(deque),
        st.sets(KEYS),
        st.frozensets(KEYS),
        st.dictionaries(KEYS, inner),
        st.dictionaries(KEYS, inner).map(OrderedDict),
        st.dictionaries(KEYS, st.integers()).map(Counter),
    ),
    max_leaves=20,
)


def shape(value: Any) -> str:
    """The value's types, all the way down, in order where there is one."""
    if isinstance(value, dict):
        parts = sorted(f"{shape(key)}: {shape(item)}" for key, item in value.items())
    elif isinstance(value, set | frozenset):
        parts = sorted(map(shape, value))
    elif isinstance(value, list | tuple | deque):
        parts = list(map(shape, value))
    else:
        parts = [repr(value)]
    return f"{type(value).__name__}({', '.join(parts)})"


@given(VALUES)
def test_values_arrive_as_they_were(value: Any) -> None:
    line = encode(value)
    assert b"\n" not in line
    assert decode(line) == value
    assert shape(decode(line)) == shape(value)


def test_nan_and_halves_of_characters_arrive() -> None:
    assert math.isnan(decode(encode(float("nan"))))
    assert decode(encode([math.inf, -math.inf, -0.0])) == [math.inf, -math.inf, -0.0]
    assert decode(encode("\ud83d\ude00")) == "\ud83d\ude00" != "\U0001f600"
    assert decode(encode(10**5000)) == 10**5000  # more digits than Python prints


Point = namedtuple("Point", "x y")


class Colour(str, Enum):  # noqa: UP042 - likewise
    RED = "red"

    def __str__(self) -> str:
        return "another text"


class Level(IntEnum):
    HIGH = 3


class Sly(int):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = int.__hash__


class Liar(list):  # type: ignore[type-arg]
    def __eq__(self, other: object) -> bool:
        return True

    def __iter__(self) -> Any:
        return iter([1, 2, 3])

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Point(1, 2), (1, 2)),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        (Sly(7), 7),
        (Liar([0]), [0]),
        (defaultdict(list, {1: [2]}), {1: [2]}),
        ({1: 2}.keys(), {1}),
        ({1: 2}.items(), {(1, 2)}),
        (np.int64(3), 3),
        (np.float64(0.1), 0.1),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
    ],
)
def test_a_subclass_travels_as_what_it_extends(value: Any, plain: Any) -> None:
    found = decode(encode(value))
    assert found == plain
    assert type(found) is type(plain)


def test_arrays_arrive() -> None:
    array = np.array([[1.5, 2], [3, 4]], dtype=np.float32)
    found = decode(encode(array))
    assert found.dtype == array.dtype
    assert (found == array).all()


class AlwaysRight:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("value", [AlwaysRight(), re.match("a", "a"), iter([]), len, AlwaysRight, ...])
def test_what_has_no_form_is_equal_to_nothing(value: Any) -> None:
    found = decode(encode([value]))[0]
    assert type(found) is Opaque
    assert found not in (None, 0, "", [], value.__class__.__name__)
    assert type(value).__name__ in repr(found)


def test_a_very_long_sequence_travels_as_a_digest() -> None:
    value = [("a", number) for number in range(2**20)]
    line = encode([value])
    (found,) = decode(line)
    assert len(line) < 200
    assert found == value
    assert value == found
    assert found != tuple(value)
    assert found != [*value[:-1], ("a", 0)]
    assert found != line


def test_what_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(RecursionError):
        encode(loop)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b'[["list"]]',
        b'["nothing"]',
        b'["set",["list"]]',
        b'["dict",1]',
        b'["range",1,2,0]',
        b'["Fraction",1,0]',
        b'["Decimal","x"]',
        b'["int","0x"]',
        b'["int",3]',
        b'["complex","a"]',
        b'["bytes","0"]',
        b'["opaque"]',
        b'["array","<f8"]',
        b'["list",{"a":1}]',
        b"[" * 100_000,
        b"\xff",
        pickle.dumps(1),
    ],
)
def test_other_lines_are_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(line)
