"""What earlier releases wrote: each file in `golden` reads as its value, and is written again.

A file here is never changed. Should a test fail, the code is wrong: entries written by the release
before would not be readable any more.
"""

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import math
import pathlib
import re
import types
import uuid
import zoneinfo
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import pytest

from jinpy_cache_core import CacheConfigurationError
from jinpy_cache_core.codec.codec import Codec
from jinpy_cache_core.secret import Secret
from jinpy_cache_core.serializers import TypeRegistry
from jinpy_cache_core.serializers.msgpack import MsgpackSerializer
from jinpy_cache_core.serializers.plans import CustomPlan, derive_plan
from jinpy_cache_testing.samples import same

GOLDEN = Path(__file__).parent / "golden"


@attrs.frozen
class User:
    """An attrs class."""

    name: str
    born: dt.date


@dataclasses.dataclass
class Team:
    """A dataclass of attrs instances."""

    users: list[User]


class Colour(enum.Enum):
    """An enum."""

    RED = "red"


class Access(enum.Flag):
    """Members that combine."""

    READ = 1
    WRITE = 2


class Pair(NamedTuple):
    """A named tuple."""

    left: int
    right: str


class Vector:
    """A class with functions of its own."""

    def __init__(self, *parts: float) -> None:
        self.parts = parts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vector) and self.parts == other.parts

    __hash__ = None  # type: ignore[assignment]


REGISTRY = TypeRegistry()
for kind in (User, Team, Colour, Access, Pair):
    plan = derive_plan(kind, f"app.{kind.__name__}")
    assert plan is not None
    REGISTRY.register(plan)
REGISTRY.register(
    CustomPlan(Vector, "app.Vector", lambda vector: vector.parts, lambda parts: Vector(*parts))
)

CODECS = {
    "msgpack": Codec(serializer=MsgpackSerializer(REGISTRY)),
    "json": Codec.from_settings("json"),
    "str": Codec.from_settings("str"),
    "bytes": Codec.from_settings("bytes"),
    "pickle": Codec.from_settings("pickle", allow_unsigned_pickle=True),
    "signed": Codec.from_settings("msgpack", namespace="app", secret=Secret("golden secret")),
}
"""By folder."""

GOLDEN_SECRET = Secret("golden secret of thirty-two bytes")
SEALED = ("compressed", "encrypted")
"""Folders of what takes a library; the one writes other bytes in each release, the other always."""

