"""What stands between values and stored bytes: serializer, integers, envelope and signature.

Three kinds of payload exist, told apart by their first byte, so that most are read by one
comparison and one call:

* canonical decimal text is an `int` (never a bool): counters are native on every store;
* `0xC1` begins an envelope;
* anything else is what the serializer wrote. Should that look like one of the other two, it is put
  into an envelope without fields.

With a secret, everything is in a signed envelope, integers too, and nothing unsigned is read; the
same goes for encryption. A payload is compressed before it is encrypted, and signed last.

The functions that `Codec` calls are chosen once, when it is made, so that a plain cache pays for no
feature that it does not use.
"""

import sys
from collections.abc import Iterable
from typing import Any, Final, Never, TypeVar, overload

import attrs

from jinpy_cache_core.codec.compression import (
    DICTIONARY_KEY,
    Compressor,
    Dictionaries,
    unknown_codec,
)
from jinpy_cache_core.codec.encryption import Encryptor, not_encrypted
from jinpy_cache_core.codec.fast_paths import (
    Decode,
    Encode,
    bounded,
    limited,
    msgpack_decoder,
    msgpack_encoder,
    plain_encoder,
    refuse_size,
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
        compression: `"zstd"` or `"none"`.
        compression_threshold: Bytes below which nothing is compressed; `None` for the default.
        encryption: The first of these secrets encrypts, any of them decrypts; empty for none.
        dictionaries: What small values are compressed with.
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
    compression: str = "none"
    compression_threshold: int | None = None
    encryption: tuple[Secret, ...] = ()
    dictionaries: Dictionaries = attrs.field(factory=Dictionaries, repr=False, eq=False)
    _compressor: Compressor | None = attrs.field(init=False, repr=False, eq=False)
    _encryptor: Encryptor | None = attrs.field(init=False, repr=False, eq=False)
    encode: Encode = attrs.field(init=False, repr=False, eq=False)
    decode: Decode = attrs.field(init=False, repr=False, eq=False)
    _foreign_heads: frozenset[int] = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        needs_signature = getattr(self.serializer, "needs_signature", False)
        unsigned = not self.seals and not self.allow_unsigned_pickle
        if needs_signature and self.shared_store and unsigned:
            name = serializer_name(self.serializer)
            message = (
                f"serializer={name!r} can run code chosen by whoever can write to the store, so "
                "it needs secret='...' to sign what it writes and verify what it reads. "
                "allow_unsigned_pickle=True does without; prefer serializer='msgpack'."
            )
            raise CacheConfigurationError(message)
        limit = sys.maxsize if self.max_value_bytes is None else self.max_value_bytes
        zstd = self.compression == "zstd"
        compressor = (
            Compressor(self.compression_threshold, limit, self.dictionaries) if zstd else None
        )
        object.__setattr__(self, "_compressor", compressor)
        object.__setattr__(
            self, "_encryptor", Encryptor(self.encryption) if self.encryption else None
        )
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
        compression: str = "none",
        compression_threshold: int | None = None,
        encryption: Secret | Iterable[Secret] | None = None,
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
            compression: `"zstd"` or `"none"`.
            compression_threshold: Bytes below which nothing is compressed; `None` for the default.
            encryption: One secret, or several during rotation: the first encrypts, any decrypts.

        Raises:
            CacheConfigurationError: The serializer is unknown, is for another kind of store, or is
                pickle without a secret; or a library that a setting needs is missing.
        """
        return cls(
            serializer=resolve_serializer(serializer, shared_store=shared_store),
            namespace=namespace,
            max_value_bytes=max_value_bytes,
            secrets=(secret,) if isinstance(secret, Secret) else tuple(secret or ()),
            allow_unsigned_pickle=allow_unsigned_pickle,
            shared_store=shared_store,
            store=store,
            compression=compression,
            compression_threshold=compression_threshold,
            encryption=(encryption,) if isinstance(encryption, Secret) else tuple(encryption or ()),
        )

    @property
    def seals(self) -> bool:
        """Whether everything is signed or encrypted, integers too, and nothing else is read."""
        return bool(self.secrets or self.encryption)

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

    def decoder_as(self, kind: Any) -> Decode:
        """`decode_as` for one type, to be called as `decode` is."""
        decode_as: Any = self.decode_as

        def decode(key: str, payload: bytes) -> Any:
            return decode_as(key, payload, kind)

        return decode

    def storage_key(self, key: str) -> str:
        """The key with its namespace, as the store knows it and as signatures bind it."""
        return key if self.namespace is None else f"{self.namespace}:{key}"

    def _encoder(self) -> Encode:
        limit = sys.maxsize if self.max_value_bytes is None else self.max_value_bytes
        if self.seals:
            return limited(self._sealing_encoder(limit), limit)
        plain = self._plain_encoder(limit)
        return plain if self._compressor is None else self._compressing_encoder(plain, limit)

    def _plain_encoder(self, limit: int) -> Encode:
        if type(self.serializer) is MsgpackSerializer:
            return msgpack_encoder(self.serializer, limit)
        if type(self.serializer) in _NEVER_MISTAKEN:
            return bounded(plain_encoder(self.serializer), limit)
        return bounded(wrapping_encoder(self.serializer), limit)

    def _sealing_encoder(self, limit: int) -> Encode:
        dumps = self.serializer.dumps
        compress = None if self._compressor is None else self._compressor.compressed
        seal = self._seal

        def encode(key: str, value: Any) -> bytes:
            if type(value) is int:
                return seal(key, Envelope(payload=integer_text(value), integer=True))
            payload = dumps(value)
            if compress is None:
                return seal(key, Envelope(payload=payload))
            if len(payload) > limit:
                refuse_size(len(payload), limit)
            return seal(key, compress(payload) or Envelope(payload=payload))

        return encode

    def _seal(self, key: str, envelope: Envelope) -> bytes:
        """The envelope as bytes, encrypted and signed as this codec is told to."""
        storage_key, binding = self.storage_key(key), self._binding()
        if self._encryptor is not None:
            envelope = self._encryptor.sealed(envelope, storage_key, binding)
        if self.secrets:
            envelope = sign(envelope, storage_key, binding, self.secrets[0])
        return envelope.pack()

    def _compressing_encoder(self, plain: Encode, limit: int) -> Encode:
        compressor: Any = self._compressor

        def encode(key: str, value: Any) -> bytes:
            payload = plain(key, value)
            if type(value) is int or payload[:1] == _ENVELOPE:
                return payload
            envelope = compressor.compressed(payload)
            return payload if envelope is None else envelope.pack()

        return limited(encode, limit)

    # -- Dictionaries --------------------------------------------------------------------------

    def dictionary_payload(self, number: int, content: bytes) -> tuple[str, bytes]:
        """Under which key a dictionary is stored, and what; it goes through no serializer."""
        key = f"{DICTIONARY_KEY}{number:08x}"
        return key, self._seal(key, Envelope(payload=content))

    def dictionary_content(self, key: str, payload: bytes) -> bytes | None:
        """The dictionary that was stored under a key; `None` if that holds something else."""
        opened = self._open(key, payload)
        return opened if type(opened) is bytes else None

    def integer_form(self, key: str) -> IntegerForm:
        """How a key's integers are stored, for who counts: as plain text, or signed."""
        return SignedIntegers(self, key) if self.seals else PLAIN_TEXT

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

        if type(self.serializer) is MsgpackSerializer and not self.seals:
            return msgpack_decoder(self.serializer, decode)
        return decode

    def _decrypted(self, key: str, envelope: Envelope) -> Envelope:
        if self._encryptor is not None:
            return self._encryptor.opened(envelope, self.storage_key(key), self._binding())
        if envelope.encryption is not None:
            message = (
                "The stored entry is encrypted, and this cache is configured without encryption=: "
                "it reads as a miss."
            )
            raise NewerEnvelopeError(message)
        return envelope

    def _unsealed(self) -> Never:
        """Refuse an entry that is neither signed nor encrypted."""
        if self.encryption:
            raise not_encrypted()
        _not_signed("it has no signature")

    def _open(self, key: str, payload: bytes) -> bytes | int | Missing:
        """What a payload holds: an integer, no value yet, or bytes for the serializer."""
        if payload[:1] != _ENVELOPE:
            if self.seals:
                self._unsealed()
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
        envelope = self._decrypted(key, envelope)
        if envelope.compression is not None:
            if self._compressor is None:
                raise unknown_codec(envelope.compression)
            return self._compressor.restored(envelope, envelope.compression)
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
