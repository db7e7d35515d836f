"""MessagePack extension types for the values that plain MessagePack would change.

The tags and payloads below are the wire format: documented, never renumbered, pinned by golden
files. Text is ASCII where it can be, so that other languages read it without this module.

| tag | type | payload |
|---|---|---|
| 1, 2, 3 | tuple, set, frozenset | MessagePack array of the items |
| 4 | dict with a key that is not a str | MessagePack array: key, value, key, value, ... |
| 5 | bytearray | the bytes |
| 6 | str with lone surrogates | UTF-8 with the surrogates encoded like other characters |
| 7 | int beyond 64 bits | two's complement, big-endian, shortest form |
| 8 | complex | two float64, big-endian |
| 9 | datetime | ISO 8601, then `[Area/City]` for a zone, `[name=...]`, `[fold=1]` |
| 10, 11 | date, time | ISO 8601, time with the suffixes of datetime |
| 12 | timedelta | days, seconds, microseconds as int32, big-endian |
| 13 | Decimal | its text |
| 14 | UUID | 16 bytes |
| 16 | attrs class or dataclass | MessagePack array: name, map of the fields |
| 17 | enum member | MessagePack array: name, member's name (flags: value) |
| 18 | `register_type(T, encode=, decode=)` | MessagePack array: name, what `encode` returned |
| 19 | named tuple | MessagePack array: name, map of the fields |
| 20 | OrderedDict | MessagePack array: key, value, ... |
| 21 | defaultdict | MessagePack array: the factory's name or nil, key, value, ... |
| 22 | Counter | MessagePack array: key, count, ... |
| 23 | deque | MessagePack array: maxlen or nil, items |
| 24, 25 | ChainMap, MappingProxyType | MessagePack array of the mappings, of the one |
| 26 | SimpleNamespace | MessagePack array: name, value, ... |
| 27, 28 | range, slice | MessagePack array: start, stop, step |
| 29 | Fraction | MessagePack array: numerator, denominator |
| 30 | timezone | MessagePack array: offset, and the name if it has one |
| 31 | re.Pattern | MessagePack array: flags, the text |
| 32 | paths | the type, a space, the text |
| 33 | Ellipsis, NotImplemented | the word |
| 34 | ZoneInfo | its key |
| 35 | ipaddress | the type, a space, the text |
| 36 | array.array | typecode, bytes of an item, a space, the items, little-endian |
| 37 | a class of another library | MessagePack array: name, content |
| 38 | Pydantic model, msgspec Struct | MessagePack array: name, map of fields and state |
| 39 | numpy array or scalar | uint32 length, JSON of dtype, shape and order, the items |
"""

import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, Final, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from ormsgpack import Ext

from jinpy_cache_core.serializers.refusal import Refusal, instance_of, type_name


class Tag:
    """The extension types, by number."""

    TUPLE: Final = 1
    SET: Final = 2
    FROZENSET: Final = 3
    MAPPING: Final = 4
    BYTEARRAY: Final = 5
    SURROGATES: Final = 6
    BIG_INT: Final = 7
    COMPLEX: Final = 8
    DATETIME: Final = 9
    DATE: Final = 10
    TIME: Final = 11
    TIMEDELTA: Final = 12
    DECIMAL: Final = 13
    UUID: Final = 14
    RECORD: Final = 16
    ENUM: Final = 17
    CUSTOM: Final = 18
    NAMED_TUPLE: Final = 19
    ORDERED_DICT: Final = 20
    DEFAULT_DICT: Final = 21
    COUNTER: Final = 22
    DEQUE: Final = 23
    CHAIN_MAP: Final = 24
    MAPPING_PROXY: Final = 25
    NAMESPACE: Final = 26
    RANGE: Final = 27
    SLICE: Final = 28
    FRACTION: Final = 29
    TIMEZONE: Final = 30
    PATTERN: Final = 31
    PATH: Final = 32
    SINGLETON: Final = 33
    ZONE: Final = 34
    ADDRESS: Final = 35
    ARRAY: Final = 36
    LIBRARY: Final = 37
    MODEL: Final = 38
    NDARRAY: Final = 39


INSTANCES: Final = (Tag.RECORD, Tag.ENUM, Tag.CUSTOM, Tag.NAMED_TUPLE, Tag.MODEL)
"""What carries an instance of a class that the reader names."""

