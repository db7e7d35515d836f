"""`"native"`: an in-process store keeps what cannot change and copies the rest."""

import dataclasses
import datetime as dt
import enum
import uuid
from collections import OrderedDict, deque
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinpy_cache_core import CacheSerializationError
from jinpy_cache_core.serializers import (
    IMMUTABLE,
    NativeSerializer,
    ReferenceSerializer,
    SerializedFreezer,
    resolve_freezer,
)
from jinpy_cache_testing.samples import deep_list, looped_list, same

NATIVE = NativeSerializer()


class Colour(enum.Enum):
    """An enum."""

    RED = 1


class Word(str):
    """A `str` by inheritance."""

    __slots__ = ()


class Pair(NamedTuple):
    """A tuple by inheritance."""

    left: Any


@attrs.define
class User:
    """A mutable attrs class."""

    name: str
    tags: list[str]


@dataclasses.dataclass
class Point:
    """A mutable dataclass."""

    x: int


def deep_tuple() -> object:
    """A tuple in a tuple in a tuple."""
    nested: object = ()
    for _ in range(100_000):
        nested = (nested,)
    return nested


def restore(value: object) -> object:
    """What a read gives for a stored value."""
    stored, thaw = NATIVE.freeze(value)
    return stored if thaw is None else thaw(stored)


KEPT = [
    None,
    True,
    5,
    -(10**4299),
    1.5,
    1j,
    "x",
    "\ud800",
    b"x",
    Decimal("1.5"),
    Fraction(1, 3),
    uuid.UUID(int=1),
    dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
    dt.date(2024, 1, 1),
    dt.time(1),
    dt.timedelta(1),
    range(3),
    ...,
    Colour.RED,
    (),
    (1, "x", (None, b"x")),
    frozenset({1, (2, 3)}),
    (Colour.RED,),
]


@pytest.mark.parametrize("value", KEPT, ids=repr)
def test_what_cannot_change_is_kept(value: object) -> None:
    """Scalars, and tuples and frozensets of them, are stored as the very object."""
    stored, thaw = NATIVE.freeze(value)
    assert stored is value
    assert thaw is None


COPIED = [
    [],
    {},
    set(),
    [1, [2]],
    {"a": {"b": [1]}},
    {1: "a", "1": "b"},
    {"b": bytearray(b"x"), "c": b"x"},
    [b"x" * 300, bytearray(300)],
    {"big": 2**70, "s": "\ud800"},
    {1, 2},
    bytearray(b"x"),
    (1, [2]),
    ([],),
    Pair(1),
    Word("x"),
    User("Ada", ["a"]),
    [User("Ada", ["a"])],
    Point(1),
    {"p": Point(1)},
    OrderedDict(a=1),
    deque([1], maxlen=3),
    {"when": dt.date(2024, 1, 1)},
    ["é", "\u0106\u0144"],
]


@pytest.mark.parametrize("value", COPIED, ids=repr)
def test_the_rest_is_copied(value: Any) -> None:
    """Every read gives an equal object of its own type, and never the same twice."""
    stored, thaw = NATIVE.freeze(value)
    assert thaw is not None
    first, second = thaw(stored), thaw(stored)
    assert same(value, first)
    assert value is not first
    assert first is not second


@pytest.mark.parametrize(
    ("value", "change"),
    [
        ([1], lambda value: value.append(2)),
        ({"a": [1]}, lambda value: value["a"].append(2)),
        ({1}, lambda value: value.add(2)),
        (bytearray(b"x"), lambda value: value.extend(b"y")),
        (([1],), lambda value: value[0].append(2)),
        (User("Ada", ["a"]), lambda value: value.tags.append("b")),
        (Pair([1]), lambda value: value.left.append(2)),
    ],
    ids=lambda value: None if callable(value) else repr(value),
)
def test_nobody_changes_a_stored_value(value: Any, change: Any) -> None:
    """Changing what was stored, or what was read, changes nothing in the store."""
    stored, thaw = NATIVE.freeze(value)
    assert thaw is not None
    original = thaw(stored)
    change(value)
    change(thaw(stored))
    assert same(original, thaw(stored))


