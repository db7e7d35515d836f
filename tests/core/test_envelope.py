"""The envelope: what stands before a payload when a feature needs more than the value."""

import contextlib
import math
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jinpy_cache_core import CacheSerializationError, Secret
from jinpy_cache_core.codec.signing import Binding, is_signed, sign
from jinpy_cache_core.entries.envelope import Compression, Envelope, NewerEnvelopeError

GOLDEN = Path(__file__).parent / "golden" / "envelope"

SECONDS = st.floats(allow_nan=False, allow_infinity=False)
DURATIONS = st.floats(0, allow_nan=False, allow_infinity=False)
TAGS = st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4).map(tuple)
ENVELOPES = st.builds(
    Envelope,
    payload=st.binary(),
    soft_expiry=st.none() | SECONDS,
    grace=st.none() | DURATIONS,
    tags=TAGS,
    compression=st.none()
    | st.builds(Compression, codec=st.integers(0, 255), size=st.integers(0, 2**32 - 1)),
    signature=st.none() | st.binary(min_size=32, max_size=32),
    schema=st.none() | st.binary(min_size=8, max_size=8),
    fill_cost=st.none() | DURATIONS,
    start_time=st.none() | SECONDS,
    lease=st.none() | st.binary(min_size=16, max_size=16),
    integer=st.booleans(),
)


@given(ENVELOPES)
def test_an_envelope_comes_back(envelope: Envelope) -> None:
    """Whatever fields are present, unpacking what was packed gives an equal envelope."""
    packed = envelope.pack()
    assert packed.startswith(b"\xc1\x01")
    assert envelope == Envelope.unpack(packed)


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda rest: b"\xc1\x01" + rest))
def test_any_bytes_are_an_envelope_or_an_error(stored: bytes) -> None:
    """Bytes of any origin unpack, and pack to the same bytes again, or are the documented error."""
    with contextlib.suppress(CacheSerializationError):
        assert stored == Envelope.unpack(stored).pack()


