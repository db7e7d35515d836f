"""`"msgpack"`: what is read equals what was written, type included, or there is an error."""

import array
import collections
import contextlib
import datetime as dt
import decimal
import enum
import fractions
import io
import math
import re
import struct
import sys
import threading
import types
import uuid
import zoneinfo
from typing import Any

import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ormsgpack import Ext, packb

from jinpy_cache_core import CacheSerializationError
from jinpy_cache_core.serializers import MsgpackSerializer, plans
from jinpy_cache_core.serializers.depth import deeper_than
from jinpy_cache_core.serializers.extensions import Tag, encode_int
from jinpy_cache_testing.samples import deep_list, looped_list, same

MSGPACK = MsgpackSerializer()

ZONES = st.sampled_from(
    [
        None,
        dt.UTC,
        dt.timezone(dt.timedelta(hours=5, minutes=30)),
        dt.timezone(dt.timedelta(seconds=-1)),
        dt.timezone(dt.timedelta(hours=1), "odd [name=x][fold=1]]"),
        dt.timezone(dt.timedelta(0), ""),
        zoneinfo.ZoneInfo("Europe/Paris"),
        zoneinfo.ZoneInfo("UTC"),
    ]
)
TEXT = st.text(st.characters(), max_size=8) | st.sampled_from(["\ud800", "a\udfff", "\u0144\u0106"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**300]),
    st.floats(),
    st.complex_numbers(allow_nan=False),
    TEXT,
    st.binary(max_size=300),
    st.decimals(),
    st.uuids(),
    st.dates(),
    st.datetimes(timezones=ZONES, allow_imaginary=True),
    st.builds(
        lambda moment, fold: moment.replace(fold=fold), st.datetimes(timezones=ZONES), st.just(1)
    ),
    st.builds(lambda time, zone: time.replace(tzinfo=zone), st.times(), ZONES),
    st.timedeltas(),
)


def is_key(value: Any) -> bool:
    """Whether a value can be found again: NaN cannot, and a signalling one cannot be compared."""
    if isinstance(value, decimal.Decimal):
        return not value.is_nan()
    return not (isinstance(value, float) and math.isnan(value))


KEYS = st.recursive(SCALARS.filter(is_key), lambda inner: st.lists(inner).map(tuple), max_leaves=3)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=300)
    | st.text("abc", max_size=40),
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.text("abc"), inner, max_size=20)
    ),
)
VALUES = st.recursive(
    SCALARS | st.binary(max_size=8).map(bytearray),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(TEXT, inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4),
        st.sets(KEYS, max_size=4),
        st.frozensets(KEYS, max_size=4),
    ),
    max_leaves=12,
)


@given(VALUES)
def test_every_value_comes_back_exactly(value: object) -> None:
    """However values nest, each comes back equal and of its own type, in its own order."""
    assert same(value, MSGPACK.loads(MSGPACK.dumps(value)))


@given(st.datetimes(timezones=ZONES), st.sampled_from([0, 1]))
def test_a_datetime_keeps_its_time_zone(moment: dt.datetime, fold: int) -> None:
    """The kind of the time zone, its name and the fold come back, not just the offset."""
    moment = moment.replace(fold=fold)
    restored = MSGPACK.loads(MSGPACK.dumps(moment))
    assert isinstance(restored, dt.datetime)
    assert repr(moment) == repr(restored)
    assert moment.tzname() == restored.tzname()


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats()
        | st.text(st.characters(exclude_categories=["Cs"]))
        | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_plain_data_is_plain_messagepack(value: object) -> None:
    """Data that MessagePack itself carries is written without any extension of ours."""
    assert ormsgpack.packb(value) == MSGPACK.dumps(value)


@pytest.mark.parametrize(
    "value",
    [
        {"a": bytearray(b"x")},
        [b"x", [bytearray(b"x")]],
        {"a": bytearray(300)},
        {"a": bytearray(70_000), "b": bytes(70_000)},
        ({"a": [bytearray(b"x")]},),
    ],
)
def test_a_bytearray_among_plain_data_stays_one(value: object) -> None:
    """The packer writes a `bytearray` as bytes; it must not go unnoticed at any size or depth."""
    assert same(value, MSGPACK.loads(MSGPACK.dumps(value)))