@given(
    st.recursive(
        st.none()
        | st.integers()
        | st.floats()
        | st.text()
        | st.binary()
        | st.decimals()
        | st.dates(),
        lambda inner: st.one_of(
            st.lists(inner),
            st.lists(inner).map(tuple),
            st.dictionaries(st.text() | st.integers(), inner),
            st.binary().map(bytearray),
        ),
        max_leaves=8,
    )
)
def test_every_value_comes_back_exactly(value: object) -> None:
    """Kept or copied, a value comes back equal and of its own type."""
    assert same(value, restore(value))


@pytest.mark.parametrize(
    "make",
    [
        looped_list,
        deep_list,
        deep_tuple,
        lambda: [deep_tuple()],
        lambda: (deep_list(),),
        lambda: {"a": looped_list()},
    ],
)
def test_no_depth_overflows(make: Any) -> None:
    """Circular and very deep values end in the documented error."""
    with pytest.raises(CacheSerializationError):
        NATIVE.freeze(make())


def test_what_cannot_be_copied_is_refused(tmp_path: Any) -> None:
    """A mutable value that does not pickle is an error that names its type."""
    with (tmp_path / "file").open("w") as file:
        for value, name in (
            (lambda: None, "function"),
            (file, "TextIOWrapper"),
            ([file], r"TextIOWrapper at \$\[0\]"),
        ):
            with pytest.raises(CacheSerializationError, match=name):
                NATIVE.freeze(value)


def test_an_int_has_the_same_limit_as_elsewhere() -> None:
    """An int that no other store could hold is refused here too."""
    with pytest.raises(CacheSerializationError, match="4,300 digits"):
        NATIVE.freeze(10**4300)


def test_the_kept_types_are_exact_and_hold_nothing() -> None:
    """An engine may test `type(value) in IMMUTABLE` itself; no container is among them."""
    assert not IMMUTABLE & {list, dict, set, tuple, frozenset, bytearray, int, object}


def test_a_reference_is_the_object_itself() -> None:
    """`None` keeps any object as it is."""
    value = [lambda: None]
    assert (value, None) == ReferenceSerializer().freeze(value)
    assert ReferenceSerializer().freeze(value)[0] is value


def test_a_reference_has_no_bytes() -> None:
    """Where bytes are needed, a reference is refused."""
    for call in (lambda: ReferenceSerializer().dumps(1), lambda: ReferenceSerializer().loads(b"")):
        with pytest.raises(CacheSerializationError, match="in-process"):
            call()


@pytest.mark.parametrize("spec", ["msgpack", "json", "pickle"])
def test_any_serializer_can_freeze(spec: str) -> None:
    """Other serializers keep bytes, so that their own rules hold in memory too."""
    freezer = resolve_freezer(spec)
    assert isinstance(freezer, SerializedFreezer)
    stored, thaw = freezer.freeze({"a": [1]})
    assert type(stored) is bytes
    assert thaw is not None
    assert {"a": [1]} == thaw(stored)
    assert spec in repr(freezer)


def test_its_bytes_are_pickles() -> None:
    """Where an in-process store needs bytes, every picklable value has some."""
    assert same([Pair(1)], NATIVE.loads(NATIVE.dumps([Pair(1)])))
    assert ("<NativeSerializer>", "<ReferenceSerializer>") == (
        repr(NATIVE),
        repr(ReferenceSerializer()),
    )


def test_counters_stay_numbers() -> None:
    """Exactly an int is kept by every serializer, as counters are; a bool is not one."""
    freezer = resolve_freezer("json")
    assert (5, None) == freezer.freeze(5)
    assert b"true" == freezer.freeze(True)[0]
    with pytest.raises(CacheSerializationError):
        freezer.freeze(10**4300)
