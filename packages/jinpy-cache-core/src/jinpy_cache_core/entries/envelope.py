"""What stands before a stored value when a feature needs more than the value.

A plain `set` stores the encoded value alone. Anything more is an envelope:

| bytes | content |
|---|---|
| 1 | `0xC1`, which begins no MessagePack, JSON, pickle or UTF-8 |
| 1 | the version, 1 |
| 2 | flags, big-endian |
| ... | only the fields that the flags name, in the order of their bits |
| rest | the payload |

| bit | flag | field, all numbers big-endian |
|---|---|---|
| 0 | soft expiry | float64, unix seconds |
| 1 | grace | float64, seconds |
| 2 | tags | uint16 count, then for each a uint16 length and UTF-8 |
| 3 | compression | uint8 codec, uint32 size in bytes of the payload before compression |
| 4 | signature | 32 bytes, HMAC-SHA256 |
| 5 | schema fingerprint | 8 bytes |
| 6 | fill cost | float64, seconds |
| 7 | start time | float64, unix seconds |
| 8 | lease | 16 bytes, the token of who is computing the value; reads as a miss |
| 9 | integer | no field: the payload is canonical decimal text, not the serializer's |
| 10 | encryption | 4 bytes that name the secret, 12 bytes of nonce; the payload is AES-256-GCM |

Each envelope has exactly one form, so that what was signed can be rebuilt and checked. The format
is pinned by golden files; a release never changes what a version means.
"""

import math
import struct
from collections.abc import Callable
from typing import Any, Final, Never

import attrs

from jinpy_cache_core.exceptions import CacheSerializationError

FIRST_BYTE: Final = 0xC1
"""What every envelope begins with, and no serializer's payload."""

VERSION: Final = 1
"""The only version so far."""

SIGNATURE_SIZE: Final = 32
"""Bytes of an HMAC-SHA256."""

FINGERPRINT_SIZE: Final = 8
"""Bytes of a schema fingerprint."""

LEASE_SIZE: Final = 16
"""Bytes of a lease token."""

SECRET_NUMBER_SIZE: Final = 4
"""Bytes that name the secret of an encrypted entry."""

NONCE_SIZE: Final = 12
"""Bytes of a nonce."""

_HEADER: Final = struct.Struct(">BBH")
_SECONDS: Final = struct.Struct(">d")
_COMPRESSION: Final = struct.Struct(">BI")
_COUNT: Final = struct.Struct(">H")
_MAX_COUNT: Final = 0xFFFF
_MAX_SIZE: Final = 0xFFFF_FFFF


class NewerEnvelopeError(CacheSerializationError):
    """The entry was written by a newer release: a miss for this one, and to be left in place."""


def _malformed(reason: str) -> Never:
    message = f"The stored entry's envelope is damaged: {reason}. Delete or overwrite the key."
    raise CacheSerializationError(message) from None


@attrs.frozen
class Compression:
    """How the payload was compressed.

    Attributes:
        codec: Which codec, 0 to 255.
        size: Bytes before compression; readers check it against their limit before they allocate.
    """

    codec: int
    size: int

    def __attrs_post_init__(self) -> None:
        if not (0 <= self.codec <= 0xFF and 0 <= self.size <= _MAX_SIZE):
            _malformed(f"compression codec={self.codec} size={self.size} is out of range")


@attrs.frozen
class Encryption:
    """How the payload was encrypted.

    Attributes:
        number: Which of the secrets, by a digest of it.
        nonce: What makes this encryption unlike every other.
    """

    number: bytes
    nonce: bytes

    def __attrs_post_init__(self) -> None:
        if len(self.number) != SECRET_NUMBER_SIZE or len(self.nonce) != NONCE_SIZE:
            _malformed("its encryption has another number of bytes than it takes")


def _check_finite(_: object, attribute: "attrs.Attribute[Any]", value: float | None) -> None:
    if value is not None and not math.isfinite(value):
        _malformed(f"{attribute.name} is {value!r}, not a finite number of seconds")


