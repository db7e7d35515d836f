"""What stands between values and stored bytes: serializer, integers, envelope and signature.

Three kinds of payload exist, told apart by their first byte, so that most are read by one
comparison and one call:

* canonical decimal text is an `int` (never a bool): counters are native on every store;
* `0xC1` begins an envelope;
* anything else is what the serializer wrote. Should that look like one of the other two, it is put
  into an envelope without fields.

With a secret, everything is in a signed envelope, integers too, and nothing unsigned is read.

The functions that `Codec` calls are chosen once, when it is made, so that a plain cache pays for no
feature that it does not use.
"""

import sys
from collections.abc import Iterable
from typing import Any, Final, Never, TypeVar, overload

import attrs

from jinpy_cache_core.codec.fast_paths import (
    Decode,
    Encode,
    bounded,
    limited,
    msgpack_decoder,
    msgpack_encoder,
    plain_encoder,
    wrapping_encoder,
)
from jinpy_cache_core.codec.signing import Binding, is_signed, sign
from jinpy_cache_core.entries.decisions import PLAIN_TEXT, IntegerForm
from jinpy_cache_core.entries.envelope import FIRST_BYTE, Envelope, NewerEnvelopeError
from jinpy_cache_core.entries.integers import integer_text, parse_integer
from jinpy_cache_core.exceptions import (
    CacheConfigurationError,
    CacheException,
    CacheSerializationError,
)
from jinpy_cache_core.secret import Secret
from jinpy_cache_core.sentinels import MISSING, Missing
from jinpy_cache_core.serializers import (
    JsonSerializer,
    MsgpackSerializer,
    NativeSerializer,
    PickleSerializer,
    Serializer,
    SerializerSpec,
    resolve_serializer,
    serializer_name,
    structure_as,
)
from jinpy_cache_core.serializers.msgpack import NUMBER_HEADS
from jinpy_cache_core.serializers.refusal import refuse_to_read

__all__ = ["Codec", "parse_integer"]

T = TypeVar("T")

_ENVELOPE: Final = bytes((FIRST_BYTE,))
FORMAT_VERSION: Final = 1
"""The version of what a serializer writes that names none of its own."""

_NEVER_MISTAKEN: Final = (MsgpackSerializer, JsonSerializer, PickleSerializer, NativeSerializer)
"""Built-ins that write neither `0xC1` nor an integer's text, as integers never reach them."""


