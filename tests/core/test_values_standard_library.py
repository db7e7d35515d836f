"""Types of the standard library: the exact type with all that makes two equal, or refused."""

import collections
import ipaddress
import pathlib
import re
import types
from collections.abc import Mapping, Sequence
from typing import Any, Generic, NamedTuple, Self, TypeVar

import attrs
import pytest
from hypothesis import given, settings
from ormsgpack import Ext, packb

from jinpy_cache_core import CacheConfigurationError, CacheSerializationError
from jinpy_cache_core.serializers import MsgpackSerializer, TypeRegistry, register_type
from jinpy_cache_core.serializers.extensions import Tag
from jinpy_cache_testing.mixtures import mixtures
from jinpy_cache_testing.samples import same

MSGPACK = MsgpackSerializer(TypeRegistry())
T = TypeVar("T")


@attrs.frozen
class User:
    """A class that the reader names."""

    name: str


class Pair(NamedTuple):
    """A named tuple."""

    left: int
    right: User | None = None


class Shouted(Pair):
    """A named tuple whose `__new__` changes what it is given."""

    __slots__ = ()

    def __new__(cls, left: int) -> Self:
        return super().__new__(cls, left * 2)


class Roomy(Pair):
    """A named tuple with attributes of its own."""


class Both(NamedTuple, Generic[T]):
    """A generic named tuple."""

    item: T


@given(mixtures())
@settings(deadline=None)
def test_mixtures_come_back_exactly(value: object) -> None:
    """Whatever is nested in whatever, it comes back as it was."""
    assert same(value, MSGPACK.loads(MSGPACK.dumps(value)))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (collections.deque([User("a")], 3), collections.deque[User]),
        (collections.deque([User("a")]), Sequence[User]),
        (collections.OrderedDict(a=User("a")), collections.OrderedDict[str, User]),
        (collections.OrderedDict(a=User("a")), Mapping[str, User]),
        (collections.OrderedDict(a=User("a")), dict[str, User]),
        (collections.defaultdict(list, a=[User("a")]), collections.defaultdict[str, list[User]]),
        (collections.Counter({User("a"): 2}), collections.Counter[User]),
        (collections.ChainMap({"a": User("a")}), collections.ChainMap[str, User]),
        (types.MappingProxyType({"a": User("a")}), types.MappingProxyType[str, User]),
        (re.compile("a"), re.Pattern[str]),
        (pathlib.PurePosixPath("a"), pathlib.PurePath),
        (ipaddress.ip_address("::1"), ipaddress.IPv6Address),
        (Pair(1, User("a")), Pair),
        ([Pair(1)], list[Pair]),
        (Shouted(2), Shouted),
        (Both(User("a")), Both[User]),
        ({"pair": Pair(1)}, dict[str, Pair | None]),
    ],
    ids=repr,
)
def test_typed_reads_keep_the_container(value: object, kind: Any) -> None:
    """Items become instances as the annotation says; what holds them stays what it was."""
    assert same(value, MSGPACK.loads_as(MSGPACK.dumps(value), kind))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (collections.deque([1]), collections.deque[str]),
        (collections.Counter({"a": "many"}), collections.Counter[str]),
        (collections.OrderedDict(a=1), collections.defaultdict[str, int]),
        ({"a": 1}, collections.OrderedDict[str, int]),
        ([1], collections.deque[int]),
        (collections.ChainMap({"a": 1}), collections.ChainMap[str, str]),
        (Pair(1), Both[int]),
        ("/a", pathlib.PurePath),
    ],
    ids=repr,
)
def test_typed_reads_coerce_nothing(value: object, kind: Any) -> None:
    """Another container, or other items, are an error that names both."""
    with pytest.raises(CacheSerializationError, match="does not fit"):
        MSGPACK.loads_as(MSGPACK.dumps(value), kind)


def test_a_memoryview_comes_back_as_bytes() -> None:
    """The one type that changes, and the documentation says so."""
    assert {"a": b"xy"} == MSGPACK.loads(MSGPACK.dumps({"a": memoryview(b"xyz")[:2]}))


def test_a_named_tuple_that_gained_a_field_reads_with_its_default() -> None:
    """As with dataclasses, older entries stay readable."""
    registry = TypeRegistry()
    serializer = MsgpackSerializer(registry)
    name = f"{Pair.__module__}.{Pair.__qualname__}"
    old = packb(Ext(Tag.NAMED_TUPLE, packb([name, {"left": 1}])))
    assert Pair(1) == serializer.loads_as(old, Pair)
    for content in ({"right": None}, {"left": 1, "middle": 2}):
        with pytest.raises(CacheSerializationError):
            serializer.loads_as(packb(Ext(Tag.NAMED_TUPLE, packb([name, content]))), Pair)


def test_what_a_named_tuple_holds_besides_is_refused() -> None:
    """An attribute of a subclass would be lost."""
    value = Roomy(1)
    value.note = "lost"  # type: ignore[attr-defined]
    with pytest.raises(CacheSerializationError, match="'note'"):
        MSGPACK.dumps(value)


def test_what_is_built_in_needs_no_registration() -> None:
    """Registering such a type is a mistake that says so."""
    for kind in (collections.deque, ipaddress.IPv4Address, pathlib.PosixPath, range):
        with pytest.raises(CacheConfigurationError, match="nothing to register"):
            register_type(kind)


FORGED = {
    "a factory that is no builtin": (Tag.DEFAULT_DICT, ["eval", 1, 2]),
    "half a pair": (Tag.ORDERED_DICT, [1]),
    "a bound below zero": (Tag.DEQUE, [-1, 1]),
    "a chain of a number": (Tag.CHAIN_MAP, [1]),
    "a view of a list": (Tag.MAPPING_PROXY, [[]]),
    "a name that is none": (Tag.NAMESPACE, [1, 2]),
    "a range of text": (Tag.RANGE, ["a", "b", "c"]),
    "a step of zero": (Tag.RANGE, [0, 1, 0]),
    "nothing to divide by": (Tag.FRACTION, [1, 0]),
    "an offset of years": (Tag.TIMEZONE, [1]),
    "a costly pattern": (Tag.PATTERN, [2, "[\x00-\uffff]" * 100_000]),
    "a pattern that prints": (Tag.PATTERN, [128, "a"]),
    "no pattern": (Tag.PATTERN, [0, "("]),
    "a deep pattern": (Tag.PATTERN, [0, "(" * 9_000 + ")" * 9_000]),
}


@pytest.mark.parametrize(("tag", "items"), FORGED.values(), ids=FORGED)
def test_forged_parts_are_refused(tag: int, items: list[Any]) -> None:
    """What this serializer would not have written is an error, without the time it asks for."""
    with pytest.raises(CacheSerializationError):
        MSGPACK.loads(packb(Ext(tag, packb(items))))


@pytest.mark.parametrize(
    ("tag", "payload"),
    [
        (Tag.PATH, b"Popen x"),
        (Tag.ADDRESS, b"ip_address 1.2.3.4"),
        (Tag.ADDRESS, b"IPv4Address 1.2.3"),
        (Tag.ARRAY, b"d4 \x00\x00\x00\x00"),
        (Tag.ARRAY, b"d8 \x00"),
        (Tag.SINGLETON, b"None"),
        (Tag.ZONE, b"../../etc/passwd"),
    ],
)
def test_forged_text_is_refused(tag: int, payload: bytes) -> None:
    """Likewise for values that are text or bytes."""
    with pytest.raises(CacheSerializationError):
        MSGPACK.loads(packb(Ext(tag, payload)))