def _check_duration(_: object, attribute: "attrs.Attribute[Any]", value: float | None) -> None:
    if value is not None and not 0 <= value < math.inf:
        _malformed(f"{attribute.name} is {value!r}, not a finite number of seconds above 0")


def _check_size(size: int) -> Callable[[object, "attrs.Attribute[Any]", bytes | None], None]:
    def check(_: object, attribute: "attrs.Attribute[Any]", value: bytes | None) -> None:
        if value is not None and len(value) != size:
            _malformed(f"{attribute.name} has {len(value)} bytes instead of {size}")

    return check


def _check_tags(_: object, _attribute: "attrs.Attribute[Any]", tags: tuple[str, ...]) -> None:
    if len(tags) > _MAX_COUNT:
        _malformed(f"{len(tags)} tags are more than {_MAX_COUNT}")
    for tag in tags:
        try:
            size = len(tag.encode())
        except UnicodeEncodeError:
            _malformed("a tag holds a lone surrogate")
        if size > _MAX_COUNT:
            _malformed(f"a tag of {size} bytes is longer than {_MAX_COUNT}")


@attrs.frozen(kw_only=True)
class Envelope:
    """A payload and what features say about it; `None` and `()` mean that the field is absent.

    Attributes:
        payload: The encoded value.
        soft_expiry: Unix time in seconds from which the value is stale but may still be served.
        grace: Seconds for which a stale value may stand in for a failing factory.
        tags: What the entry can be invalidated by.
        compression: How the payload was compressed.
        signature: HMAC-SHA256 over the storage key and everything else here.
        schema: A fingerprint of the shape of the value.
        fill_cost: Seconds that computing the value took.
        start_time: Unix time in seconds at which computing it began.
        lease: The token of whoever is computing the value; such an entry reads as a miss.
        integer: Whether the payload is an integer's decimal text.
        encryption: How the payload was encrypted.
    """

    payload: bytes = attrs.field(repr=lambda payload: f"<{len(payload)} bytes>")
    soft_expiry: float | None = attrs.field(default=None, validator=_check_finite)
    grace: float | None = attrs.field(default=None, validator=_check_duration)
    tags: tuple[str, ...] = attrs.field(default=(), validator=_check_tags)
    compression: Compression | None = None
    signature: bytes | None = attrs.field(
        default=None, repr=False, validator=_check_size(SIGNATURE_SIZE)
    )
    schema: bytes | None = attrs.field(default=None, validator=_check_size(FINGERPRINT_SIZE))
    fill_cost: float | None = attrs.field(default=None, validator=_check_duration)
    start_time: float | None = attrs.field(default=None, validator=_check_finite)
    lease: bytes | None = attrs.field(default=None, validator=_check_size(LEASE_SIZE))
    integer: bool = False
    encryption: Encryption | None = None

    def pack(self) -> bytes:
        """The envelope as bytes."""
        flags = 0
        parts: list[bytes] = []
        for flag, write in _WRITERS:
            field = write(self)
            if field is not None:
                flags |= 1 << flag
                parts.append(field)
        return b"".join((_HEADER.pack(FIRST_BYTE, VERSION, flags), *parts, self.payload))

    @classmethod
    def unpack(cls, stored: bytes) -> "Envelope":
        """The envelope that these bytes are.

        Args:
            stored: Bytes of any origin.

        Raises:
            NewerEnvelopeError: The version or a flag is not known to this release.
            CacheSerializationError: They are no envelope, are cut short, or hold a field that
                `pack` would not have written.
        """
        if len(stored) < _HEADER.size or stored[0] != FIRST_BYTE:
            _malformed("it does not begin like one")
        _, version, flags = _HEADER.unpack_from(stored)
        if version != VERSION:
            message = (
                f"The stored entry is in version {version} of the envelope; this release reads "
                f"version {VERSION}. It reads as a miss until this program is upgraded."
            )
            raise NewerEnvelopeError(message)
        if flags >> len(_READERS):
            message = (
                f"The stored entry uses a feature (flags {flags:#06x}) that this release does not "
                "know. It reads as a miss until this program is upgraded."
            )
            raise NewerEnvelopeError(message)
        at = _HEADER.size
        fields: dict[str, Any] = {}
        for flag, (name, read) in enumerate(_READERS):
            if flags >> flag & 1:
                fields[name], at = read(stored, at)
        return cls(payload=stored[at:], **fields)