class Word(str):
    """A `str` by inheritance."""

    __slots__ = ()


class Number(int):
    """An `int` by inheritance."""


class Fraction(float):
    """A `float` by inheritance."""


class Row(dict[str, object]):
    """A `dict` by inheritance."""


class Items(list[object]):
    """A `list` by inheritance."""


class Blob(bytes):
    """Bytes by inheritance."""


class Day(dt.date):
    """A date by inheritance."""


class ForeignZone(dt.tzinfo):
    """A time zone of another library."""

    def utcoffset(self, _: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(hours=1)


class Ordered(collections.OrderedDict[str, int]):
    """An OrderedDict by inheritance."""


class Tail(collections.deque[int]):
    """A deque by inheritance."""


ZONE_FILE = io.BytesIO(
    b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + bytes(6) + b"UTC\x00"
    b"TZif2" + bytes(15) + struct.pack(">6l", 0, 0, 0, 0, 1, 4) + bytes(6) + b"UTC\x00\nUTC0\n"
)


def with_attribute(value: Any) -> Any:
    """The container with an attribute beside its items."""
    value.note = "lost"
    return value


REFUSED = {
    "str subclass": Word("x"),
    "int subclass": Number(1),
    "float subclass": Fraction(1),
    "dict subclass": Row(a=1),
    "list subclass": Items([1]),
    "bytes subclass": Blob(b"x"),
    "date subclass": Day(2024, 1, 1),
    "object": object(),
    "class": int,
    "lambda": lambda: None,
    "generator": (item for item in ()),
    "module": sys,
    "exception": ValueError("x"),
    "OrderedDict subclass": Ordered(a=1),
    "defaultdict of a function": collections.defaultdict(lambda: 1),
    "deque subclass": Tail([1]),
    "OrderedDict with an attribute": with_attribute(collections.OrderedDict(a=1)),
    "Counter with an attribute": with_attribute(collections.Counter("a")),
    "ChainMap with an attribute": with_attribute(collections.ChainMap({})),
    "ChainMap of its own mappings": collections.ChainMap(Row(a=1)),
    "mapping proxy of its own mapping": types.MappingProxyType(Row(a=1)),
    "memoryview of floats": memoryview(array.array("d", [1.5])),
    "zone without a key": zoneinfo.ZoneInfo.from_file(ZONE_FILE),
    "costly pattern": re.compile("[a]" * 200),
    "long fraction": fractions.Fraction(2**20_000, 3),
    "foreign time zone": dt.datetime(2024, 1, 1, tzinfo=ForeignZone()),
}


@pytest.mark.parametrize(
    "wrap", [lambda v: v, lambda v: {"a": [v]}, lambda v: (v,), lambda v: {1: v}]
)
@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_would_come_back_otherwise_is_refused(value: object, wrap: Any) -> None:
    """A type that MessagePack would change is an error that names it, wherever it is nested."""
    with pytest.raises(CacheSerializationError, match=type(value).__name__):
        MSGPACK.dumps(wrap(value))


@pytest.mark.parametrize("key", [Word("x"), Number(1), Fraction(1.0), Blob(b"x")], ids=repr)
def test_a_key_of_a_subclass_is_refused(key: Any) -> None:
    """Keys are as exact as values: a subclass is not taken for its base."""
    with pytest.raises(CacheSerializationError, match=type(key).__name__):
        MSGPACK.dumps({"a": {key: 1}})


def test_a_refusal_says_where_and_what_to_do() -> None:
    """The message holds the type, the place inside the value and three ways out."""
    value = {"users": [1, 2, {"when": ({1: {object()}},)}]}
    with pytest.raises(CacheSerializationError) as caught:
        MSGPACK.dumps(value)
    message = str(caught.value)
    assert "an object at $.users[2].when[0][1][0]." in message
    assert "register_type" in message
    assert "serializer='pickle'" in message
    assert "plain data" in message


def test_an_open_file_is_refused(tmp_path: Any) -> None:
    """A resource cannot be cached."""
    with (tmp_path / "file").open("w") as file, pytest.raises(CacheSerializationError):
        MSGPACK.dumps({"file": file})


def looped_dict() -> object:
    """A dict that holds itself."""
    looped: dict[object, object] = {}
    looped["self"] = looped
    return looped


def looped_keys() -> object:
    """A dict with an integer key that holds itself."""
    looped: dict[object, object] = {}
    looped[1] = looped
    return looped


def looped_tuple() -> object:
    """A tuple that holds itself through a list."""
    inner: list[object] = []
    inner.append((inner,))
    return inner


def deep(wrap: Any, depth: int = 100_000) -> object:
    """A value nested very deep."""
    value: object = 1
    for _ in range(depth):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    "make",
    [
        looped_list,
        looped_dict,
        looped_keys,
        looped_tuple,
        deep_list,
        lambda: deep(lambda value: (value,), 20_000),
        lambda: deep(lambda value: {"a": value}),
        lambda: deep(lambda value: {1: value}),
        lambda: deep(lambda value: [(value,)]),
    ],
)
def test_no_depth_overflows(make: Any) -> None:
    """Circular and very deep values end in the documented error, never in a RecursionError."""
    with pytest.raises(CacheSerializationError, match="contains itself or is nested too deeply"):
        MSGPACK.dumps(make())


