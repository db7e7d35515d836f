"""The encoders and decoders that a codec chooses from, one for each need.

Each is a closure over what it needs and nothing else, made once; none asks on each call which
features are on.
"""

from collections.abc import Callable
from typing import Any, Final, Never

from ormsgpack import packb, unpackb

from jinpy_cache_core.entries.envelope import FIRST_BYTE, Envelope
from jinpy_cache_core.entries.integers import integer_text, parse_integer
from jinpy_cache_core.exceptions import CacheException, CacheValueError
from jinpy_cache_core.serializers import MsgpackSerializer, Serializer
from jinpy_cache_core.serializers.lowering import OPTIONS
from jinpy_cache_core.serializers.msgpack import (
    BIN8,
    BIN8_ONLY,
    END,
    END_NUMBER,
    LONG_EXT,
    NUMBER_HEADS,
    PAIR,
)

Encode = Callable[[str, Any], bytes]
Decode = Callable[[str, bytes], Any]

_PLAIN_HEADS: Final = bytes(
    head not in NUMBER_HEADS and head not in {FIRST_BYTE, LONG_EXT[0]} for head in range(0x100)
)
"""By first byte, whether a payload can only be MessagePack: no integer, no envelope; and no long
extension, which may be an array that is better not copied."""

_INT64: Final = 2**63
_ENVELOPE: Final = bytes((FIRST_BYTE,))


def bounded(encode_rest: Encode, limit: int) -> Encode:
    """Integers as text and the rest by another encoder, up to a number of bytes."""
    return limited(
        lambda key, value: integer_text(value) if type(value) is int else encode_rest(key, value),
        limit,
    )


def limited(encode_value: Encode, limit: int) -> Encode:
    """What another encoder writes, up to a number of bytes; errors know the key."""

    def encode(key: str, value: Any) -> bytes:
        try:
            payload = encode_value(key, value)
            if len(payload) > limit:
                refuse_size(len(payload), limit)
            return payload
        except CacheException as error:
            error.in_context(key=key)
            raise

    return encode


def plain_encoder(serializer: Serializer) -> Encode:
    """The serializer's bytes as they are."""
    dumps = serializer.dumps
    return lambda _key, value: dumps(value)


def wrapping_encoder(serializer: Serializer) -> Encode:
    """The serializer's bytes, in an envelope if they would be taken for one or for an integer."""
    dumps = serializer.dumps

    def encode(_key: str, value: Any) -> bytes:
        payload = dumps(value)
        if payload[:1] == _ENVELOPE or parse_integer(payload) is not None:
            return Envelope(payload=payload).pack()
        return payload

    return encode


def msgpack_encoder(serializer: MsgpackSerializer, limit: int) -> Encode:
    """Same as the general path, with the usual case in one frame: small plain data."""
    small = min(BIN8_ONLY, limit)
    checked = serializer.checked
    dumps_rich = serializer.dumps_rich
    packed = bounded(lambda _key, both: checked(*both), limit)
    rich = bounded(lambda _key, value: dumps_rich(value), limit)

    def encode(key: str, value: Any) -> bytes:
        if type(value) is int:
            if -_INT64 < value < _INT64:
                payload = b"%d" % value
                if len(payload) <= small:
                    return payload
            return rich(key, value)
        try:
            payload = packb(value, None, OPTIONS)
        except TypeError:
            return rich(key, value)
        if len(payload) <= small and BIN8 not in payload:
            return payload
        return packed(key, (value, payload))

    return encode


def msgpack_decoder(serializer: MsgpackSerializer, rest: Decode) -> Decode:
    """Same as the general path, with the usual case in one frame: the serializer's own bytes."""
    hook = serializer.hook
    unreadable = serializer.unreadable

    def decode(key: str, payload: bytes) -> Any:
        try:
            if _PLAIN_HEADS[payload[0]]:
                value, end = unpackb(PAIR + payload + END, ext_hook=hook)
                if end == END_NUMBER:
                    return value
            else:
                number = parse_integer(payload)
                if number is not None:
                    return number
        except ValueError as error:
            unreadable(error, key)
        except IndexError:
            pass
        return rest(key, payload)

    return decode


def refuse_size(size: int, limit: int) -> Never:
    """Raise for a payload over the limit, in bytes."""
    message = (
        f"The encoded value has {size:,} bytes; max_value_bytes={limit:,}. Nothing was stored. "
        "Store it in parts, or raise the limit."
    )
    raise CacheValueError(message)