_COMPLEX: Final = struct.Struct(">dd")
_TIMEDELTA: Final = struct.Struct(">iii")
_NAME: Final = "[name="
_FOLD: Final = "[fold=1]"

Moment = TypeVar("Moment", datetime, time)


def _moment_text(moment: datetime | time) -> str:
    zone = moment.tzinfo
    fold = _FOLD if moment.fold else ""
    if zone is None:
        return moment.isoformat() + fold
    kind = type(zone)
    if kind is timezone:
        text = moment.isoformat() + fold
        name = zone.tzname(None)
        offset = zone.utcoffset(None) or timedelta()
        return text if timezone(offset).tzname(None) == name else f"{text}{_NAME}{name}]"
    if kind is ZoneInfo and zone.key is not None:  # type: ignore[attr-defined]
        return f"{moment.replace(tzinfo=None).isoformat()}[{zone.key}]{fold}"  # type: ignore[attr-defined]
    what = f"{instance_of(type(moment))} in a time zone of type {type_name(kind)}"
    way_out = "Use zoneinfo.ZoneInfo(name) or datetime.timezone, which can be restored exactly."
    raise Refusal(what, way_out)


def _moment(text: str, parse: Callable[[str], Moment]) -> Moment:
    if not text.endswith("]"):
        return parse(text)
    zone: tzinfo | None = None
    text, named, name = text.partition(_NAME)
    fold = text.endswith(_FOLD)
    text = text.removesuffix(_FOLD)
    if text.endswith("]"):
        text, _, key = text[:-1].partition("[")
        zone = ZoneInfo(key)
    moment = parse(text)
    if named:
        offset = moment.utcoffset()
        if offset is None:
            message = "a named time zone has no offset"
            raise ValueError(message)
        zone = timezone(offset, name[:-1])
    return moment.replace(tzinfo=zone or moment.tzinfo, fold=fold)


def _encode_datetime(moment: datetime) -> Ext:
    zone = moment.tzinfo
    usual = (zone is None or zone is UTC) and not moment.fold
    text = moment.isoformat() if usual else _moment_text(moment)
    return Ext(Tag.DATETIME, text.encode())


def _int_bytes(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)


def encode_text(text: str) -> object:
    """The text itself, or its extension if it holds lone surrogates."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return Ext(Tag.SURROGATES, text.encode("utf-8", "surrogatepass"))
    return text


def encode_int(number: int) -> object:
    """The number itself, or its extension beyond what MessagePack holds in 64 bits."""
    if -(2**63) <= number < 2**64:
        return number
    return Ext(Tag.BIG_INT, _int_bytes(number))


ENCODERS: Final[dict[type, Callable[[Any], object]]] = {
    bytearray: lambda value: Ext(Tag.BYTEARRAY, bytes(value)),
    complex: lambda value: Ext(Tag.COMPLEX, _COMPLEX.pack(value.real, value.imag)),
    datetime: _encode_datetime,
    date: lambda value: Ext(Tag.DATE, value.isoformat().encode()),
    time: lambda value: Ext(Tag.TIME, _moment_text(value).encode()),
    timedelta: lambda value: Ext(
        Tag.TIMEDELTA, _TIMEDELTA.pack(value.days, value.seconds, value.microseconds)
    ),
    Decimal: lambda value: Ext(Tag.DECIMAL, str(value).encode()),
    UUID: lambda value: Ext(Tag.UUID, value.bytes),
}
"""How values that hold no other values are written, by exact type."""

DECODERS: Final[dict[int, Callable[[bytes], object]]] = {
    Tag.BYTEARRAY: bytearray,
    Tag.SURROGATES: lambda data: data.decode("utf-8", "surrogatepass"),
    Tag.BIG_INT: lambda data: int.from_bytes(data, "big", signed=True),
    Tag.COMPLEX: lambda data: complex(*_COMPLEX.unpack(data)),
    Tag.DATETIME: lambda data: _moment(data.decode(), datetime.fromisoformat),
    Tag.DATE: lambda data: date.fromisoformat(data.decode()),
    Tag.TIME: lambda data: _moment(data.decode(), time.fromisoformat),
    Tag.TIMEDELTA: lambda data: timedelta(*_TIMEDELTA.unpack(data)),
    Tag.DECIMAL: lambda data: Decimal(data.decode()),
    Tag.UUID: lambda data: UUID(bytes=data),
}
"""How they are read, by tag; each raises whatever it likes on damaged bytes."""