@pytest.mark.parametrize(
    "depth", [1, 31, 32, 33, 63, 64, 65, 200, 700, *range(890, 905), *range(990, 1005)]
)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda value: [value],
        lambda value: (value,),
        lambda value: {1: value},
        lambda value: ([[value]], 1),
        lambda value: frozenset([value]),
    ],
)
def test_what_is_written_can_be_read(wrap: Any, depth: int) -> None:
    """Both directions have the same limits: a deep value is refused at once or comes back."""
    value = deep(wrap, depth)
    try:
        payload = MSGPACK.dumps(value)
    except CacheSerializationError:
        assert depth > 32
    else:
        assert value == MSGPACK.loads(payload)


def test_a_value_changed_by_another_thread_never_crashes() -> None:
    """Containers that change while they are stored end in a value or in the documented error."""
    shared: dict[object, object] = {str(n): [dt.date(2024, 1, 1), {"x": (1,)}] for n in range(50)}
    done = threading.Event()

    def disturb() -> None:
        number = 0
        while not done.is_set():
            number += 1
            shared[str(number % 100)] = [dt.date(2024, 1, 1), {"x": (number,)}]
            shared.pop(str((number * 7) % 100), None)

    thread = threading.Thread(target=disturb)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread.start()
    try:
        for _ in range(100):
            with contextlib.suppress(CacheSerializationError):
                assert isinstance(MSGPACK.loads(MSGPACK.dumps(shared)), dict)
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(interval)


def payloads() -> list[bytes]:
    """One payload with each extension."""
    values: list[object] = [
        (1, "a"),
        {1, 2},
        frozenset({"a"}),
        {1: "a", "1": "b"},
        bytearray(b"abc"),
        "\ud800",
        2**70,
        1 + 2j,
        dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")),
        dt.date(2024, 1, 1),
        dt.time(1, 2, tzinfo=dt.timezone(dt.timedelta(hours=1), "x")),
        dt.timedelta(days=1),
        decimal.Decimal("1.5"),
        uuid.UUID(int=1),
        {"a": [1, 2.5, None, True, b"x", {"b": (1, (2, {3}))}]},
    ]
    return [MSGPACK.dumps(value) for value in values]


def read_or_refuse(payload: bytes) -> None:
    """Read bytes of any origin: a value, or the documented error."""
    with contextlib.suppress(CacheSerializationError):
        MSGPACK.loads(payload)


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    """Whatever a store holds, reading ends in a value or in the documented error."""
    read_or_refuse(payload)


@given(st.integers(0, 18), st.binary(max_size=64), st.integers(0, 3))
def test_any_extension_is_read_or_refused(tag: int, data: bytes, wrapped: int) -> None:
    """Forged extensions, nested ones included, end the same way."""
    payload = ormsgpack.packb(ormsgpack.Ext(tag, data))
    for _ in range(wrapped):
        payload = ormsgpack.packb(ormsgpack.Ext(1, b"\x91" + payload))
    read_or_refuse(payload)


