"""`"msgpack"`: the default of stores that others can write to; exact, compact and safe to read.

Plain data (dict with str keys, list, str, 64-bit int, float, bool, None, bytes) is plain
MessagePack, readable by any language, at the cost of one call into native code. Everything else
that comes back exactly is an extension; see `jinpy_cache_core.serializers.extensions`. What would
not come back exactly is refused.
"""

from typing import Any, Final, Never

from ormsgpack import packb, unpackb

from jinpy_cache_core.exceptions import CacheException, CacheSerializationError
from jinpy_cache_core.serializers.extensions import INSTANCES, Tag
from jinpy_cache_core.serializers.lowering import OPTIONS, Lowering, hides_bytearray
from jinpy_cache_core.serializers.reading import Reading, read_scalar, take_swallowed
from jinpy_cache_core.serializers.refusal import (
    Refusal,
    instance_of,
    refuse_to_read,
    refuse_to_store,
    type_name,
)
from jinpy_cache_core.serializers.registry import TYPES, TypeRegistry
from jinpy_cache_core.serializers.structuring import structurer

BIN8: Final = 0xC4
"""The head of up to 255 bytes; a `bytearray` gets it too, which must not go unnoticed."""

BIN8_ONLY: Final = 258
"""Payloads of up to this size have no room for longer bytes, so `BIN8` is all to look for."""

PAIR: Final = b"\x92"
END: Final = b"\xcf\x8a\x01\xf3\x7d\x11\x9e\xc0\x5b"
END_NUMBER: Final = int.from_bytes(END[1:], "big")
"""The unpacker ignores what follows a value, so text of another serializer would read as the number
of its first character. Reading a pair of the payload and an unlikely number shows it."""

NUMBER_HEADS: Final = frozenset((*range(0x80), *range(0xCC, 0xD4), *range(0xE0, 0x100)))
"""First bytes of integers. No codec stores one this way, but ASCII text of another program begins
like one, and a single letter would be complete."""

LONG_EXT: Final = b"\xc9"
_EXT_HEAD: Final = 6


def is_one_array(payload: bytes) -> bool:
    """Whether a payload that begins with `LONG_EXT` is one numpy array and nothing else."""
    return (
        len(payload) >= _EXT_HEAD
        and payload[5] == Tag.NDARRAY
        and int.from_bytes(payload[1:5], "big") == len(payload) - _EXT_HEAD
    )


def read_array(payload: bytes) -> object:
    """A large numpy array as a view of the payload, where the unpacker would copy it three times.

    Raises:
        ValueError: It is damaged.
    """
    return read_scalar(Tag.NDARRAY, memoryview(payload)[_EXT_HEAD:])


_WAY_OUT: Final = (
    "Teach it with register_type(T, encode=..., decode=...), choose serializer='pickle', or store "
    "the plain data that it is made from."
)


class MsgpackSerializer:
    """MessagePack in strict mode: what is read equals what was written, type included.

    Args:
        registry: Which classes untyped reads may bring back; the process's own by default.
    """

    __slots__ = (
        "_plain_structurer",
        "_quick",
        "_structurer",
        "_thorough",
        "_typed_hook",
        "hook",
        "registry",
    )
    name = "msgpack"

    def __init__(self, registry: TypeRegistry = TYPES) -> None:
        self.registry = registry
        self._quick = Lowering(registry, thorough=False)
        self._thorough = Lowering(registry, thorough=True)
        self.hook = Reading(registry, typed=False).hook
        self._typed_hook = Reading(registry, typed=True).hook

    def dumps(self, value: object, /) -> bytes:
        """The value as MessagePack.

        Raises:
            CacheSerializationError: A part of it would not come back exactly; the message names
                its type, its place and the way out.
        """
        try:
            payload = packb(value, None, OPTIONS)
        except TypeError:
            return self.dumps_rich(value)
        if len(payload) <= BIN8_ONLY and BIN8 not in payload:
            return payload
        return self.checked(value, payload)

    def checked(self, value: object, payload: bytes) -> bytes:
        """The payload that the packer made of a value, unless it changed the value.

        Raises:
            CacheSerializationError: As `dumps`.
        """
        suspicious = BIN8 in payload or 0xC5 in payload or 0xC6 in payload
        return self.dumps_rich(value) if suspicious and hides_bytearray(value) else payload

    def dumps_rich(self, value: object) -> bytes:
        """Same as `dumps`, for a value that is known to hold more than plain MessagePack."""
        try:
            try:
                return packb(self._quick.lower(value), None, OPTIONS)
            except TypeError:
                return packb(self._thorough.lower(value), None, OPTIONS)
        except Refusal as refusal:
            refuse_to_store(self.name, str(refusal), refusal.way_out or _WAY_OUT)
        except RecursionError:
            what = f"{instance_of(type(value))} that contains itself or is nested too deeply"
            refuse_to_store(self.name, what, "Store its parts under their own keys.")
        except (CacheException, MemoryError):
            raise
        except Exception as error:
            message = (
                f"The serializer 'msgpack' cannot store this {type_name(type(value))}: "
                f"{type(error).__name__}: {error}"
            )
            raise CacheSerializationError(message) from error

    def loads(self, payload: bytes, /) -> object:
        """The value, with instances of registered classes.

        Raises:
            CacheSerializationError: The bytes are not one MessagePack value, or hold an instance of
                a class that is not registered.
        """
        try:
            if payload[:1] == LONG_EXT and is_one_array(payload):
                return read_array(payload)
            value, end = unpackb(PAIR + payload + END, ext_hook=self.hook)
        except ValueError as error:
            self.unreadable(error)
        if end != END_NUMBER:
            raise refuse_to_read(self.name, "more bytes follow the value")
        return value

    def loads_as(self, payload: bytes, kind: Any, /) -> Any:
        """The value as a type, whose classes need not be registered.

        Args:
            payload: What `dumps` returned.
            kind: A class or any annotation, such as `list[User] | None`.

        Raises:
            CacheSerializationError: The bytes are not one MessagePack value, or that value is not
                of the type.
        """
        try:
            if payload[:1] == LONG_EXT and is_one_array(payload):
                return structurer(self.registry, unresolved=False).structure(
                    read_array(payload), kind
                )
            value, end = unpackb(PAIR + payload + END, ext_hook=self._typed_hook)
        except ValueError as error:
            self.unreadable(error)
        if end != END_NUMBER:
            raise refuse_to_read(self.name, "more bytes follow the value")
        instances = any(tag in payload for tag in INSTANCES)
        return structurer(self.registry, unresolved=instances).structure(value, kind)

    def unreadable(self, error: ValueError, key: str | None = None) -> Never:
        """Raise for an error of the unpacker what it swallowed, if that says more.

        Raises:
            CacheSerializationError: Unless the program is being ended or is out of memory.
        """
        cause = take_swallowed() or error
        if isinstance(cause, CacheException):
            raise cause.in_context(key=key)
        if isinstance(cause, MemoryError) or not isinstance(cause, Exception):
            raise cause
        raise refuse_to_read(self.name, cause).in_context(key=key) from cause

    def __repr__(self) -> str:
        return "<MsgpackSerializer>"
