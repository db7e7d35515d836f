"""Compression and encryption: exact, bound to what gives an entry its meaning, and safe to read."""

import contextlib
import itertools
import random
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from jinpy_cache_core import (
    CacheConfigurationError,
    CacheException,
    CacheSerializationError,
    CacheValueError,
    Secret,
)
from jinpy_cache_core.codec.codec import Codec
from jinpy_cache_core.codec.compression import (
    DICTIONARY_THRESHOLD,
    FREE_SIZE,
    MOST_GAIN,
    ZSTD,
    trained,
    zstd_library,
)
from jinpy_cache_core.entries.envelope import Compression, Envelope, NewerEnvelopeError
from jinpy_cache_core.entries.integers import parse_integer
from jinpy_cache_testing.samples import PLAIN, RICH, same

pytest.importorskip("cryptography")
try:
    ZSTD_LIBRARY: Any = zstd_library()
except CacheConfigurationError:  # pragma: no cover - where the extra is not installed
    pytest.skip("needs zstd", allow_module_level=True)

OLD, NEW = Secret("an old secret of thirty-two bytes"), Secret(b"\x00" * 32)
USERS = [
    {
        "id": number,
        "name": f"user {number}",
        "email": f"u{number}@example.org",
        "roles": ["reader", "writer", "administrator"],
        "active": True,
        "plan": "free",
    }
    for number in range(1000)
]
SETTINGS: dict[str, dict[str, Any]] = {
    "compressed": {"compression": "zstd"},
    "encrypted": {"encryption": NEW},
    "both": {"compression": "zstd", "encryption": [NEW, OLD]},
    "signed too": {"compression": "zstd", "encryption": NEW, "secret": Secret("signs")},
    "compressed and signed": {"compression": "zstd", "secret": Secret("signs")},
}
SEALED = [name for name in SETTINGS if name != "compressed"]


def codec(name: str = "compressed", **changes: Any) -> Codec:
    """A codec with one of the settings above."""
    return Codec.from_settings(**{"namespace": "app", **SETTINGS[name], **changes})


def with_dictionary(made: Codec) -> Codec:
    """One that compresses with a dictionary of users."""
    samples = [made.serializer.dumps(user) for user in USERS]
    made.dictionaries.learn(trained(samples, 4096))
    return made


@pytest.mark.parametrize("name", SETTINGS)
def test_every_value_comes_back_exactly(name: str) -> None:
    """Small and large ones, integers, and what looks like something else."""
    made = codec(name)
    values = {**PLAIN, **RICH, "large": ["value"] * 1000, "noise": random.Random(1).randbytes(5000)}
    for what, value in values.items():
        assert same(value, made.decode("key", made.encode("key", value))), what


@pytest.mark.parametrize("serializer", ["json", "str", "bytes", "pickle"])
def test_every_serializer_goes_with_both(serializer: str) -> None:
    """Encryption is a signature too, so it is enough for pickle."""
    made = codec("both", serializer=serializer)
    value: Any = b"\xc1" * 999 if serializer == "bytes" else "text " * 999
    payload = made.encode("key", value)
    assert value == made.decode("key", payload)
    assert len(payload) < 200


def test_only_what_gains_is_compressed() -> None:
    """Small values, noise and integers stay as they would be without."""
    made, plain = codec(), Codec.from_settings(namespace="app")
    for value in ("x" * 100, random.Random(1).randbytes(5000), 10**300, 7, None):
        assert plain.encode("key", value) == made.encode("key", value)
    assert len(made.encode("key", "x" * 100_000)) < 100
    eager = codec(compression_threshold=10)
    assert len(eager.encode("key", "x" * 100)) < 40


def test_counters_stay_text() -> None:
    """So that stores count them."""
    made = codec(compression_threshold=1)
    assert parse_integer(made.encode("key", 10**100)) == 10**100


def test_a_dictionary_makes_alike_values_small() -> None:
    """A value of a hundred bytes becomes less than half; another process needs the dictionary."""
    made = with_dictionary(codec())
    plain = len(Codec.from_settings().encode("key", USERS[5]))
    payload = made.encode("key", USERS[5])
    assert plain > DICTIONARY_THRESHOLD
    assert len(payload) < plain / 2
    assert USERS[5] == made.decode("key", payload)
    with pytest.raises(NewerEnvelopeError, match="not beside the data"):
        codec().decode("key", payload)
    fetching = codec()
    content = trained([made.serializer.dumps(user) for user in USERS], 4096)
    fetching.dictionaries.fetch = lambda _number: content
    assert USERS[5] == fetching.decode("key", payload)
    assert payload == fetching.encode("key", USERS[5])


def test_a_dictionary_needs_samples() -> None:
    """Too few are an error that says so."""
    with pytest.raises(CacheValueError, match="few hundred"):
        trained([b"one"], 4096)


def test_without_the_setting_a_compressed_entry_is_a_miss() -> None:
    """During a deployment both kinds of process share the store."""
    payload = codec().encode("key", "x" * 10_000)
    with pytest.raises(NewerEnvelopeError, match="compression='zstd'"):
        Codec.from_settings(namespace="app").decode("key", payload)
    assert "plain" == codec().decode("key", Codec.from_settings().encode("key", "plain"))


# -- Sizes that are announced ----------------------------------------------------------------------


def bounded(made: Codec, payload: bytes) -> None:
    """Read what must not be readable, within 50 MB and a second."""
    tracemalloc.start()
    began = time.perf_counter()
    try:
        with pytest.raises(CacheException):
            made.decode("key", payload)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50 * 2**20
    assert time.perf_counter() - began < 5  # one second where nobody else is at work