@given(st.sampled_from(payloads()), st.data())
def test_damaged_bytes_are_read_or_refused(payload: bytes, data: st.DataObject) -> None:
    """One changed byte in a real payload never raises anything else."""
    at = data.draw(st.integers(0, len(payload) - 1))
    byte = data.draw(st.integers(0, 255))
    read_or_refuse(payload[:at] + bytes([byte]) + payload[at + 1 :])


@pytest.mark.parametrize("payload", payloads())
def test_cut_or_prolonged_bytes_are_refused(payload: bytes) -> None:
    """A payload cut at any length, or followed by anything, is no value."""
    for end in range(len(payload)):
        with pytest.raises(CacheSerializationError, match="cannot be read"):
            MSGPACK.loads(payload[:end])
    for tail in (b"\x00", b"x", b"\xc1", payload):
        with pytest.raises(CacheSerializationError, match="cannot be read"):
            MSGPACK.loads(payload + tail)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":1}',
        b"hello",
        "\u00e9t\u00e9".encode(),
        "\u6f22\u5b57".encode(),
        "\u0434\u0430".encode(),
        b"\x80\x04K\x01.",
        b"\x80\x05]\x94.",
        b"",
    ],
)
def test_bytes_of_another_serializer_are_refused(payload: bytes) -> None:
    """JSON, text and pickles are no MessagePack: they are refused, never read as a number."""
    with pytest.raises(CacheSerializationError, match="another serializer or program"):
        MSGPACK.loads(payload)


