"""Bytes and configurations that somebody made up: a value or our own error, in bounded time.

Inputs are valid ones with a few changes, which come further than noise does: bytes flipped, cut,
doubled and put together from two, numbers at their edges, lengths that promise too much. The normal
run draws the same few thousand each time; the soak draws a million.
"""

import math
import random
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from tests.core.conftest import ShelfConfig

from jinpy_cache_core import CacheException, CacheManagerConfig, Secret
from jinpy_cache_core.codec.codec import Codec
from jinpy_cache_core.entries.decisions import touching
from jinpy_cache_core.entries.envelope import (
    FINGERPRINT_SIZE,
    LEASE_SIZE,
    SIGNATURE_SIZE,
    Compression,
    Envelope,
)
from jinpy_cache_core.entries.records import UNCHANGED, Record
from jinpy_cache_core.entries.state import (
    LEASE_LIFETIME,
    CachedValue,
    EntryState,
    Lease,
    state_of,
    visible,
)
from jinpy_cache_core.loading.leases import Claiming, Filling, Releasing
from jinpy_cache_testing.samples import RICH

LONGEST = 2.0
"""Seconds of work that no single input may cost; they are small."""

EDGES = (b"\x00", b"\xff", b"\xc1", b"\x7f\xff\xff\xff", b"\xff" * 8, b"\xdf\xff\xff\xff\xff")
"""What is put into bytes: the ends of ranges, and lengths."""

VALUES = (
    None,
    1,
    -(2**70),
    1.5,
    "text",
    b"bytes",
    [1, [2, [3, [4]]]],
    {"a": {"b": (1, 2)}, 3: {4, 5}},
    frozenset({1, "x", b"y"}),
    Decimal("1.50"),
    datetime(2026, 1, 1, tzinfo=UTC),
    *RICH.values(),
)

SECRET = Secret("a secret of the fuzzer, long enough")


def mutated(chance: random.Random, seeds: list[bytes]) -> bytes:
    """One of the seeds, changed in one to four places."""
    payload = bytearray(chance.choice(seeds))
    for _ in range(chance.randint(1, 4)):
        at = chance.randint(0, len(payload))
        kind = chance.randrange(7)
        if kind == 0 and payload:
            payload[at % len(payload)] ^= 1 << chance.randrange(8)
        elif kind == 1 and payload:
            payload[at % len(payload)] = chance.randrange(256)
        elif kind == 2:
            del payload[at:]
        elif kind == 3:
            payload[at:at] = chance.choice(EDGES)
        elif kind == 4:
            payload[at:] = chance.choice(seeds)[chance.randint(0, 40) :]
        elif kind == 5:
            payload[at : at + 8] = struct.pack(
                ">d", chance.choice([0.0, -1.0, 1e300, float("inf"), float("nan")])
            )
        elif len(payload) < 4096:
            payload[at:at] = bytes(payload[: chance.randint(0, 64)]) * chance.randint(1, 4)
    return bytes(payload)


def envelopes() -> list[bytes]:
    """Every field of an envelope, alone and together."""
    fields: dict[str, Any] = {
        "soft_expiry": 1e9,
        "grace": 60.0,
        "tags": ("a", "b" * 40),
        "compression": Compression(1, 1000),
        "signature": b"s" * SIGNATURE_SIZE,
        "schema": b"f" * FINGERPRINT_SIZE,
        "fill_cost": 0.5,
        "start_time": 1e9,
        "lease": b"l" * LEASE_SIZE,
        "integer": True,
    }
    packed = [Envelope(payload=b"value").pack(), Envelope(payload=b"value", **fields).pack()]
    for name, value in fields.items():
        packed.append(Envelope(payload=b"\x93\x01\x02\x03", **{name: value}).pack())
    return packed


def states() -> list[bytes]:
    """Values with grace, leases, both."""
    value = CachedValue(b"value", 1e9, 60.0, 1e9, 0.5)
    lease = Lease(b"l" * 16, 1e9)
    records = [
        EntryState(value).record(),
        EntryState(None, lease).record(),
        EntryState(value, lease).record(),
    ]
    return [record.payload for record in records if record is not None]


def unpack(payload: bytes) -> object:
    """Take an envelope apart; what comes out is written as it was read."""
    envelope = Envelope.unpack(payload)
    assert envelope == Envelope.unpack(envelope.pack())
    return envelope


def _lasting(record: Record) -> bool:
    """Whether a value says of itself that it lives long; that is for who wrote it to say."""
    cached = state_of(Record(record.payload, math.inf), 0.0).cached
    return record.deadline in (math.inf, None if cached is None else cached.deadline)


def decide(payload: bytes) -> None:
    """Every decision about a state; what it says shall be stored can be read again."""
    record, now = Record(payload, 1e9 + 4000), 1e9
    visible(record, now)
    for decision in (
        Claiming(b"t" * 16, 5.0),
        Claiming(b"t" * 16, 0.0),
        Filling(b"l" * 16, CachedValue(b"new", 10.0)),
        Releasing(b"l" * 16, 5.0),
        touching(10.0),
    ):
        change, _ = decision(record, now)
        if change is not UNCHANGED and change is not None:
            state_of(change, now)
            assert change.deadline <= now + 3 * LEASE_LIFETIME or _lasting(change)


