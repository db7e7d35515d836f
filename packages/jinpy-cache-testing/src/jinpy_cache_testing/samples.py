"""Values to store: what each serializer must return exactly, and what none may garble."""

import array
import collections
import copy
import datetime as dt
import decimal
import enum
import ipaddress
import math
import pathlib
import re
import types
import uuid
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, cast

import attrs

from jinpy_cache_core.serializers import SerializerSpec


class Colour(enum.Enum):
    """A plain enum."""

    RED = "red"


class Size(enum.IntEnum):
    """An enum that passes for an int."""

    SMALL = 1


class Word(str):
    """A `str` by inheritance."""

    __slots__ = ()


class Pair(NamedTuple):
    """A tuple by inheritance."""

    left: int
    right: int


@attrs.frozen
class Point:
    """A class that `get(key, type=Point)` structures."""

    x: int
    y: int


def sample(serializer: SerializerSpec, number: int) -> Any:
    """The value with this number: equal numbers give equal values, others give others.

    Backends may treat plain scalars in a way of their own, so neighbouring numbers differ in kind.
    """
    if serializer == "bytes":
        return b"value %d" % number
    if serializer == "str" or number % 3 == 1:
        return f"value {number}"
    if number % 3 == 2:
        return [number, None, 0.5]
    return {"n": number, "name": f"value {number}"}


PLAIN: Mapping[str, object] = {
    "None": None,
    "False": False,
    "True": True,
    "zero": 0,
    "minus one": -1,
    "int64 max": 2**63 - 1,
    "int64 min": -(2**63),
    "past int64": 2**63,
    "past uint64": 2**64,
    "float zero": 0.0,
    "minus zero": -0.0,
    "float one": 1.0,
    "small float": 5e-324,
    "empty str": "",
    "digits": "12",
    "signed digits": "-7",
    "digits with space": " 12 ",
    "word": "caf\u00e9 \U0001f468\u200d\U0001f469\u200d\U0001f467 \x00\n",
    "empty list": [],
    "empty dict": {},
    "nested": {"a": [1, 2.5, {"b": None}], "": "x", "1": True},
}
"""What JSON can carry, and so every serializer of structured values must."""

RICH: Mapping[str, object] = {
    "empty bytes": b"",
    "bytes": b"\x00\xff",
    "digit bytes": b"12",
    "envelope bytes": b"\xc1\x01\x00",
    "tuple": (1, (2,), [3]),
    "empty tuple": (),
    "set": {1, 2},
    "empty set": set[int](),
    "frozenset": frozenset({"a"}),
    "int keys": {1: "x"},
    "int and str keys": {1: "a", "1": "b"},
    "None key": {None: 1, "null": 2},
    "tuple keys": {(1, 2): "x"},
    "nan": math.nan,
    "inf": math.inf,
    "minus inf": -math.inf,
    "date": dt.date(2024, 2, 29),
    "time": dt.time(1, 2, 3, 4),
    "naive datetime": dt.datetime(2024, 2, 29, 1, 2, 3, 4),  # noqa: DTZ001
    "utc datetime": dt.datetime(2024, 2, 29, 1, 2, 3, 4, dt.UTC),
    "timedelta": dt.timedelta(days=-1, microseconds=1),
    "Decimal": decimal.Decimal("1.10"),
    "UUID": uuid.UUID(int=7),
    "big int": -(2**100),
    "bytearray": bytearray(b"ab"),
    "complex": 1 + 2j,
    "OrderedDict": collections.OrderedDict[str, object](b=1, a=(2,)),
    "defaultdict": collections.defaultdict(list, a=[1]),
    "defaultdict without a factory": collections.defaultdict(None, {1: 2}),
    "Counter": collections.Counter("aab"),
    "deque": collections.deque([1, (2,)]),
    "bounded deque": collections.deque([1], maxlen=3),
    "ChainMap": collections.ChainMap({"a": 1}, collections.OrderedDict(b=2)),
    "mapping proxy": types.MappingProxyType({1: (2,)}),
    "namespace": types.SimpleNamespace(a=1, b=types.SimpleNamespace()),
    "range": range(1, 2**70, 3),
    "slice": slice(None, 3),
    "Fraction": Fraction(-1, 3),
    "timezone": dt.timezone(dt.timedelta(hours=-5), "EST"),
    "UTC": dt.UTC,
    "ZoneInfo": zoneinfo.ZoneInfo("Europe/Paris"),
    "pattern": re.compile("a.b", re.IGNORECASE | re.DOTALL),
    "bytes pattern": re.compile(b"a"),
    "path": pathlib.Path("/srv/caf\u00e9/\udc80"),
    "pure path": pathlib.PurePosixPath("a/.."),
    "Windows path": pathlib.PureWindowsPath("C:/a b"),
    "IPv4 address": ipaddress.ip_address("192.0.2.1"),
    "IPv6 address": ipaddress.ip_address("fe80::1%eth0"),
    "IPv4 network": ipaddress.ip_network("192.0.2.0/24"),
    "IPv6 network": ipaddress.ip_network("2001:db8::/32"),
    "IPv4 interface": ipaddress.ip_interface("192.0.2.1/24"),
    "IPv6 interface": ipaddress.ip_interface("2001:db8::1/32"),
    "ellipsis": ...,
    "array": array.array("d", [1.5, -0.0]),
    "mixed": [{(1, 2): collections.deque([ipaddress.ip_address("::1"), range(2)])}],
}
"""What MessagePack with our extensions and the native serializer must carry besides."""