def _write_seconds(seconds: float | None) -> bytes | None:
    return None if seconds is None else _SECONDS.pack(seconds)


def _write_tags(tags: tuple[str, ...]) -> bytes | None:
    if not tags:
        return None
    encoded = [tag.encode() for tag in tags]
    lengths_and_tags = [part for tag in encoded for part in (_COUNT.pack(len(tag)), tag)]
    return b"".join((_COUNT.pack(len(encoded)), *lengths_and_tags))


def _write_compression(compression: Compression | None) -> bytes | None:
    return None if compression is None else _COMPRESSION.pack(compression.codec, compression.size)


def _write_encryption(encryption: Encryption | None) -> bytes | None:
    return None if encryption is None else encryption.number + encryption.nonce


_WRITERS: Final[tuple[tuple[int, Callable[[Envelope], bytes | None]], ...]] = (
    (0, lambda envelope: _write_seconds(envelope.soft_expiry)),
    (1, lambda envelope: _write_seconds(envelope.grace)),
    (2, lambda envelope: _write_tags(envelope.tags)),
    (3, lambda envelope: _write_compression(envelope.compression)),
    (4, lambda envelope: envelope.signature),
    (5, lambda envelope: envelope.schema),
    (6, lambda envelope: _write_seconds(envelope.fill_cost)),
    (7, lambda envelope: _write_seconds(envelope.start_time)),
    (8, lambda envelope: envelope.lease),
    (9, lambda envelope: b"" if envelope.integer else None),
    (10, lambda envelope: _write_encryption(envelope.encryption)),
)


def _take(stored: bytes, at: int, size: int) -> tuple[bytes, int]:
    end = at + size
    if end > len(stored):
        _malformed("it is cut short")
    return stored[at:end], end


def _read_seconds(stored: bytes, at: int) -> tuple[float, int]:
    field, at = _take(stored, at, _SECONDS.size)
    return _SECONDS.unpack(field)[0], at


def _read_tags(stored: bytes, at: int) -> tuple[tuple[str, ...], int]:
    field, at = _take(stored, at, _COUNT.size)
    (count,) = _COUNT.unpack(field)
    if not count:
        _malformed("it announces tags and has none")
    tags: list[str] = []
    for _ in range(count):
        field, at = _take(stored, at, _COUNT.size)
        encoded, at = _take(stored, at, _COUNT.unpack(field)[0])
        try:
            tags.append(encoded.decode())
        except UnicodeDecodeError:
            _malformed("a tag is not UTF-8")
    return tuple(tags), at


def _read_compression(stored: bytes, at: int) -> tuple[Compression, int]:
    field, at = _take(stored, at, _COMPRESSION.size)
    return Compression(*_COMPRESSION.unpack(field)), at


def _read_encryption(stored: bytes, at: int) -> tuple[Encryption, int]:
    number, at = _take(stored, at, SECRET_NUMBER_SIZE)
    nonce, at = _take(stored, at, NONCE_SIZE)
    return Encryption(number, nonce), at


def _read_bytes(size: int) -> Callable[[bytes, int], tuple[bytes, int]]:
    return lambda stored, at: _take(stored, at, size)


_READERS: Final[tuple[tuple[str, Callable[[bytes, int], tuple[Any, int]]], ...]] = (
    ("soft_expiry", _read_seconds),
    ("grace", _read_seconds),
    ("tags", _read_tags),
    ("compression", _read_compression),
    ("signature", _read_bytes(SIGNATURE_SIZE)),
    ("schema", _read_bytes(FINGERPRINT_SIZE)),
    ("fill_cost", _read_seconds),
    ("start_time", _read_seconds),
    ("lease", _read_bytes(LEASE_SIZE)),
    ("integer", lambda _stored, at: (True, at)),
    ("encryption", _read_encryption),
)