def reading(serializer: str, secret: Secret | None) -> tuple[list[bytes], Callable[[bytes], Any]]:
    """Stored values, and what reads them, with `type=` and without."""
    codec = Codec.from_settings(serializer, secret=secret)
    seeds = []
    for value in VALUES:
        try:
            seeds.append(codec.encode("key", value))
        except CacheException:  # JSON stores fewer types
            continue

    def read(payload: bytes) -> object:
        with suppress(CacheException):
            codec.decode("key", payload)
        return codec.decode_as("key", payload, dict[str, list[int]])

    return seeds + states(), read


BYTES: dict[str, Callable[[], tuple[list[bytes], Callable[[bytes], Any]]]] = {
    "envelope": lambda: (envelopes() + states(), unpack),
    "entry-state": lambda: (envelopes() + states(), decide),
    "msgpack": lambda: reading("msgpack", None),
    "json": lambda: reading("json", None),
    "str": lambda: reading("str", None),
    "signed-msgpack": lambda: reading("msgpack", SECRET),
    "signed-pickle": lambda: reading("pickle", SECRET),
}
"""What reads bytes: valid ones, and the reader."""

LEAVES: tuple[Any, ...] = (
    None, True, -1, 0, 2**80, 1.5, float("nan"), "", "x", "[", "${HOME}", "redis://[", b"b",
    "shelf://", "shelf://h:99999", "://", "\ud800", [], {}, [[]], {"a": {}}, ["x", None], object(),
)  # fmt: skip
"""What stands in the place of a setting."""

NAMES = (
    "name", "size", "ratio", "locked", "password", "broken", "stuck", "options", "serializer",
         "secret", "namespace", "default_ttl", "max_value_bytes", "backend_type", "sice",
)  # fmt: skip


def configurations(chance: random.Random) -> Iterator[Any]:
    """Tables of settings that are nearly right."""
    while True:
        backend: Any = {"backend_type": "shelf", "name": "a"}
        for _ in range(chance.randint(0, 4)):
            backend[chance.choice(NAMES)] = chance.choice(LEAVES)
        if chance.random() < 0.2:
            backend = chance.choice(LEAVES)
        data: Any = {"backends": [backend]}
        if chance.random() < 0.2:
            data["backends"] = chance.choice(
                [backend, {"a": backend}, {"a": chance.choice(LEAVES)}]
            )
        if chance.random() < 0.3:
            key = chance.choice(["default_backend", "options", "enable_singleton", "backend"])
            data[key] = chance.choice(LEAVES)
        yield chance.choice(LEAVES) if chance.random() < 0.02 else data


def mutations(chance: random.Random, seeds: list[bytes]) -> Iterator[bytes]:
    """Without end."""
    while True:
        yield mutated(chance, seeds)


def endure(inputs: Iterator[Any], use: Callable[[Any], Any], many: int) -> None:
    """Use so many of them; each ends in a value or an error of ours, and soon."""
    values = errors = 0
    for _ in range(many):
        one = next(inputs)
        began = time.thread_time()
        try:
            use(one)
            values += 1
        except CacheException:
            errors += 1
        except BaseException as error:
            error.add_note(f"The input was {one!r}.")
            raise
        seconds = time.thread_time() - began
        assert seconds < LONGEST, f"{seconds:.1f} s for {one!r:.500}"
    assert values
    assert errors or use is decide


def fuzz_bytes(target: str, many: int) -> None:
    """Mutate valid bytes and read them."""
    seeds, use = BYTES[target]()
    endure(mutations(random.Random(f"{target}{many}"), seeds), use, many)


def fuzz_configurations(many: int) -> None:
    """Read tables of settings; an error names the place."""

    def use(data: Any) -> None:
        config = CacheManagerConfig.from_dict(data)
        repr(config)

    endure(configurations(random.Random(many)), use, many)


@pytest.mark.parametrize("target", BYTES)
def test_bytes_that_were_made_up_end_in_a_value_or_our_error(target: str):
    """Whatever stands in the store."""
    fuzz_bytes(target, 3000)


def test_configurations_that_were_made_up_end_in_a_config_or_our_error():
    """Whatever stands in a file, an environment or JSON."""
    assert ShelfConfig.backend_type == "shelf"
    fuzz_configurations(1000)


@pytest.mark.soak
@pytest.mark.parametrize("target", BYTES)
def test_a_million_inputs(target: str):
    """An eighth of a million for each reader."""
    fuzz_bytes(target, 125_000)


@pytest.mark.soak
def test_a_million_inputs_and_their_share_of_configurations():
    """The last eighth."""
    fuzz_configurations(125_000)