ADA = User("Ada", dt.date(1815, 12, 10))
VALUES: dict[str, object] = {
    "msgpack/none": None,
    "msgpack/true": True,
    "msgpack/int": -42,
    "msgpack/float": 1.5,
    "msgpack/minus-zero": -0.0,
    "msgpack/nan": math.nan,
    "msgpack/str": "caf\u00e9",
    "msgpack/digits": "42",
    "msgpack/bytes": b"\xc1\x00",
    "msgpack/list": [1, [2.5, None], "x"],
    "msgpack/dict": {"id": 1, "tags": ["a", "b"], "ok": True},
    "msgpack/tuple": (1, (2, "x")),
    "msgpack/set": {7},
    "msgpack/frozenset": frozenset({"x"}),
    "msgpack/mapping": {1: "a", "1": "b", (2,): None},
    "msgpack/bytearray": bytearray(b"ab"),
    "msgpack/surrogates": "a\ud800",
    "msgpack/big-int": [2**64, -(2**63) - 1],
    "msgpack/complex": 1 - 2j,
    "msgpack/datetime": dt.datetime(2024, 2, 29, 1, 2, 3, 4),  # noqa: DTZ001
    "msgpack/datetime-utc": dt.datetime(2024, 2, 29, 1, 2, 3, tzinfo=dt.UTC),
    "msgpack/datetime-offset": dt.datetime(
        2024, 2, 29, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))
    ),
    "msgpack/datetime-named": dt.datetime(
        2024, 2, 29, tzinfo=dt.timezone(dt.timedelta(hours=-5), "EST")
    ),
    "msgpack/datetime-zone": dt.datetime(
        2024, 10, 27, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Paris"), fold=1
    ),
    "msgpack/date": dt.date(2024, 2, 29),
    "msgpack/time": dt.time(1, 2, 3, 4),
    "msgpack/timedelta": dt.timedelta(days=-1, seconds=2, microseconds=3),
    "msgpack/decimal": decimal.Decimal("-1.10"),
    "msgpack/uuid": uuid.UUID(int=0x0123456789ABCDEF0123456789ABCDEF),
    "msgpack/attrs": ADA,
    "msgpack/dataclass": Team([ADA]),
    "msgpack/enum": Colour.RED,
    "msgpack/flag": Access.READ | Access.WRITE,
    "msgpack/named-tuple": Pair(1, "x"),
    "msgpack/ordered-dict": collections.OrderedDict(b=1, a=2),
    "msgpack/default-dict": collections.defaultdict(list, {1: [2]}),
    "msgpack/counter": collections.Counter("aab"),
    "msgpack/deque": collections.deque([1, 2], maxlen=3),
    "msgpack/chain-map": collections.ChainMap({"a": 1}, {"b": 2}),
    "msgpack/mapping-proxy": types.MappingProxyType({"a": 1}),
    "msgpack/namespace": types.SimpleNamespace(a=1),
    "msgpack/range": range(1, 10, 2),
    "msgpack/slice": slice(None, 5),
    "msgpack/fraction": fractions.Fraction(-1, 3),
    "msgpack/timezone": dt.timezone(dt.timedelta(hours=-5), "EST"),
    "msgpack/pattern": re.compile("a+", re.ASCII),
    "msgpack/path": pathlib.PurePosixPath("/a/b"),
    "msgpack/ellipsis": ...,
    "msgpack/zone": zoneinfo.ZoneInfo("Europe/Paris"),
    "msgpack/address": ipaddress.ip_network("2001:db8::/32"),
    "msgpack/array": array.array("h", [1, -2]),
    "msgpack/custom": {"v": Vector(1.0, 2.0)},
    "json/dict": {"id": 1, "name": "caf\u00e9", "parts": [1.5, None, True, {}]},
    "json/int": 42,
    "json/digits": "42",
    "str/text": "caf\u00e9",
    "str/digits": "42",
    "bytes/raw": b"\x00\xff",
    "bytes/digits": b"42",
    "bytes/envelope": b"\xc1\x01\x00\x00",
    "signed/dict": {"id": 1},
    "signed/int": 42,
    "pickle/dict": {"id": (1, {2})},
    "compressed/text": "text " * 200,
    "compressed/dictionary": {"id": 7, "email": "u7@example.org", "plan": "free"},
    "encrypted/dict": {"id": 1},
    "encrypted/int": 42,
    "encrypted/compressed": "text " * 200,
}


def codec_for(name: str) -> Codec:
    """The codec of a golden file; what it needs may not be installed."""
    folder = name.split("/", maxsplit=1)[0]
    if folder not in SEALED:
        return CODECS[folder]
    pytest.importorskip("cryptography")
    try:
        made = Codec.from_settings(
            namespace="app",
            compression="zstd",
            encryption=Secret("golden secret of thirty-two bytes")
            if folder == "encrypted"
            else None,
        )
    except CacheConfigurationError:  # pragma: no cover - where the extra is not installed
        pytest.skip("needs zstd")
    if name == "compressed/dictionary":
        made.dictionaries.learn((GOLDEN / "dictionary.bin").read_bytes())
    return made


def golden(name: str) -> bytes:
    """What an earlier release wrote."""
    return (GOLDEN / f"{name}.bin").read_bytes()


@pytest.mark.parametrize("name", VALUES)
def test_what_was_written_is_read(name: str) -> None:
    """Every stored form of earlier releases reads as the value that it was made from."""
    chosen = codec_for(name)
    assert same(VALUES[name], chosen.decode("key", golden(name)))


@pytest.mark.parametrize(
    "name", [name for name in VALUES if not name.startswith(("pickle/", *SEALED))]
)
def test_what_is_written_stays_the_same(name: str) -> None:
    """Releases before can read what this one writes; pickle's bytes are Python's own affair."""
    chosen = codec_for(name)
    assert golden(name) == chosen.encode("key", VALUES[name])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("msgpack/attrs", User),
        ("msgpack/dataclass", Team),
        ("msgpack/enum", Colour),
        ("msgpack/flag", Access),
        ("msgpack/dict", dict[str, Any]),
        ("json/dict", dict[str, Any]),
    ],
)
def test_what_was_written_is_read_by_type(name: str, kind: Any) -> None:
    """Typed reads understand earlier releases too."""
    chosen = codec_for(name)
    assert same(VALUES[name], chosen.decode_as("key", golden(name), kind))


def test_every_golden_file_is_checked() -> None:
    """No file is left that no test reads."""
    files = {
        str(path.relative_to(GOLDEN).with_suffix(""))
        for folder in (*CODECS, *SEALED)
        for path in (GOLDEN / folder).iterdir()
    }
    assert set(VALUES) == files