TRICKY: Mapping[str, object] = {
    "enum": Colour.RED,
    "int enum": Size.SMALL,
    "str subclass": Word("word"),
    "named tuple": Pair(1, 2),
    "attrs instance": Point(1, 2),
    "list with attrs": [Point(1, 2)],
    "bool key": {True: "x"},
    "float key": {1.0: "x"},
    "datetime with offset": dt.datetime(
        2024, 2, 29, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))
    ),
    "folded datetime": dt.datetime(2024, 10, 27, 2, 30, fold=1),  # noqa: DTZ001
    "Decimal nan": decimal.Decimal("NaN"),
    "lone surrogate": "\ud800",
    "class": Point,
    "int of 5,000 digits": 10**5000,
    "text of 1 MiB": "x" * 2**20,
}
"""What may be refused, at writing or at reading, but never come back as something else."""

REQUIRED: Mapping[SerializerSpec, Mapping[str, object]] = {
    "json": PLAIN,
    "msgpack": {**PLAIN, **RICH},
    "native": {**PLAIN, **RICH},
    "pickle": {**PLAIN, **{name: RICH[name] for name in RICH if name != "mapping proxy"}},
    "str": {name: PLAIN[name] for name in ("empty str", "digits", "signed digits", "word")},
    "bytes": {name: RICH[name] for name in ("empty bytes", "bytes", "digit bytes")},
    None: {**PLAIN, **RICH, **TRICKY},
}
"""What each of our serializers must return exactly."""


def required(serializer: SerializerSpec) -> Mapping[str, object]:
    """What a serializer must return exactly, by a name for it; for a custom one, one sample."""
    if serializer is None or isinstance(serializer, str):
        return REQUIRED.get(serializer, {})
    return {"sample": sample(serializer, 0)}


def deep_list(depth: int = 100_000) -> list[Any]:
    """A list in a list in a list, deeper than any recursion gets."""
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    return nested


def looped_list() -> list[Any]:
    """A list that holds itself."""
    looped: list[Any] = []
    looped.append(looped)
    return looped


def snapshot(value: object) -> object:
    """An independent copy to compare with later."""
    return copy.deepcopy(value)


def same(left: object, right: object) -> bool:
    """Whether two values are equal, type included, all the way down; NaN is the same as NaN."""
    if type(left) is not type(right):
        return False
    compare = _COMPARED_BY_PARTS.get(type(left))
    if compare is not None:
        return compare(left, right)
    if isinstance(left, dt.datetime):
        other = cast("dt.datetime", right)
        return (left.replace(tzinfo=None), left.utcoffset(), left.fold) == (
            other.replace(tzinfo=None),
            other.utcoffset(),
            other.fold,
        )
    return left == right


def _same_float(left: Any, right: Any) -> bool:
    if math.isnan(left):
        return math.isnan(right)
    return left == right and math.copysign(1, left) == math.copysign(1, right)


def _same_items(left: Sequence[object], right: Sequence[object]) -> bool:
    return len(left) == len(right) and all(map(same, left, right))


def _same_mapping(left: Any, right: Any) -> bool:
    return _same_items(list(left), list(right)) and _same_items(
        list(left.values()), list(right.values())
    )


def _ends(one: Any) -> Sequence[object]:
    return (one.start, one.stop, one.step)


def _same_deque(left: Any, right: Any) -> bool:
    return left.maxlen == right.maxlen and _same_items(left, right)


def _same_default_dict(left: Any, right: Any) -> bool:
    return left.default_factory is right.default_factory and _same_mapping(left, right)


def _same_set(left: Any, right: Any) -> bool:
    return left == right and sorted(map(repr, left)) == sorted(map(repr, right))


def _same_decimal(left: Any, right: Any) -> bool:
    return bool(left.as_tuple() == right.as_tuple())


_COMPARED_BY_PARTS: Mapping[type, Callable[[Any, Any], bool]] = {
    float: _same_float,
    list: _same_items,
    collections.deque: _same_deque,
    collections.ChainMap: lambda left, right: _same_items(left.maps, right.maps),
    types.MappingProxyType: _same_mapping,
    types.SimpleNamespace: lambda left, right: _same_mapping(vars(left), vars(right)),
    slice: lambda left, right: _same_items(_ends(left), _ends(right)),
    collections.defaultdict: _same_default_dict,
    collections.Counter: _same_mapping,
    tuple: _same_items,
    dict: _same_mapping,
    collections.OrderedDict: _same_mapping,
    set: _same_set,
    frozenset: _same_set,
    decimal.Decimal: _same_decimal,
}