def enveloped(frame: bytes, size: int) -> bytes:
    """An entry as it would be stored."""
    return Envelope(payload=frame, compression=Compression(ZSTD, size)).pack()


def test_a_value_over_the_limit_is_not_decompressed() -> None:
    """The size before compression counts, at writing and at reading."""
    made = codec(max_value_bytes=10_000)
    with pytest.raises(CacheValueError, match="10,000"):
        made.encode("key", "x" * 20_000)
    with pytest.raises(CacheSerializationError, match="Nothing was decompressed"):
        made.decode("key", codec().encode("key", "x" * 20_000))


def test_a_bomb_is_refused() -> None:
    """Whatever it announces, and whatever its frame announces."""
    bomb = ZSTD_LIBRARY.compress(bytes(64 * 2**20), 3)
    made = codec()
    for size in (64 * 2**20, FREE_SIZE, 100, 0xFFFF_FFFF):
        bounded(made, enveloped(bomb, size))
    huge_window = bytes.fromhex("28b52ffd00f8") + bytes(20)
    for size in (100, FREE_SIZE):
        bounded(made, enveloped(huge_window, size))


def test_what_would_be_taken_for_a_bomb_is_stored_as_it_is() -> None:
    """So everything that is written can be read."""
    value = bytes(FREE_SIZE + 1000)
    made = codec()
    payload = made.encode("key", value)
    assert len(payload) > FREE_SIZE
    half_noise = random.Random(1).randbytes(FREE_SIZE // MOST_GAIN + 1000) + value
    assert half_noise == made.decode("key", made.encode("key", half_noise))


def payloads() -> Iterator[tuple[Codec, bytes]]:
    """Stored entries of every setting."""
    for name in SETTINGS:
        for made in (codec(name), with_dictionary(codec(name))):
            for value in (USERS[5], USERS[:50], "x" * 2000, 7):
                yield made, made.encode("key", value)


def test_forged_and_cut_entries_end_in_our_error() -> None:
    """Or in a value, or a miss; within bounds, whatever was changed."""
    chance = random.Random(5)
    for made, payload in payloads():
        for _ in range(150):
            forged = bytearray(payload)
            for _ in range(chance.randint(1, 3)):
                at = chance.randrange(len(forged))
                forged[at] = chance.randrange(256)
            if chance.random() < 0.3:
                del forged[chance.randrange(len(forged)) :]
            began = time.perf_counter()
            with contextlib.suppress(CacheException):
                made.decode("key", bytes(forged))
            assert time.perf_counter() - began < 5


# -- Encryption ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEALED)
def test_no_changed_entry_is_read(name: str) -> None:
    """Each bit counts, but those that make it a lease, which holds no value."""
    made = codec(name)
    for value in ("value " * 200, 7):
        payload = made.encode("key", value)
        for at, bit in itertools.product(range(min(len(payload), 200)), (0x01, 0x80)):
            forged = bytearray(payload)
            forged[at] ^= bit
            if at == 2 and bit == 0x01:
                continue
            with pytest.raises(CacheSerializationError):
                made.decode("key", bytes(forged))
        for size in range(len(payload)):
            with pytest.raises(CacheSerializationError):
                made.decode("key", payload[:size])


@pytest.mark.parametrize(
    "changes",
    [{"namespace": "other"}, {"store": "redis"}, {"serializer": "json"}, {"encryption": OLD}],
    ids=str,
)
def test_an_entry_is_bound_to_its_place(changes: dict[str, Any]) -> None:
    """Another key, namespace, serializer or kind of store is refused, as is another secret."""
    made = codec("encrypted")
    payload = made.encode("key", {"a": 1})
    with pytest.raises(CacheSerializationError):
        made.decode("other", payload)
    with pytest.raises(CacheSerializationError):
        codec("encrypted", **changes).decode("key", payload)


def test_secrets_rotate() -> None:
    """The first encrypts, every one decrypts, and one that is gone is told."""
    before, during, after = (codec("encrypted", encryption=s) for s in (OLD, [NEW, OLD], NEW))
    payload = before.encode("key", 5)
    assert 5 == during.decode("key", payload)
    assert 5 == after.decode("key", during.encode("key", 5))
    with pytest.raises(CacheSerializationError, match="not configured"):
        after.decode("key", payload)


def test_nothing_in_clear_is_accepted() -> None:
    """Not a value, not an integer, not a signed one; nor is an encrypted one read without."""
    made = codec("encrypted")
    clear = Codec.from_settings(namespace="app")
    for payload in (
        *(clear.encode("key", "text"), clear.encode("key", 5), Envelope(payload=b"x").pack()),
        codec(compression="zstd").encode("key", "x" * 2000),
        Codec.from_settings(namespace="app", secret=NEW).encode("key", 5),
        Envelope(payload=b"5", integer=True).pack(),
    ):
        with pytest.raises(CacheSerializationError, match="not encrypted"):
            made.decode("key", payload)
    with pytest.raises(NewerEnvelopeError, match="without encryption="):
        clear.decode("key", made.encode("key", 5))


def test_equal_values_look_different() -> None:
    """Each entry has a nonce of its own, and shows nothing but its size."""
    made = codec("encrypted")
    assert made.encode("key", "secret text") != made.encode("key", "secret text")
    assert b"secret text" not in made.encode("key", "secret text")


def test_no_secret_is_shown() -> None:
    """In no repr, and in no message."""
    made = codec("encrypted", encryption=OLD)
    assert OLD.reveal() not in repr(made)
    with pytest.raises(CacheConfigurationError, match="at least 32") as caught:
        codec("encrypted", encryption=Secret("short and private"))
    assert "private" not in str(caught.value)
    with pytest.raises(CacheConfigurationError, match="twice"):
        codec("encrypted", encryption=[OLD, OLD])