@attrs.frozen(kw_only=True)
class Codec:
    """Encodes values for a store and decodes what the store holds; immutable, free of I/O.

    Attributes:
        serializer: What everything but an exact `int` goes through.
        namespace: Joined to each key by a colon where signatures bind an entry to its key.
        max_value_bytes: The largest payload in bytes that is stored; `None` for no limit.
        secrets: The first signs, any of them verifies; empty for no signatures.
        allow_unsigned_pickle: Use a serializer that can run code without signing, on a store that
            others could write to.
        shared_store: Whether others could write to the store.
        store: The kind of store, which signatures bind an entry to.
        encode: From a key and a value to the bytes to store. Raises `CacheSerializationError` if
            the value would not come back equal, `CacheValueError` if it is too large.
        decode: From a key and stored bytes to the value; `MISSING` if the bytes only mark who is
            computing it. Raises `NewerEnvelopeError` for what a newer release wrote (to be treated
            as a miss, and left in place), else `CacheSerializationError`.
    """

    serializer: Serializer
    namespace: str | None = None
    max_value_bytes: int | None = None
    secrets: tuple[Secret, ...] = ()
    allow_unsigned_pickle: bool = False
    shared_store: bool = True
    store: str = "store"
    encode: Encode = attrs.field(init=False, repr=False, eq=False)
    decode: Decode = attrs.field(init=False, repr=False, eq=False)
    _foreign_heads: frozenset[int] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        needs_signature = getattr(self.serializer, "needs_signature", False)
        unsigned = not self.secrets and not self.allow_unsigned_pickle
        if needs_signature and self.shared_store and unsigned:
            name = serializer_name(self.serializer)
            message = (
                f"serializer={name!r} can run code chosen by whoever can write to the store, so "
                "it needs secret='...' to sign what it writes and verify what it reads. "
                "allow_unsigned_pickle=True does without; prefer serializer='msgpack'."
            )
            raise CacheConfigurationError(message)
        msgpack = type(self.serializer) is MsgpackSerializer
        object.__setattr__(self, "_foreign_heads", NUMBER_HEADS if msgpack else frozenset())
        object.__setattr__(self, "encode", self._encoder())
        object.__setattr__(self, "decode", self._decoder())

    @classmethod
    def from_settings(
        cls,
        serializer: SerializerSpec = "msgpack",
        *,
        namespace: str | None = None,
        max_value_bytes: int | None = None,
        secret: Secret | Iterable[Secret] | None = None,
        allow_unsigned_pickle: bool = False,
        shared_store: bool = True,
        store: str = "store",
    ) -> "Codec":
        """The codec that a backend's configuration describes.

        Args:
            serializer: A name, an object with `dumps` and `loads`, or `None`.
            namespace: What the store puts before each key, if anything.
            max_value_bytes: The largest payload in bytes that is stored; `None` for no limit.
            secret: One secret, or several during rotation: the first signs, any verifies.
            allow_unsigned_pickle: Use pickle on a shared store without a secret.
            shared_store: Whether others could write to the store.
            store: The kind of store, which signatures bind an entry to.

        Raises:
            CacheConfigurationError: The serializer is unknown, is for another kind of store, or is
                pickle without a secret.
        """
        return cls(
            serializer=resolve_serializer(serializer, shared_store=shared_store),
            namespace=namespace,
            max_value_bytes=max_value_bytes,
            secrets=(secret,) if isinstance(secret, Secret) else tuple(secret or ()),
            allow_unsigned_pickle=allow_unsigned_pickle,
            shared_store=shared_store,
            store=store,
        )

    @overload
    def decode_as(self, key: str, payload: bytes, kind: type[T]) -> T | Missing: ...
    @overload
    def decode_as(self, key: str, payload: bytes, kind: object) -> Any: ...
    def decode_as(self, key: str, payload: bytes, kind: Any) -> Any:
        """The value as a type; attrs classes, dataclasses and enums need not be registered.

        Args:
            key: The key it is stored under, without the namespace.
            payload: What the store holds.
            kind: A class or any annotation, such as `list[User] | None`.

        Returns:
            The value, never coerced; `MISSING` if the bytes only mark who is computing it.

        Raises:
            NewerEnvelopeError: A newer release wrote it: a miss, to be left in place.
            CacheSerializationError: It cannot be read, or is of another type.
        """
        loads_as = getattr(self.serializer, "loads_as", None)
        try:
            opened = self._open(key, payload)
            if opened is MISSING:
                return MISSING
            if type(opened) is not bytes:
                return structure_as(opened, kind)
            if loads_as is None:
                return structure_as(self.serializer.loads(opened), kind)
            return loads_as(opened, kind)
        except CacheException as error:
            error.in_context(key=key)
            raise

    def storage_key(self, key: str) -> str:
        """The key with its namespace, as the store knows it and as signatures bind it."""
        return key if self.namespace is None else f"{self.namespace}:{key}"

    def _encoder(self) -> Encode:
        limit = sys.maxsize if self.max_value_bytes is None else self.max_value_bytes
        if self.secrets:
            return limited(self._signing_encoder(), limit)
        if type(self.serializer) is MsgpackSerializer:
            return msgpack_encoder(self.serializer, limit)
        if type(self.serializer) in _NEVER_MISTAKEN:
            return bounded(plain_encoder(self.serializer), limit)
        return bounded(wrapping_encoder(self.serializer), limit)

    def _signing_encoder(self) -> Encode:
        dumps = self.serializer.dumps
        secret = self.secrets[0]
        storage_key = self.storage_key
        binding = self._binding()

        def encode(key: str, value: Any) -> bytes:
            if type(value) is int:
                envelope = Envelope(payload=integer_text(value), integer=True)
            else:
                envelope = Envelope(payload=dumps(value))
            return sign(envelope, storage_key(key), binding, secret).pack()

        return encode

    def integer_form(self, key: str) -> IntegerForm:
        """How a key's integers are stored, for who counts: as plain text, or signed."""
        return SignedIntegers(self, key) if self.secrets else PLAIN_TEXT

    def _is_signed(self, key: str, envelope: Envelope) -> bool:
        return is_signed(envelope, self.storage_key(key), self._binding(), self.secrets)

    def _binding(self) -> Binding:
        serializer: Any = self.serializer
        version = getattr(serializer, "version", FORMAT_VERSION)
        return Binding(self.store, serializer_name(serializer), str(version))

    def _decoder(self) -> Decode:
        loads = self.serializer.loads
        open_stored = self._open

        def decode(key: str, payload: bytes) -> Any:
            try:
                opened = open_stored(key, payload)
                return loads(opened) if type(opened) is bytes else opened
            except CacheException as error:
                error.in_context(key=key)
                raise

        if type(self.serializer) is MsgpackSerializer and not self.secrets:
            return msgpack_decoder(self.serializer, decode)
        return decode

    def _open(self, key: str, payload: bytes) -> bytes | int | Missing:
        """What a payload holds: an integer, no value yet, or bytes for the serializer."""
        if payload[:1] != _ENVELOPE:
            if self.secrets:
                _not_signed("it has no signature")
            number = parse_integer(payload)
            if number is not None:
                return number
            if payload and payload[0] in self._foreign_heads:
                raise refuse_to_read(serializer_name(self.serializer), "a bare number or text")
            return payload
        envelope = Envelope.unpack(payload)
        if envelope.lease is not None:
            return MISSING
        if self.secrets and not self._is_signed(key, envelope):
            _not_signed(
                "its signature is not by a known secret, or is for another key, serializer or "
                "kind of store"
            )
        if envelope.compression is not None:
            message = (
                f"The stored entry is compressed with codec {envelope.compression.codec}, which "
                "this release does not know. It reads as a miss until this program is upgraded."
            )
            raise NewerEnvelopeError(message)
        if not envelope.integer:
            return envelope.payload
        number = parse_integer(envelope.payload)
        if number is None:
            message = (
                "The stored entry's envelope is damaged: it announces an integer and has none."
            )
            raise CacheSerializationError(message)
        return number


class SignedIntegers:
    """The integers under one key, where everything is signed.

    Args:
        codec: Signs and verifies.
        key: The key.
    """

    def __init__(self, codec: Codec, key: str) -> None:
        self._codec = codec
        self._key = key

    def parse(self, payload: bytes, /) -> int | None:
        """See `IntegerForm`; raises `CacheSerializationError` for what is not signed."""
        number = self._codec.decode(self._key, payload)
        return number if type(number) is int else None

    def write(self, number: int, /) -> bytes:
        """See `IntegerForm`."""
        return self._codec.encode(self._key, number)


def _not_signed(reason: str) -> Never:
    message = (
        f"The stored entry was refused before decoding: {reason}. Delete or overwrite the key; if "
        "the secret was changed, keep the old one in the list until its entries have expired."
    )
    raise CacheSerializationError(message)
