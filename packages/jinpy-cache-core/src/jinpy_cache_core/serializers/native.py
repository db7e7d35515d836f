"""`"native"`: what an in-process store keeps, so that nobody changes a value behind its back.

Immutable values are kept as they are. Plain containers become MessagePack bytes and any other
object a pickle, which is safe inside one process: the only writer is the reader. Each read makes
fresh objects.
"""

import pickle
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from types import EllipsisType, NoneType, NotImplementedType
from typing import Any, Final, Protocol, TypeAlias
from uuid import UUID

from ormsgpack import packb, unpackb

from jinpy_cache_core.exceptions import CacheSerializationError
from jinpy_cache_core.serializers.json import INTEGER_BOUND
from jinpy_cache_core.serializers.lowering import OPTIONS, hides_bytearray
from jinpy_cache_core.serializers.msgpack import BIN8, BIN8_ONLY, MsgpackSerializer
from jinpy_cache_core.serializers.pickle import PROTOCOL, PickleSerializer
from jinpy_cache_core.serializers.protocol import Serializer, serializer_name
from jinpy_cache_core.serializers.refusal import instance_of, refuse_to_store

Thaw: TypeAlias = Callable[[Any], Any]

IMMUTABLE: Final = frozenset(
    (
        NoneType,
        bool,
        float,
        complex,
        str,
        bytes,
        datetime,
        date,
        time,
        timedelta,
        Decimal,
        Fraction,
        UUID,
        range,
        EllipsisType,
        NotImplementedType,
    )
)
"""Types whose instances are kept by identity; `int` is too, after a look at its size."""

_IMMUTABLE_ITEMS: Final = IMMUTABLE | {int}
_PLAIN: Final = frozenset((dict, list))
_unpickle: Final = pickle.loads
_PICKLE: Final = bytes((0x80, PROTOCOL))
"""What every pickle begins with, and no MessagePack but that of an empty dict, which ends there."""

_EXACT: Final = MsgpackSerializer()


class Freezer(Protocol):
    """How an in-process store keeps a value and gives it back."""

    def freeze(self, value: object, /) -> tuple[object, Thaw | None]:
        """What to keep, and how to make the value from it.

        Args:
            value: Any object.

        Returns:
            What to keep, and the function that makes an equal value from it on each read; `None`
            if what is kept is the value itself.

        Raises:
            CacheSerializationError: It can be neither kept nor copied.
        """
        ...


def is_immutable(value: object) -> bool:
    """Whether nothing can change the value: a scalar, or a tuple or frozenset of such."""
    kind = type(value)
    if kind in _IMMUTABLE_ITEMS:
        return True
    if kind is tuple or kind is frozenset:
        for item in value:  # type: ignore[attr-defined]  # noqa: SIM110 - all() would recurse in C
            if not is_immutable(item):  # pyright: ignore[reportUnknownArgumentType]
                return False
        return True
    return isinstance(value, Enum)


class NativeSerializer(PickleSerializer):
    """Keeps immutable values, copies the rest; as bytes, where bytes are needed, it pickles."""

    __slots__ = ()
    name = "native"

    def freeze(self, value: object, /) -> tuple[object, Thaw | None]:
        """What to keep, and how to make the value from it; see `Freezer`.

        Raises:
            CacheSerializationError: It is mutable and cannot be copied, or an int of more than
                4,300 digits, which no other store could hold.
        """
        kind = type(value)
        if kind in IMMUTABLE:
            return value, None
        if kind is int:
            if not -INTEGER_BOUND < value < INTEGER_BOUND:  # type: ignore[operator]
                refuse_to_store(self.name, "an int of more than 4,300 digits", "Store its text.")
            return value, None
        if kind in _PLAIN:
            try:
                payload = packb(value, None, OPTIONS)
                if BIN8 not in payload and (
                    len(payload) <= BIN8_ONLY or not hides_bytearray(value)
                ):
                    return payload, unpackb
            except TypeError as error:
                if "Recursion" in str(error):
                    self._refuse_depth(value)
            payload = self.dumps(value)
            return payload, _unpickle if payload.startswith(_PICKLE) else _EXACT.loads
        return self._freeze_object(value, kind)

    def _freeze_object(self, value: object, kind: type) -> tuple[object, Thaw | None]:
        try:
            if is_immutable(value):
                return value, None
        except RecursionError:
            self._refuse_depth(value)
        if kind is bytearray:
            return bytes(value), bytearray  # type: ignore[call-overload]
        if kind is memoryview:
            return _EXACT.loads(_EXACT.dumps(value)), None
        payload = self.dumps(value)
        return payload, _unpickle if payload.startswith(_PICKLE) else _EXACT.loads

    def dumps(self, value: object, /) -> bytes:
        """The value's pickle, or its MessagePack if it has none, such as a `MappingProxyType`.

        Raises:
            CacheSerializationError: It has neither.
        """
        try:
            return super().dumps(value)
        except CacheSerializationError:
            try:
                payload = _EXACT.dumps(value)
                _EXACT.loads(
                    payload
                )  # an instance of a class that is not registered has no way back
            except CacheSerializationError:
                pass
            else:
                return payload
            raise

    def loads(self, payload: bytes, /) -> object:
        """The value that `dumps` was given; only ever call it with bytes of known origin.

        Raises:
            CacheSerializationError: The bytes are neither, or a class of it is gone.
        """
        return super().loads(payload) if payload.startswith(_PICKLE) else _EXACT.loads(payload)

    def _refuse_depth(self, value: object) -> None:
        what = f"{instance_of(type(value))} that contains itself or is nested too deeply"
        refuse_to_store(self.name, what, "Store its parts under their own keys.")

    def __repr__(self) -> str:
        return "<NativeSerializer>"


class ReferenceSerializer:
    """`None`: the very object, unprotected; the fastest, for who never changes a cached value."""

    __slots__ = ()
    name = "None"

    def freeze(self, value: object, /) -> tuple[object, Thaw | None]:
        """The value itself."""
        return value, None

    def dumps(self, value: object, /) -> bytes:
        """Refused: a reference has no bytes.

        Raises:
            CacheSerializationError: Always.
        """
        refuse_to_store(
            self.name,
            f"{instance_of(type(value))} as bytes",
            "serializer=None keeps references, which only an in-process store can.",
        )

    def loads(self, payload: bytes, /) -> object:
        """Refused, as `dumps` is.

        Raises:
            CacheSerializationError: Always.
        """
        return self.dumps(payload)

    def __repr__(self) -> str:
        return "<ReferenceSerializer>"


class SerializedFreezer:
    """Any other serializer in an in-process store: bytes are kept; counters stay numbers."""

    __slots__ = ("_dumps", "_loads", "_name")

    def __init__(self, serializer: Serializer) -> None:
        self._dumps = serializer.dumps
        self._loads = serializer.loads
        self._name = serializer_name(serializer)

    def freeze(self, value: object, /) -> tuple[object, Thaw | None]:
        """The value's bytes and the serializer's `loads`; exactly an `int` is kept as it is."""
        if type(value) is int:
            return _NATIVE.freeze(value)
        return self._dumps(value), self._loads

    def __repr__(self) -> str:
        return f"<SerializedFreezer {self._name}>"


_NATIVE: Final = NativeSerializer()