@given(ENVELOPES, st.data())
def test_a_damaged_envelope_is_another_or_an_error(envelope: Envelope, data: st.DataObject) -> None:
    """One changed byte never raises anything but the documented error."""
    packed = bytearray(envelope.pack())
    packed[data.draw(st.integers(0, len(packed) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(CacheSerializationError):
        assert packed == Envelope.unpack(bytes(packed)).pack()


@given(ENVELOPES)
def test_a_cut_header_is_an_error(envelope: Envelope) -> None:
    """A header cut at any length is never taken for a shorter one."""
    header = attrs.evolve(envelope, payload=b"").pack()
    for end in range(len(header)):
        with pytest.raises(CacheSerializationError, match="damaged"):
            Envelope.unpack(header[:end])


FULL = Envelope(
    payload=b"payload",
    soft_expiry=1_700_000_000.5,
    grace=60.0,
    tags=("a", "caf\u00e9", ""),
    compression=Compression(1, 4096),
    signature=bytes(range(32)),
    schema=b"schema01",
    fill_cost=0.25,
    start_time=1_700_000_000.0,
    lease=bytes(range(16)),
    integer=True,
)
PINNED = {
    "bare": Envelope(payload=b"12"),
    "empty": Envelope(payload=b""),
    "soft-expiry": Envelope(payload=b"\xa1x", soft_expiry=1_700_000_000.5),
    "grace": Envelope(payload=b"\xa1x", grace=60.0),
    "tags": Envelope(payload=b"\xa1x", tags=("a", "caf\u00e9", "")),
    "compression": Envelope(payload=b"\xa1x", compression=Compression(1, 4096)),
    "signature": Envelope(payload=b"\xa1x", signature=bytes(range(32))),
    "schema": Envelope(payload=b"\xa1x", schema=b"schema01"),
    "fill-cost": Envelope(payload=b"\xa1x", fill_cost=0.25),
    "start-time": Envelope(payload=b"\xa1x", start_time=1_700_000_000.0),
    "lease": Envelope(payload=b"", lease=bytes(range(16))),
    "integer": Envelope(payload=b"-12", tags=("n",), integer=True),
    "full": FULL,
}


@pytest.mark.parametrize("name", PINNED)
def test_the_format_is_pinned(name: str) -> None:
    """What the first release wrote is what every release writes and reads."""
    stored = (GOLDEN / f"{name}.bin").read_bytes()
    assert stored == PINNED[name].pack()
    assert PINNED[name] == Envelope.unpack(stored)


def test_every_pinned_file_is_checked() -> None:
    """No golden file is left that no test reads."""
    assert sorted(PINNED) == sorted(path.stem for path in GOLDEN.iterdir())


def test_the_format_is_as_documented() -> None:
    """The bytes of a small envelope, field by field."""
    packed = Envelope(payload=b"xyz", grace=1.0, tags=("ab",)).pack()
    header = b"\xc1\x01\x00\x06"
    grace = b"\x3f\xf0\x00\x00\x00\x00\x00\x00"
    tags = b"\x00\x01\x00\x02ab"
    assert header + grace + tags + b"xyz" == packed


@pytest.mark.parametrize(
    "stored",
    [
        b"\xc1\x02\x00\x00payload",
        b"\xc1\x00\x00\x00",
        b"\xc1\x01\x08\x00",
        b"\xc1\x01\x80\x00payload",
        b"\xc1\xff\xff\xff",
    ],
)
def test_what_a_newer_release_wrote_is_told_apart(stored: bytes) -> None:
    """An unknown version or flag has its own error, so that backends can leave the entry alone."""
    with pytest.raises(NewerEnvelopeError, match="miss until this program is upgraded"):
        Envelope.unpack(stored)


@pytest.mark.parametrize(
    ("stored", "complaint"),
    [
        (b"", "does not begin"),
        (b"\xc1", "does not begin"),
        (b"\xc1\x01\x00", "does not begin"),
        (b"\x81\x01\x00\x00", "does not begin"),
        (b"\xc1\x01\x00\x01\x00", "cut short"),
        (b"\xc1\x01\x00\x01\x7f\xf8" + bytes(6), "soft_expiry is nan"),
        (b"\xc1\x01\x00\x02\x7f\xf0" + bytes(6), "grace is inf"),
        (b"\xc1\x01\x00\x02\xbf\xf0" + bytes(6), r"grace is -1\.0"),
        (b"\xc1\x01\x00\x04\x00\x00", "announces tags and has none"),
        (b"\xc1\x01\x00\x04\x00\x01\x00\x01\xff", "not UTF-8"),
        (b"\xc1\x01\x00\x04\xff\xff\xff\xff", "cut short"),
        (b"\xc1\x01\x00\x10" + bytes(31), "cut short"),
        (b"\xc1\x01\x01\x00" + bytes(15), "cut short"),
    ],
)
def test_a_malformed_envelope_says_why(stored: bytes, complaint: str) -> None:
    """What `pack` would never write is an error that names the field."""
    with pytest.raises(CacheSerializationError, match=complaint) as caught:
        Envelope.unpack(stored)
    assert not isinstance(caught.value, NewerEnvelopeError)


@pytest.mark.parametrize(
    "fields",
    [
        {"soft_expiry": math.nan},
        {"soft_expiry": math.inf},
        {"grace": -1.0},
        {"fill_cost": -0.5},
        {"fill_cost": math.inf},
        {"start_time": math.nan},
        {"signature": b"short"},
        {"schema": b"short"},
        {"lease": b"short"},
        {"tags": ("\ud800",)},
        {"tags": ("x" * 65_536,)},
        {"tags": ("",) * 65_536},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_field_out_of_range_is_refused(fields: Any) -> None:
    """What could not be packed cannot be made."""
    with pytest.raises(CacheSerializationError):
        Envelope(payload=b"", **fields)


@pytest.mark.parametrize(("codec", "size"), [(-1, 0), (256, 0), (0, -1), (0, 2**32)])
def test_a_compression_out_of_range_is_refused(codec: int, size: int) -> None:
    """Codec and size must fit their fields."""
    with pytest.raises(CacheSerializationError, match="compression"):
        Compression(codec, size)


def test_an_envelope_shows_no_value() -> None:
    """Neither the payload nor the signature is in the repr."""
    assert "payload" not in repr(FULL).replace("payload=<7 bytes>", "")
    assert "signature" not in repr(FULL)


SECRET = Secret("a canary of a secret")


BINDING = Binding("file", "msgpack", "1")
"""What reads the signed bytes of these tests."""


@given(ENVELOPES, st.text(st.characters(exclude_categories=["Cs"])))
def test_a_signature_covers_everything(envelope: Envelope, key: str) -> None:
    """Only the same envelope, for the same key and reader and by the same secret, verifies."""
    signed = sign(envelope, key, BINDING, SECRET)
    assert is_signed(signed, key, BINDING, [SECRET])
    assert is_signed(Envelope.unpack(signed.pack()), key, BINDING, [Secret("another"), SECRET])
    assert not is_signed(signed, key + "x", BINDING, [SECRET])
    assert not is_signed(signed, key, BINDING, [Secret("another")])
    assert not is_signed(signed, key, BINDING, [])
    for changed in (
        attrs.evolve(signed, payload=signed.payload + b"x"),
        attrs.evolve(signed, tags=(*signed.tags, "x")),
        attrs.evolve(signed, integer=not signed.integer),
        attrs.evolve(signed, signature=None),
    ):
        assert not is_signed(changed, key, BINDING, [SECRET])
    for reader in (
        attrs.evolve(BINDING, store="redis"),
        attrs.evolve(BINDING, serializer="pickle"),
        attrs.evolve(BINDING, version="2"),
    ):
        assert not is_signed(signed, key, reader, [SECRET])


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)


@given(st.tuples(TEXTS, TEXTS, TEXTS, TEXTS), st.tuples(TEXTS, TEXTS, TEXTS, TEXTS))
def test_what_is_signed_cannot_trade_bytes(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """Lengths are signed, too: no two readers and keys have the same content to sign."""
    contents = {Binding(*each[:3]).content(each[3], b"envelope") for each in (one, other)}
    assert len({one, other}) == len(contents)


def test_key_and_header_cannot_trade_bytes() -> None:
    """The key's length is signed too: bytes moved from the key to what follows it do not verify."""
    signed = sign(Envelope(payload=b""), "ab", BINDING, SECRET)
    assert not is_signed(signed, "a", BINDING, [SECRET])


def test_the_signature_is_pinned() -> None:
    """What one release signed, every release verifies."""
    signature = sign(Envelope(payload=b"payload"), "space:key", BINDING, SECRET).signature
    assert signature is not None
    assert (GOLDEN.parent / "signature.bin").read_bytes() == signature