@pytest.mark.parametrize("head", [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff"])
@pytest.mark.parametrize("repeat", [1, 1000, 100_000])
def test_forged_lengths_allocate_nothing(head: bytes, repeat: int) -> None:
    """An array that announces four billion items is an error, not an allocation."""
    with pytest.raises(CacheSerializationError):
        MSGPACK.loads(head * repeat)


@pytest.mark.parametrize(
    "forge",
    [
        lambda inner: ormsgpack.packb(ormsgpack.Ext(1, b"\x91" + inner)),
        lambda inner: ormsgpack.packb(ormsgpack.Ext(1, b"\x91" * 900 + inner)),
        lambda inner: ormsgpack.packb(ormsgpack.Ext(4, b"\x92\x01" * 400 + inner)),
    ],
)
def test_forged_depth_is_refused(forge: Any) -> None:
    """Extensions inside extensions by the hundred are refused before they exhaust the stack."""
    payload = b"\x01"
    for _ in range(300):
        payload = forge(payload)
    with pytest.raises(CacheSerializationError, match="nested too deeply"):
        MSGPACK.loads(payload)


def depth(node: Any) -> int:
    """How deep lists nest, and dicts whose keys are plain text."""
    if type(node) is list and node:
        return 1 + max(map(depth, node))
    if type(node) is dict and node and all(type(key) is str and key.isascii() for key in node):
        return 1 + max(map(depth, node.values()))
    return 0


@given(PLAIN, st.integers(0, 5))
def test_depth_is_measured_without_recursion(value: object, limit: int) -> None:
    """The scanner agrees with the value about how deep plain containers nest."""
    assert (depth(value) > limit) is deeper_than(MSGPACK.dumps(value), limit)


@given(VALUES, st.integers(0, 5))
def test_no_value_hides_how_deep_it_is(value: object, limit: int) -> None:
    """Whatever else a value holds, plain containers in it count."""
    assert depth(value) <= limit or deeper_than(MSGPACK.dumps(value), limit)


@pytest.mark.parametrize(
    ("payload", "depth"),
    [
        (b"\x01", 0),
        (b"\x90", 0),
        (b"\x91\x90", 1),
        (b"\x92\x91\x01\x91\x91\x02", 3),
        (b"\x81\xa1a\x91\x01", 2),
        (b"\xdc\x00\x02\x01\x91\x01", 2),
        (b"\xdd\x00\x00\x00\x01\xdf\x00\x00\x00\x01\xa0\x01", 2),
        (b"\xde\x00\x01\xa0\x91\x01", 2),
        (b"\x92\xc4\x02\x91\x91\x01", 1),
        (b"\x92\xd9\x02\x91\x91\xcb\x91\x91\x91\x91\x91\x91\x91\x91", 1),
        (b"\x93\xc7\x02\x01\x91\x91\xd4\x01\x91\xd6\x01\x91\x91\x91\x91", 1),
        (b"\x92\xcd\x91\x91\xa2\x91\x91", 1),
    ],
)
def test_depth_of_every_kind_of_head(payload: bytes, depth: int) -> None:
    """Lengths, text and numbers are skipped, whatever bytes they are made of."""
    assert not deeper_than(payload, depth)
    if depth:
        assert deeper_than(payload, depth - 1)


def test_signs_and_kinds_of_numbers_are_kept() -> None:
    """True is not 1, 1.0 is not 1, and zero keeps its sign."""
    value = [True, 1, 1.0, -0.0, 0.0, False, 0, math.inf, -math.inf]
    assert repr(value) == repr(MSGPACK.loads(MSGPACK.dumps(value)))


class Colour(enum.Enum):
    """An enum that nobody registered."""

    RED = 1


def test_what_may_be_stored_need_not_be_known_to_the_reader() -> None:
    """Writing an enum needs no registration; reading it untyped says how to allow it."""
    payload = MSGPACK.dumps({"c": Colour.RED})
    with pytest.raises(CacheSerializationError, match=r"Colour.*type=.*register_type"):
        MSGPACK.loads(payload)
    assert {"c": Colour.RED} == MSGPACK.loads_as(payload, dict[str, Colour])


def test_a_huge_int_among_others_needs_no_digits() -> None:
    """Inside a container an int of any size comes back; no decimal text is involved."""
    value = {"n": 10**5000, "m": [-(10**5000)], "k": {10**5000: 1}}
    assert value == MSGPACK.loads(MSGPACK.dumps(value))
    with pytest.raises(CacheSerializationError, match="an object at"):
        MSGPACK.dumps({10**5000: object()})


COLLIDING = [number * (2**61 - 1) for number in range(1, 20_000)]
"""Different numbers of one hash: Python takes a number modulo 2**61 - 1."""


@pytest.mark.parametrize("tag", [Tag.SET, Tag.FROZENSET, Tag.MAPPING])
@pytest.mark.parametrize(
    "items",
    [
        COLLIDING,
        [float(2**61 * n) for n in range(1, 40)] + COLLIDING[:200],
        [[n] for n in COLLIDING],
    ],
    ids=["ints", "floats and ints", "tuples"],
)
def test_items_that_are_chosen_to_collide_are_refused(tag, items) -> None:
    """A set whose items all have one hash takes time in the square of its size to build."""
    if tag == Tag.MAPPING:
        items = [part for item in items for part in (item, 1)]

    def packed(item: object) -> object:
        if isinstance(item, list):
            return Ext(Tag.TUPLE, packb([packed(one) for one in item]))
        return encode_int(item) if type(item) is int else item

    assert {hash(one) for one in COLLIDING} == {0}
    payload = packb(Ext(tag, packb([packed(item) for item in items])))
    with pytest.raises(CacheSerializationError, match="cannot be read"):
        MsgpackSerializer().loads(payload)


@given(st.sets(st.integers() | st.floats(allow_nan=False) | st.text(), min_size=100, max_size=300))
def test_items_of_honest_sets_are_read(items: set) -> None:
    """No set that chance makes comes near the limit."""
    assert items == MsgpackSerializer().loads(MsgpackSerializer().dumps(items))


def test_combinations_of_flags_do_not_pile_up(monkeypatch) -> None:
    """Python keeps every combination that was ever made; a store cannot make it keep them all."""
    monkeypatch.setattr(plans, "MOST_COMBINATIONS", 20)
    many = enum.IntFlag("many", {f"F{n}": 1 << n for n in range(16)})
    plan = plans.EnumPlan(many, "many")

    with pytest.raises(ValueError, match="too many different combinations"):
        for value in range(1000):
            plan.together(value)

    assert len(many._value2member_map_) <= 20
    assert many.F0 | many.F1 == plan.together(3)
